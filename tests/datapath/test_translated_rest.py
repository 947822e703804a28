"""Half-NAT and NAT: fragments both ways, and ICMP errors about what was turned."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from bench import XDP_PASS, XDP_TX, UnitBench
from errors import ERRORS, ROUTER, error, icmp_of, quoted
from packets import CLIENT, HOSTS, ROUTER_MAC, UNIT_MAC, VIP, ip_of
from scapy.layers.inet import UDP
from scapy.layers.l2 import Ether
from site_file import KEY
from test_icmp import icmp_right, without_ttl
from test_unit_fragments import joined, pieces
from ways import NAT, PORTS, answer, network, site, udp

pytestmark = pytest.mark.datapath

BIG = bytes(i % 247 for i in range(3000))


@pytest.fixture(scope="module")
def loaded() -> Iterator[UnitBench]:
    with UnitBench(site(), KEY) as bench:
        yield bench


@pytest.fixture
def unit(loaded: UnitBench) -> UnitBench:
    loaded.reset()
    loaded.datapath.returns4.clear()
    loaded.datapath.returns6.clear()
    return loaded


@pytest.fixture(params=["half-nat", "nat"])
def mode(request: pytest.FixtureRequest) -> str:
    value: str = request.param
    return value


def without_id(packet: bytes, version: int) -> bytes:
    """IPv4's id, and its checksum with it."""
    if version == 6:
        return packet
    return packet[:4] + bytes(2) + packet[6:10] + bytes(2) + packet[12:]


def test_fragments_there(unit: UnitBench, version: int, mode: str) -> None:
    frame = udp(version, PORTS[mode], payload=BIG)
    frames = pieces(frame[14:], version, 1400, identification=9)
    first = unit.send(frames[0])
    assert (first.verdict, first.reason) == (XDP_TX, "plumbed")
    later = [unit.send(one) for one in frames[1:]]
    assert {outcome.reason for outcome in later} == {"fragment_sent"}
    whole = unit.send(frame)
    assert whole.reason == "hit"
    turned = joined([first.frame, *(outcome.frame for outcome in later)], version)
    assert without_id(turned, version) == without_id(whole.frame[14:], version)
    assert {outcome.frame[:12] for outcome in (first, *later)} == {whole.frame[:12]}
    # Again, along the route.
    assert {unit.send(one).reason for one in frames} == {"fragment_sent"}


def test_fragments_back(unit: UnitBench, version: int, mode: str) -> None:
    asked = unit.send(udp(version, PORTS[mode]))
    frame = answer(asked, BIG)
    whole = unit.send(frame)
    assert whole.reason == "returned"
    back = [unit.send(one) for one in pieces(frame[14:], version, 1400, identification=9)]
    assert {(outcome.verdict, outcome.reason) for outcome in back} == {(XDP_TX, "returned")}
    turned = joined([outcome.frame for outcome in back], version)
    assert without_id(turned, version) == without_id(whole.frame[14:], version)
    assert {outcome.frame[:12] for outcome in back} == {whole.frame[:12]}
    assert network(whole.frame).dst == CLIENT[version]


def test_other_traffic_in_fragments_is_left_alone(unit: UnitBench, version: int, mode: str) -> None:
    unit.send(udp(version, PORTS[mode]))
    inner = UDP(sport=5, dport=6) / BIG
    packet = bytes(
        ip_of(version, HOSTS[version][0], "10.9.9.9" if version == 4 else "fd09::9") / inner
    )
    for size in (1400, 8):
        for frame in pieces(packet, version, size)[:3]:
            outcome = unit.send(frame)
            assert (outcome.verdict, outcome.reason) == (XDP_PASS, "not_ours")
            assert outcome.frame == frame


@pytest.mark.parametrize("kind", list(ERRORS[4]))
def test_an_error_about_an_answer_reaches_the_endpoint(
    unit: UnitBench, version: int, mode: str, kind: str
) -> None:
    asked = unit.send(udp(version, PORTS[mode]))
    sent = answer(asked, bytes(60))
    seen = unit.send(sent)
    frame = error(version, VIP[version], kind, seen.frame[14:], ttl=20)
    outcome = unit.send(frame)
    assert (outcome.verdict, outcome.reason) == (XDP_TX, "icmp_sent")
    got, endpoint = network(outcome.frame), network(asked.frame)
    assert (got.src, got.dst) == (
        NAT[version] if mode == "nat" else ROUTER[version],
        endpoint.dst,
    )
    assert outcome.frame[:12] == asked.frame[:12]
    assert icmp_right(outcome.frame)
    assert icmp_of(outcome.frame)[4:8] == icmp_of(frame)[4:8]
    assert without_ttl(quoted(outcome.frame), version) == without_ttl(sent[14:], version)


@pytest.mark.parametrize("kind", list(ERRORS[4]))
def test_an_error_about_what_was_turned_reaches_the_client(
    unit: UnitBench, version: int, mode: str, kind: str
) -> None:
    sent = udp(version, PORTS[mode], payload=bytes(70))
    turned = unit.send(sent)
    target, source = network(turned.frame).src, HOSTS[version][2]
    outcome = unit.send(error(version, target, kind, turned.frame[14:], source=source))
    assert (outcome.verdict, outcome.reason) == (XDP_TX, "icmp_returned")
    got = network(outcome.frame)
    assert (got.src, got.dst) == (VIP[version], CLIENT[version])
    ethernet = Ether(outcome.frame)
    assert (ethernet.src, ethernet.dst) == (UNIT_MAC, ROUTER_MAC)
    assert icmp_right(outcome.frame)
    assert without_ttl(quoted(outcome.frame), version) == without_ttl(sent[14:], version)


def test_errors_about_others_packets_are_left_alone(unit: UnitBench, version: int) -> None:
    packet = bytes(ip_of(version, CLIENT[version], HOSTS[version][0]) / UDP() / bytes(40))
    frame = error(version, CLIENT[version], "unreachable", packet, source=HOSTS[version][0])
    outcome = unit.send(frame)
    assert (outcome.verdict, outcome.reason, outcome.frame) == (XDP_PASS, "not_ours", frame)
    for size in range(34, len(frame)):
        assert unit.send(frame[:size]).reason == "not_ours"
