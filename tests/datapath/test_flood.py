"""A million spoofed sources: all counted, state bounded, and those who were there before stay."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from bench import UnitBench
from harness import Clients, Harness
from packets import ROUTER_MAC, UNIT_MAC, VIP, Client
from scapy.layers.inet import IP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment
from scapy.layers.l2 import Ether

pytestmark = pytest.mark.datapath

SOURCES = 1 << 20
LUCKY = 4
OPEN = 400
ROOM = 1024
"""Routes that the test site's unit is sized for; the table has twice as many places."""


@pytest.fixture(scope="module")
def harness() -> Iterator[Harness]:
    with Harness() as opened:
        yield opened


def flood(harness: Harness, unit: UnitBench, frame: bytes) -> dict[str, int]:
    """What became of the frame from a million clients; nothing else is counted."""
    before = unit.datapath.counts()
    harness.load([frame])
    program = unit.datapath.program_fd("forward")
    harness.run(program, SOURCES, clients=Clients(count=SOURCES))
    after = unit.datapath.counts()
    grown = {reason.name.lower(): after[reason] - before[reason] for reason in after}
    return {name: count for name, count in grown.items() if count}


def routes(unit: UnitBench, version: int) -> int:
    return sum(1 for _ in (unit.datapath.flows4 if version == 4 else unit.datapath.flows6).items())


def alive(unit: UnitBench, clients: list[Client]) -> int:
    """How many of them still have the route that they opened."""
    frames = [client.frame(b"x", flags="A", seq=client.isn + 1, ack=78) for client in clients]
    return sum(unit.send(frame).reason == "hit" for frame in frames)


def test_syns_of_a_plain_service(harness: Harness, unit: UnitBench, version: int) -> None:
    opened = [Client(version, port=port, address=None) for port in range(2000, 2000 + OPEN)]
    for client in opened:
        unit.open_plain(client)
    evicted = unit.datapath.evicted.total(0)
    assert flood(harness, unit, Client(version).syn()) == {"bundled_syn": SOURCES}
    assert unit.datapath.evicted.total(0) - evicted > SOURCES - 4 * ROOM
    assert routes(unit, version) <= 2 * ROOM
    assert alive(unit, opened) > OPEN * 0.99


def test_syns_of_an_inspected_service_leave_nothing(
    harness: Harness, unit: UnitBench, version: int
) -> None:
    syn = Client(version, service_port=80).syn()
    assert flood(harness, unit, syn) == {"syn_answered": SOURCES}
    assert routes(unit, version) == 0


def test_segments_of_no_plain_connection(harness: Harness, unit: UnitBench, version: int) -> None:
    segment = Client(version).data(b"xy", 5)
    assert flood(harness, unit, segment) == {"no_route": SOURCES}
    assert routes(unit, version) == 0


def test_data_that_no_handshake_preceded(harness: Harness, unit: UnitBench, version: int) -> None:
    """24 bits of hash, in three epochs: of a million guesses, one in five series has one right."""
    data = Client(version, service_port=80).data(b"xy", 5)
    outcomes = flood(harness, unit, data)
    assert sum(outcomes.values()) == SOURCES
    assert SOURCES - outcomes["bad_cookie"] <= LUCKY
    assert routes(unit, version) <= LUCKY


def test_tails_of_packets_without_heads(unit: UnitBench, version: int) -> None:
    """Later fragments of packets that nobody began: nothing is noted of them."""
    source = IP(src="198.51.100.9", dst=VIP[4], frag=3, proto=17)
    if version == 6:
        header = IPv6(src="2001:db8:9::9", dst=VIP[6], nh=44)
        source = header / IPv6ExtHdrFragment(nh=17, offset=3)
    frame = bytearray(bytes(Ether(src=ROUTER_MAC, dst=UNIT_MAC) / source / bytes(24)))
    at = {4: 18, 6: 14 + 40 + 4}[version]
    for ident in range(2000):
        frame[at : at + 2] = ident.to_bytes(2, "big")
        assert unit.send(bytes(frame)).reason == "later_fragment"
    table = unit.datapath.fragments4 if version == 4 else unit.datapath.fragments6
    assert list(table.items()) == []
