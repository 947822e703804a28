"""The site that is fuzzed: each protocol, inspector and way to forward once."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

from bench import UnitBench
from packets import TUNNEL, UNIT_MAC, VIP
from places import GATEWAY_MAC, PEER_MAC
from quic_data import CONFIGURATIONS, QUIC_PORTS, SERVER_IDS
from quic_data import KEY as QUIC_KEY
from site_file import make_site

from pointsman.config.model import Site
from pointsman.datapath import abi

__all__ = ["NAT", "fuzz_site", "quic_keys", "set_peers"]

NAT = {4: "10.1.2.1", 6: "fd00:1::2:1"}


OWN = [
    {"host": "h1", "port": 8080},
    {"host": "h1", "port": 8081, "addresses": ["10.1.0.77", "fd00:1::77"]},
]
HOSTS = [{"host": f"h{i}"} for i in (1, 2, 3)]
UDP = {"protocol": "udp"}
PLAIN: list[dict[str, Any]] = [
    {"name": "own", "port": 82, "pool": "own"},
    {"name": "own-dns", "port": 84, "pool": "own", **UDP},
    {"name": "dns", "port": 53, **UDP},
    {"name": "half", "port": 91, "forward": "half-nat"},
    {"name": "half-dns", "port": 93, "forward": "half-nat", **UDP},
    {"name": "half-own", "port": 96, "forward": "half-nat", "pool": "own"},
    {"name": "l2", "port": 92, "forward": "l2"},
    {"name": "nat", "port": 94, "forward": "nat", "pool": "own"},
    {"name": "nat-dns", "port": 95, "forward": "nat", **UDP},
    {"name": "l2tp", "pool": "by-client", "listen": ["udp/500", "udp/4500"]},
    {
        "name": "pptp",
        "pool": "by-client",
        "listen": ["tcp/1723", "gre", "esp", "ah"],
        "forward": "l2",
    },
    {"name": "rtp", "listen": ["tcp/5060", "udp/10000-20000"], "pool": "by-client"},
]
INSPECTED: list[dict[str, Any]] = [
    {"name": "own-web", "port": 83, "pool": "own", "inspect": "http"},
    {
        "name": "tls",
        "port": 443,
        "inspect": "tls",
        "rules": [{"sni": "*.b.test", "pool": "b"}, {"alpn": "h2", "pool": "a"}],
    },
    {"name": "rdp", "port": 3389, "inspect": "rdp", "rules": [{"mstshash": "bob", "pool": "b"}]},
    {
        "name": "proxied",
        "port": 85,
        "inspect": "http",
        "proxy_protocol": True,
        "rules": [
            {"header_prefix": {"X-A": "b"}, "pool": "b"},
            {"query": {"q": "1"}, "pool": "a"},
        ],
    },
]
IDENTIFIED = [
    {"host": f"h{i}", "quic_server_id": server_id.hex()}
    for i, server_id in enumerate(SERVER_IDS, start=1)
]
QUIC: list[dict[str, Any]] = [
    {
        "name": f"quic-{port}",
        "port": port,
        "forward": forward,
        "pool": "identified",
        "inspect": "quic",
        "quic": {
            "configurations": [
                {
                    "id": each.id,
                    "server_id_bytes": each.server_id_bytes,
                    "nonce_bytes": each.nonce_bytes,
                    "key_file": "quic.key" if each.key else None,
                }
                for each in CONFIGURATIONS
            ]
        },
        **UDP,
    }
    for port, forward in zip(QUIC_PORTS, ("tunnel", "half-nat", "nat"), strict=True)
]
SECOND_UNIT = {
    "name": "u2",
    "addresses": ["10.1.0.2", "fd00:1::2"],
    "tunnel": ["10.1.1.2", "fd00:1::1:2"],
    "nat": ["10.1.2.2", "fd00:1::2:2"],
}


def fuzz_site() -> Site:
    """make_site(), and a service for each inspector, protocol and way to forward, and groups."""
    document = make_site().model_dump(mode="json", exclude_unset=True)
    document["pools"] += [
        {"name": "own", "members": OWN},
        {"name": "identified", "members": IDENTIFIED},
        {"name": "by-client", "choose": "client-ip", "members": HOSTS},
    ]
    unit = document["units"][0] | {"nat": [NAT[4], NAT[6]]}
    document["units"] = [unit, unit | SECOND_UNIT]
    common = {"addresses": [VIP[4], VIP[6]], "pool": "all"}
    document["services"] += [common | service for service in [*PLAIN, *INSPECTED, *QUIC]]
    return Site.model_validate(document)


def quic_keys(site: Site) -> dict[tuple[str, int], bytes]:
    return {(s.name, each.id): QUIC_KEY for s in site.services if s.quic for each in CONFIGURATIONS}


def set_peers(unit: UnitBench) -> None:
    """The next unit is this one once more, so that what it hands on comes back."""
    unit_mac = bytes.fromhex(UNIT_MAC.replace(":", ""))
    for peer, mac in ((abi.Peer.UNIT, PEER_MAC), (abi.Peer.CLIENTS, GATEWAY_MAC)):
        for version in (4, 6):
            packed = ip_address(TUNNEL[version]).packed
            fields = (packed, bytes(len(packed)), mac, unit_mac, 1, 0, bytes(4), bytes(2), 0)
            if version == 4:
                unit.datapath.peers4.set(peer, abi.Endpoint4(*fields, abi.EndpointFlag.USABLE))
            else:
                unit.datapath.peers6.set(peer, abi.Endpoint6(*fields, abi.EndpointFlag.USABLE))
