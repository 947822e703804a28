"""Groups of ports and protocols: one host gets all flows of a client, whichever unit they meet."""

from __future__ import annotations

import socket
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from lab_counts import Packets
from lab_names import lab_name
from lab_sites import write_site
from named_ends import End, ask_tcp, ask_udp, named_ends
from raw_ip import Protocol, ah, ask_raw, esp, gre, raw_echo

from pointsman.lab.lab import Lab

pytestmark = pytest.mark.lab

# Each group has an address of its own: to an address, GRE is one service's.
ONE_UNIT = """
    cluster: {name: groups}
    units:
      - {name: u1, UNIT, addresses: [10.1.0.1, "fd00:1::1"], tunnel: [10.1.1.1, "fd00:1::1:1"],
         nat: [10.1.2.1, "fd00:1::2:1"]}
    hosts:
      - {name: h1, HOST, addresses: [10.1.0.11, "fd00:1::11"], agent: false}
      - {name: h2, HOST, addresses: [10.1.0.12, "fd00:1::12"], agent: false}
      - {name: h3, HOST, addresses: [10.1.0.13, "fd00:1::13"], agent: false}
      - {name: h4, HOST, addresses: [10.1.0.14, "fd00:1::14"], agent: false}
    pools:
      - {name: through, members: [{host: h1}, {host: h2}]}
      - {name: straight, members: [{host: h3}, {host: h4}]}
    services:
SERVICES
    lab:
      network: {ipv4: 10.1.0.0/16, ipv6: "fd00:1::/64"}
      clients: [{name: c1, addresses: CLIENTS}]
      gateways: {h1: u1, h2: u1}
      application: none
"""
TWO_UNITS = """
    cluster: {name: groups}
    units:
      - {name: u1, UNIT, addresses: [10.1.0.1, "fd00:1::1"], tunnel: [10.1.1.1, "fd00:1::1:1"],
         nat: [10.1.2.1, "fd00:1::2:1"]}
      - {name: u2, UNIT, addresses: [10.1.0.2, "fd00:1::2"], tunnel: [10.1.1.2, "fd00:1::1:2"],
         nat: [10.1.2.2, "fd00:1::2:2"]}
    hosts:
      - {name: h3, HOST, addresses: [10.1.0.13, "fd00:1::13"]}
      - {name: h4, HOST, addresses: [10.1.0.14, "fd00:1::14"]}
    pools:
      - {name: straight, choose: client-ip, members: [{host: h3}, {host: h4}]}
    services:
SERVICES
    lab:
      network: {ipv4: 10.1.0.0/16, ipv6: "fd00:1::/64"}
      clients: [{name: c1, addresses: CLIENTS}]
      application: none
"""
SERVICE = "      - {{name: {}, addresses: [{}], forward: {}, pool: {}, listen: [{}]}}"
OF_POOL = {"through": ("h1", "h2"), "straight": ("h3", "h4")}
CLIENTS = {
    version: [form.format(i) for i in range(2, 18)]
    for version, form in ((4, "198.51.100.{}"), (6, "2001:db8:1::{:x}"))
}
"""The client's addresses: as many clients to a unit."""
NAT = {4: ("10.1.2.1", "10.1.2.2"), 6: ("fd00:1::2:1", "fd00:1::2:2")}
"""The units'."""
FAMILIES = pytest.mark.parametrize("version", [4, 6])


@dataclass(frozen=True, slots=True)
class Group:
    name: str
    number: int
    """In its address."""
    way: str
    listen: str
    flows: tuple[str, ...]
    """Of those that it listens to, as `listen` has them."""

    @property
    def vip(self) -> dict[int, str]:
        return {4: f"203.0.113.{self.number}", 6: f"2001:db8:10::{self.number}"}

    @property
    def pool(self) -> str:
        return "through" if self.way == "half-nat" else "straight"

    def address(self, host: str, version: int) -> str:
        """At which it reaches a host."""
        if self.way in ("tunnel", "l2"):
            return self.vip[version]
        return {4: f"10.1.0.1{host[1:]}", 6: f"fd00:1::1{host[1:]}"}[version]


PPTP = "tcp/1723, gre", ("tcp/1723", "gre")
L2TP = "udp/500, udp/4500, udp/1701, esp", ("udp/500", "udp/4500", "udp/1701", "esp")
IPSEC = "udp/500, esp, ah", ("udp/500", "esp", "ah")
CALLS = "tcp/5060, udp/10000-10999", ("tcp/5060", "udp/10000", "udp/10517", "udp/10999")
OF_ONE = [
    Group("pptp", 10, "half-nat", *PPTP),
    Group("pptp-l2", 11, "l2", *PPTP),
    Group("l2tp", 12, "half-nat", *L2TP),
    Group("ipsec-l2", 13, "l2", *IPSEC),
    Group("calls", 14, "half-nat", *CALLS),
    Group("calls-nat", 15, "nat", *CALLS),
    Group("calls-l2", 16, "l2", *CALLS),
]
OF_TWO = [
    Group("pptp-l2", 20, "l2", *PPTP),
    Group("l2tp-l2", 21, "l2", *L2TP),
    Group("calls-nat", 22, "nat", *CALLS),
    Group("calls", 23, "tunnel", *CALLS),
]


def write(folder: Path, text: str, groups: list[Group]) -> Path:
    services = []
    for group in groups:
        addresses = ", ".join(f'"{address}"' for address in group.vip.values())
        services.append(SERVICE.format(group.name, addresses, group.way, group.pool, group.listen))
    clients = [f"{a}/24" for a in CLIENTS[4]] + [f"{a}/64" for a in CLIENTS[6]]
    text = text.replace("SERVICES", "\n".join(services)).replace("CLIENTS", str(clients))
    return write_site(folder, text)


@contextmanager
def served(lab: Lab, groups: Iterable[Group]) -> Iterator[None]:
    """Everybody listens."""
    ends: set[End] = set()
    raw: set[tuple[str, Protocol, str]] = set()
    kinds = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}
    for group in groups:
        for host in OF_POOL[group.pool]:
            for address in (group.address(host, version) for version in (4, 6)):
                for flow in group.flows:
                    protocol, _, port = flow.partition("/")
                    if port:
                        ends.add(End(host, kinds[protocol], address, int(port)))
                    else:
                        raw.add((host, Protocol[protocol.upper()], address))
    with ExitStack() as stack:
        stack.enter_context(named_ends(lab, ends))
        for host, kind, address in raw:
            stack.enter_context(raw_echo(lab, host, kind, address))
        yield


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    site = write(tmp_path_factory.mktemp("one"), ONE_UNIT, OF_ONE)
    with Lab(lab_name(), site) as lab:
        lab.up()
        with served(lab, OF_ONE):
            yield lab


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    site = write(tmp_path_factory.mktemp("two"), TWO_UNITS, OF_TWO)
    with Lab(lab_name(), site) as lab:
        lab.up()
        with served(lab, OF_TWO):
            yield lab


def ask_flow(lab: Lab, target: str, flow: str, source: str) -> tuple[str, str | None]:
    """The host that answers; the client as it sees it, if the protocol's server tells."""
    protocol, _, port = flow.partition("/")
    if protocol == "tcp":
        return ask_tcp(lab, "c1", target, int(port), source=source)
    if protocol == "udp":
        return ask_udp(lab, "c1", target, int(port), source=source)
    kind = Protocol[protocol.upper()]
    packet = {
        Protocol.GRE: gre(b"frame", call=7),
        Protocol.ESP: esp(b"secret", spi=0x1234),
        Protocol.AH: ah(b"signed", spi=0x1234),
    }[kind]
    return ask_raw(lab, "c1", kind, target, packet, source=source), None


def hosts_of_clients(lab: Lab, group: Group, version: int) -> dict[str, set[str]]:
    """Every client begins all of its flows, twice, while the others do the same."""
    found = defaultdict(set)
    for flow in group.flows * 2:
        for client in CLIENTS[version]:
            host, seen = ask_flow(lab, group.vip[version], flow, client)
            assert seen is None or seen in (NAT[version] if group.way == "nat" else [client])
            found[client].add(host)
    return found


def check_group(lab: Lab, group: Group, version: int) -> None:
    found = hosts_of_clients(lab, group, version)
    assert [hosts for hosts in found.values() if len(hosts) > 1] == []
    assert set.union(*found.values()) == set(OF_POOL[group.pool])


def check_packets(packets: Packets, units: list[str]) -> None:
    assert packets.dropped() == {}
    assert [packets.unaccounted(unit) for unit in units] == [0] * len(units)


@FAMILIES
@pytest.mark.parametrize("group", OF_ONE, ids=lambda group: group.name)
def test_one_host_for_a_client(one: Lab, group: Group, version: int) -> None:
    packets = Packets(one, ["u1"])
    check_group(one, group, version)
    check_packets(packets, ["u1"])
    begun = packets.outcomes("u1")["plumbed"]
    portless = sum("/" not in flow for flow in group.flows)
    # Without ports, a client's second flow is his first.
    assert begun == len(CLIENTS[version]) * (2 * len(group.flows) - portless)


@FAMILIES
@pytest.mark.parametrize("group", OF_TWO, ids=lambda group: group.name)
def test_units_agree_about_the_host(two: Lab, group: Group, version: int) -> None:
    packets = Packets(two, ["u1", "u2", "h3", "h4"])
    check_group(two, group, version)
    check_packets(packets, ["u1", "u2"])


@FAMILIES
def test_flows_of_one_client_meet_both_units(two: Lab, version: int) -> None:
    """Else the test before would show little."""
    packets = Packets(two, ["u1", "u2"])
    group = OF_TWO[-1]
    hosts = {
        ask_flow(two, group.vip[version], "tcp/5060", CLIENTS[version][0])[0] for _ in range(20)
    }
    assert len(hosts) == 1
    for unit in ("u1", "u2"):
        assert packets.outcomes(unit)["bundled_syn"] > 0
