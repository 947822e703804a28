"""Datagrams of QUIC services, by the ways in which their connection ids hold a server id."""

from __future__ import annotations

from typing import Any

from bench import UnitBench
from packets import CLIENT, ROUTER_MAC, UNIT_MAC, VIP, ip_of
from paths import FAMILY, PacketPath, host_addresses
from quic_ids import Configuration, encode
from scapy.layers.inet import UDP
from scapy.layers.l2 import Ether
from scapy.packet import Raw
from site_file import make_site

from pointsman.config.model import Site
from pointsman.datapath.reasons import Reason

__all__ = ["QUIC_KEYS", "quic_paths", "quic_site"]

KEY = bytes(range(16))
PORT = 443
KINDS = {
    "plain": Configuration(0, 2, 6),
    "one pass of AES": Configuration(1, 2, 14, KEY),
    "four passes, three to read": Configuration(2, 2, 6, KEY),
}
QUIC_KEYS = {("quic", kind.id): KEY for kind in KINDS.values()}


def quic_site() -> Site:
    """A service for all kinds of ids."""
    site = make_site().model_dump(mode="json")
    configurations: list[dict[str, Any]] = [
        {
            "id": kind.id,
            "server_id_bytes": kind.server_id_bytes,
            "nonce_bytes": kind.nonce_bytes,
            "key_file": "quic.key" if kind.key else None,
        }
        for kind in KINDS.values()
    ]
    members = [{"host": f"h{i}", "quic_server_id": f"000{i}"} for i in (1, 2, 3)]
    service = {
        "name": "quic",
        "addresses": [VIP[4], VIP[6]],
        "protocol": "udp",
        "port": PORT,
        "inspect": "quic",
        "quic": {"configurations": configurations},
        "pool": "quic",
    }
    pools = [{"name": "quic", "members": members}]
    return Site.model_validate({**site, "pools": pools, "services": [service]})


def quic_paths(unit: UnitBench, version: int) -> list[PacketPath]:
    """A known flow's next datagram: its id names the host that it goes to."""
    found = []
    for name, kind in KINDS.items():
        connection_id = encode(kind, b"\x00\x02", bytes(kind.nonce_bytes))
        payload = b"\x40" + connection_id + bytes(16)
        packet = ip_of(version, CLIENT[version], VIP[version])
        packet /= UDP(sport=40000 + kind.id, dport=PORT) / Raw(payload)
        frame = bytes(Ether(src=ROUTER_MAC, dst=UNIT_MAC) / packet)
        unit.send(frame)
        path = PacketPath(
            f"established, QUIC, id {name}, {FAMILY[version]}",
            version,
            [frame],
            unit.datapath.program_fd("forward"),
            Reason.HIT,
            unit.datapath.counts,
            host_addresses(unit.site, version),
        )
        found.append(path)
    return found
