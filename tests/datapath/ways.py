"""Half-NAT, NAT and layer 2: a site that uses them all, what endpoints answer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from bench import Outcome, UnitBench, host_mac
from packets import CLIENT, ROUTER_MAC, UNIT_MAC, VIP, Client, ip_of
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw
from site_file import make_site

from pointsman.config.model import Site

__all__ = [
    "NAT",
    "OWN_PORT",
    "PORTS",
    "age",
    "answer",
    "first_frame",
    "host_index",
    "network",
    "site",
    "sums_right",
    "udp",
]

NAT = {4: "10.1.2.1", 6: "fd00:1::2:1"}
PORTS = {"half-nat": 1001, "nat": 1002, "l2": 1003}
OWN_PORT = 8080
"""Of the endpoints of half-NAT's service."""


def site(last_port: int = 65535) -> Site:
    """For each mode a TCP and a UDP service on its port, and an inspected one 1,000 above."""
    document = make_site().model_dump(mode="json", exclude_unset=True)
    document["units"][0] |= {
        "nat": [NAT[4], NAT[6]],
        "nat_ports": {"first": 30000, "last": last_port},
        "max_translations": 1024,
    }
    members = [{"host": f"h{i}", "port": OWN_PORT} for i in (1, 2, 3)]
    document["pools"].append({"name": "own", "members": members})
    for mode, port in PORTS.items():
        pool = "own" if mode == "half-nat" else "all"
        common = {"addresses": [VIP[4], VIP[6]], "forward": mode, "pool": pool}
        for protocol in ("tcp", "udp"):
            name = f"{mode}-{protocol}"
            document["services"].append(
                {**common, "name": name, "protocol": protocol, "port": port}
            )
        document["services"].append(
            {**common, "name": f"{mode}-http", "port": port + 1000, "inspect": "http"}
        )
    return Site.model_validate(document)


def udp(version: int, dport: int, sport: int = 40000, payload: bytes = b"ask") -> bytes:
    inner = UDP(sport=sport, dport=dport) / Raw(payload)
    packet = ip_of(version, CLIENT[version], VIP[version]) / inner
    return bytes(Ether(src=ROUTER_MAC, dst=UNIT_MAC) / packet)


def network(frame: bytes) -> Packet:
    return Ether(frame).payload


def age(unit: UnitBench, client: Client, ticks: int) -> None:
    """As if nothing of the connection's had come for so long."""
    flow = unit.flow(client)
    unit.set_flow(client, replace(flow, seen=flow.seen - ticks))
    table = unit.datapath.returns4 if client.version == 4 else unit.datapath.returns6
    for key, translation in table.items():
        if translation.client.sport == client.port.to_bytes(2, "big"):
            older = replace(translation, seen=translation.seen - ticks)
            table.set(key, older)  # type: ignore[arg-type]


def host_index(outcome: Outcome) -> int:
    macs = [host_mac(index).hex(":") for index in range(3)]
    return macs.index(Ether(outcome.frame).dst)


def answer(outcome: Outcome, payload: bytes = b"answer", **tcp: Any) -> bytes:
    """What the endpoint sends back to whom it got the frame from."""
    got = network(outcome.frame)
    version = got.version
    header = ip_of(version, got.dst, got.src)
    if UDP in got:
        inner = UDP(sport=got[UDP].dport, dport=got[UDP].sport)
    else:
        fields = {"flags": "SA", "seq": 77, "ack": got[TCP].seq + 1} | tcp
        inner = TCP(sport=got[TCP].dport, dport=got[TCP].sport, **fields)
    packet = header / inner / Raw(payload) if payload else header / inner
    return bytes(Ether(src=Ether(outcome.frame).dst, dst=UNIT_MAC) / packet)


def sums_right(frame: bytes) -> bool:
    packet = Ether(frame)
    for layer in (IP, TCP, UDP):
        if layer in packet:
            del packet[layer].chksum
    return bytes(Ether(bytes(packet))) == frame


def first_frame(protocol: str, version: int, port: int, sport: int = 40000) -> bytes:
    if protocol == "udp":
        return udp(version, port, sport)
    return Client(version, port=sport, service_port=port).syn()
