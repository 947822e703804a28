"""The packet programs' paths that the bench measures: what goes in, and what must come out.

A path more is one line in `unit_paths` or `host_paths`. Units and frames are those of
tests/datapath, which run.py puts on the module path.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address

from bench import UnitBench
from harness import Clients
from host_bench import HostBench
from own_site import FIRST
from packets import (
    CLIENT,
    ROUTER_MAC,
    UNIT_MAC,
    VIP,
    Client,
    checksums_right,
    ip_of,
    split,
)
from scapy.layers.inet import UDP
from scapy.layers.l2 import Ether
from scapy.packet import Raw
from site_file import make_site

from pointsman.config.model import Site
from pointsman.datapath import abi
from pointsman.datapath.reasons import Reason

__all__ = [
    "FAMILY",
    "MODE_PORTS",
    "PacketPath",
    "WrongOutput",
    "acknowledgement",
    "data_paths",
    "host_addresses",
    "host_paths",
    "large_site",
    "mode_paths",
    "mode_site",
    "opening_path",
    "rule_site",
    "scale_paths",
    "sized",
    "unit_paths",
]

REPEAT = 100_000
NEW_FLOWS = 20_000
"""New connections in one measurement: few enough that a table of a million stays free."""
HTTP_PORT, PLAIN_PORT = 80, 81
OTHER_ID = b"\x22\x22\x33\x33"
MODE_PORTS = {("tunnel", "udp"): 90, ("half-nat", "tcp"): 91, ("l2", "tcp"): 92}
HOSTS_PER_POOL = 625
"""So that 10,000 make 16 pools: templates, one a pool, stay in step with the clients' numbers."""
STRIDE = 0x9E3779B1
"""Through all clients in an order far from that in which they came; 1 modulo 16."""
BUNDLE_PORT = 7471
XDP_TX, TC_NEXT = 3, -1
FAMILY = {4: "IPv4", 6: "IPv6"}


class WrongOutput(ValueError):
    """A program did not do what was to be measured, so the figure would be worth nothing."""


@dataclass(frozen=True)
class PacketPath:
    """One way of a packet through a program."""

    name: str
    version: int
    frames: Sequence[bytes]
    program_fd: int
    reason: Reason
    """Every repetition must be counted as this."""
    counts: Callable[[], dict[Reason, int]]
    destinations: frozenset[str]
    """Where the packet may go."""
    repeat: int = REPEAT
    clients: Clients | None = None
    inserts: bool = False
    """It remembers something, so the floor of an insertion is of interest too."""
    lookup: bool = False
    """Its packets' flows are in the floor's table: the lookup floor is of the same packets."""
    strays: float = 0
    """Share of the packets that may be counted otherwise: routes go when their bucket is full."""
    prepare: Callable[[], None] | None = None
    """Before each run."""
    tc: bool = False

    def check(self, verdict: int, frame: bytes, before: dict[Reason, int], repeat: int) -> None:
        """Raises WrongOutput."""
        wanted = TC_NEXT if self.tc else XDP_TX
        counted = {r.name: n - before[r] for r, n in self.counts().items() if n != before[r]}
        strays = sum(counted.values()) - counted.get(self.reason.name, 0)
        exact = sum(counted.values()) == repeat and strays <= self.strays * repeat
        if verdict != wanted or not exact:
            raise WrongOutput(f"{self.name}: verdict {verdict}, counted {counted}")
        network, transport = split(frame)
        length = network.len if self.version == 4 else network.plen + 40
        if network.dst not in self.destinations or length != len(frame) - 14:
            raise WrongOutput(f"{self.name}: {length} of {len(frame)} bytes to {network.dst}")
        if not checksums_right(frame):
            raise WrongOutput(f"{self.name}: wrong checksum")
        if UDP in network and transport.dport == BUNDLE_PORT:
            inner = bytes(transport.payload)[abi.Bundle.SIZE :]
            if not checksums_right(frame[:14] + inner):
                raise WrongOutput(f"{self.name}: wrong checksum in the bundle")


def acknowledgement(client: Client) -> bytes:
    """What a client sends while it downloads."""
    return client.frame(flags="A", seq=client.isn + 1, ack=77)


def host_addresses(site: Site, version: int) -> frozenset[str]:
    return frozenset(
        str(address)
        for host in site.hosts
        for address in host.addresses
        if address.version == version
    )


def unit_paths(unit: UnitBench, version: int) -> list[PacketPath]:
    """Through the unit's program: established, plain new, inspected up to the handshake."""
    client, family = Client(version), FAMILY[version]
    unit.open_plain(client)
    # Another initial sequence number is another connection, though the addresses are the same.
    again = [Client(version, port=41000, isn=isn).syn() for isn in (1, 1 << 30)]
    asking = Client(version, service_port=HTTP_PORT).syn()
    established = PacketPath(
        f"established, {family}",
        version,
        [acknowledgement(client)],
        unit.datapath.program_fd("forward"),
        Reason.HIT,
        unit.datapath.counts,
        host_addresses(unit.site, version),
    )
    new = replace(
        established,
        name=f"new plain, {family}",
        frames=[client.syn()],
        reason=Reason.BUNDLED_SYN,
        repeat=NEW_FLOWS,
        clients=Clients(),
        inserts=True,
    )
    return [
        established,
        replace(new, name=f"new plain, same client, {family}", frames=again, clients=None),
        new,
        replace(
            established,
            name=f"SYN answered with a cookie, {family}",
            frames=[asking],
            reason=Reason.SYN_ANSWERED,
            destinations=frozenset({CLIENT[version]}),
        ),
    ]


def mode_site() -> Site:
    """A service for each way to forward that MODE_PORTS names."""
    site = make_site().model_dump(mode="json")
    services = [
        {
            "name": f"{forward}-{protocol}",
            "addresses": [VIP[4], VIP[6]],
            "protocol": protocol,
            "port": port,
            "forward": forward,
            "pool": "all",
        }
        for (forward, protocol), port in MODE_PORTS.items()
    ]
    return Site.model_validate({**site, "services": services})


def mode_paths(unit: UnitBench, version: int, forward: str, protocol: str) -> list[PacketPath]:
    """A new flow of a service that forwards so, and the packets after its first."""
    client = Client(version, service_port=MODE_PORTS[forward, protocol])
    tcp = protocol == "tcp"
    first, later = (client.syn(), acknowledgement(client)) if tcp else (datagram(client),) * 2
    unit.send(first)
    title = f"{forward}, {protocol.upper()}, {FAMILY[version]}"
    return [
        PacketPath(
            f"established, {title}",
            version,
            [later],
            unit.datapath.program_fd("forward"),
            Reason.HIT,
            unit.datapath.counts,
            host_addresses(unit.site, version) | {VIP[version]},
        ),
        PacketPath(
            f"new, {title}",
            version,
            [first],
            unit.datapath.program_fd("forward"),
            Reason.BUNDLED_DATAGRAM if forward == "tunnel" else Reason.PLUMBED,
            unit.datapath.counts,
            host_addresses(unit.site, version) | {VIP[version]},
            repeat=NEW_FLOWS,
            clients=Clients(),
            inserts=True,
        ),
    ]


def datagram(client: Client) -> bytes:
    source, target, sport, dport = client.four_tuple
    packet = ip_of(client.version, source, target) / UDP(sport=sport, dport=dport) / Raw(bytes(32))
    return bytes(Ether(src=ROUTER_MAC, dst=UNIT_MAC) / packet)


def data_paths(unit: UnitBench, request: bytes, name: str, connections: int) -> list[PacketPath]:
    """First data of so many clients, each with a cookie that the unit gave it."""
    frames = []
    for port in range(20000, 20000 + connections):
        client = Client(4, port=port, service_port=HTTP_PORT)
        frames.append(client.data(request, unit.shake_hands(client)))
    return [
        PacketPath(
            name,
            4,
            frames,
            unit.datapath.program_fd("forward"),
            Reason.BUNDLED_DATA,
            unit.datapath.counts,
            host_addresses(unit.site, 4),
            repeat=connections,
            inserts=True,
            prepare=unit.datapath.flows4.clear,
        )
    ]


def host_paths(host: HostBench, version: int) -> list[PacketPath]:
    """Through the host's programs, in and out. Its endpoints are those of own_site.py."""
    segments, datagrams = Client(version), Client(version, proto=17)
    host.teach(segments)
    bundle = host.bundle(
        datagrams,
        abi.BundleKind.DATAGRAM,
        datagrams.packet(),
        flow_id=OTHER_ID,
        endpoint=FIRST.id(version),
    )
    assert host.send(bundle).reason == "datagram_taught"
    family = FAMILY[version]
    restored = PacketPath(
        f"host, flow id restored, {family}",
        version,
        [host.tunnelled(version, flags="A")],
        host.datapath.program_fd("restore"),
        Reason.RESTORED,
        host.datapath.counts,
        frozenset({VIP[version]}),
        tc=True,
    )
    leaving = replace(
        restored,
        name=f"host, answer of an endpoint of its own, {family}",
        frames=[FIRST.answer(datagrams)],
        program_fd=host.datapath.program_fd("leave"),
        reason=Reason.OUT_TURNED,
        destinations=frozenset({CLIENT[version]}),
    )
    return [
        restored,
        replace(
            restored,
            name=f"host, datagram restored to an endpoint of its own, {family}",
            frames=[host.datagram(version, flow_id=OTHER_ID)],
            destinations=frozenset(FIRST.address.values()),
        ),
        leaving,
        replace(
            leaving,
            name=f"host, answer of others on its way out, {family}",
            frames=[FIRST.answer(segments)],
            reason=Reason.OUT_OTHER,
        ),
    ]


def sized(site: Site, max_flows: int) -> Site:
    """With a table for so many routes."""
    unit = site.units[0].model_copy(update={"max_flows": max_flows})
    return site.model_copy(update={"units": [unit]})


def service_clients(unit: UnitBench) -> list[Client]:
    return [
        Client(4, service_port=PLAIN_PORT + number) for number in range(len(unit.site.services))
    ]


def opening_path(unit: UnitBench, flows: int) -> PacketPath:
    """SYNs of so many clients, over all services of a large_site."""
    return PacketPath(
        "connections opened",
        4,
        [client.syn() for client in service_clients(unit)],
        unit.datapath.program_fd("forward"),
        Reason.BUNDLED_SYN,
        unit.datapath.counts,
        host_addresses(unit.site, 4),
        repeat=flows,
        clients=Clients(),
        inserts=True,
    )


def scale_paths(unit: UnitBench, title: str, flows: int) -> list[PacketPath]:
    """A connection more, and packets of those that opening_path opened, each of another."""
    opening = opening_path(unit, NEW_FLOWS)
    return [
        replace(opening, name=f"new plain, {title}", clients=Clients(next=1 << 24)),
        replace(
            opening,
            name=f"established, {title}",
            frames=[acknowledgement(client) for client in service_clients(unit)],
            reason=Reason.HIT,
            repeat=REPEAT,
            clients=Clients(step=STRIDE, count=flows),
            inserts=False,
            lookup=True,
            strays=0.001,
        ),
    ]


def rule_site(rules: int) -> Site:
    """The last of so many rules is /rNNNN's."""
    return make_site([{"path_prefix": f"/r{n:04}", "pool": "a"} for n in range(rules)])


def large_site(endpoints: int, max_flows: int) -> Site:
    """`make_site` with so many hosts; each pool of them has a plain service of its own."""
    site = make_site().model_dump(mode="json")
    unit = {**site["units"][0], "max_flows": max_flows}
    first = {4: int(ip_address("10.1.128.0")), 6: int(ip_address("fd00:1::1:0:0"))}
    hosts = [
        {
            "name": f"h{n + 1}",
            "interface": "e0",
            "addresses": [str(ip_address(first[4] + n)), str(ip_address(first[6] + n))],
        }
        for n in range(endpoints)
    ]
    names = [host["name"] for host in hosts]
    pools = [
        {
            "name": f"p{start}",
            "members": [{"host": n} for n in names[start : start + HOSTS_PER_POOL]],
        }
        for start in range(0, endpoints, HOSTS_PER_POOL)
    ]
    services = [
        {
            "name": f"s{n}",
            "addresses": [VIP[4], VIP[6]],
            "port": PLAIN_PORT + n,
            "pool": pool["name"],
        }
        for n, pool in enumerate(pools)
    ]
    return Site.model_validate(
        {**site, "units": [unit], "hosts": hosts, "pools": pools, "services": services}
    )
