"""A host with endpoints of its own: two of one application, as in figure 30."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

from packets import CLIENT, HOSTS, ROUTER_MAC, UNIT_MAC, Client, ip_of
from scapy.layers.inet import TCP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Packet
from site_file import make_site

from pointsman.config.endpoints import place_id
from pointsman.config.model import Site
from pointsman.datapath import abi
from pointsman.datapath.addresses import flow_key4, flow_key6
from pointsman.datapath.host import HostDatapath

__all__ = ["FIRST", "SECOND", "SECOND_ADDRESS", "Own", "own_site"]

SECOND_ADDRESS = {4: "10.1.0.77", 6: "fd00:1::77"}


@dataclass(frozen=True)
class Own:
    """Where one of the instances listens."""

    address: dict[int, str]
    port: int

    def id(self, version: int) -> bytes:
        return place_id(ip_address(self.address[version]), self.port)

    def turned(self, packet: Packet, version: int) -> Packet:
        """The client's packet as this instance gets it."""
        packet.dst = self.address[version]
        packet.payload.dport = self.port
        return packet

    def frame(self, packet: Packet, version: int) -> bytes:
        """The same as a whole frame."""
        return bytes(Ether(src=ROUTER_MAC, dst=UNIT_MAC) / self.turned(packet, version))

    def answer(self, client: Client, payload: bytes = b"", **fields: object) -> bytes:
        """The frame of a packet to the client."""
        return leaving(client, self.address[client.version], self.port, payload, **fields)

    def vip(self, data: HostDatapath, client: Client) -> abi.Vip4 | abi.Vip6:
        """What is noted of the client's connection with it. KeyError if nothing is."""
        address = self.address[client.version]
        source, _, sport, _ = client.four_tuple
        if client.version == 4:
            to4 = IPv4Address(address)
            return data.vips4.get(
                flow_key4(IPv4Address(source), sport, to4, self.port, client.proto)
            )
        to6 = IPv6Address(address)
        return data.vips6.get(flow_key6(IPv6Address(source), sport, to6, self.port, client.proto))


def leaving(
    client: Client, source: str, port: int, payload: bytes = b"", **fields: object
) -> bytes:
    """The frame of a packet to the client, from there."""
    header = ip_of(client.version, source, CLIENT[client.version])
    layer = UDP if client.proto == 17 else TCP
    packet = header / layer(sport=port, dport=client.port, **fields) / payload
    return bytes(Ether(src=UNIT_MAC, dst=ROUTER_MAC) / packet)


FIRST = Own({version: HOSTS[version][0] for version in (4, 6)}, 8080)
SECOND = Own(SECOND_ADDRESS, 8081)


def own_site() -> Site:
    """The test site, but `web`, `plain` and `dns` have both instances of host 0 behind them."""
    document = make_site().model_dump(mode="json")
    members = [
        {"host": "h1", "port": FIRST.port},
        {"host": "h1", "port": SECOND.port, "addresses": list(SECOND_ADDRESS.values())},
    ]
    document["pools"].append({"name": "own", "members": members})
    for service in document["services"]:
        service["pool"] = "own"
        service["rules"] = []
    plain = document["services"][1]
    document["services"].append(plain | {"name": "dns", "protocol": "udp", "port": 53})
    return Site.model_validate(document)
