"""IPv4 options and IPv6 extension headers are taken off, and the packet goes on without them."""

from __future__ import annotations

import pytest
from bench import XDP_DROP, XDP_PASS, UnitBench
from errors import echo
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from packets import CLIENT, HOSTS, ROUTER_MAC, UNIT_MAC, VIP, Client, checksums_right
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether
from scapy.utils import checksum

pytestmark = pytest.mark.datapath

ETHERNET = 14
HOP_BY_HOP, ROUTING, DESTINATION, FRAGMENT = 0, 43, 60, 44
LSRR, SSRR = 131, 137


def with_options(frame: bytes, options: bytes) -> bytes:
    """An IPv4 frame with these options, a multiple of 4 bytes, in its header."""
    raw = bytearray(frame[:34] + options + frame[34:])
    raw[14] = 0x40 | (20 + len(options)) // 4
    length = int.from_bytes(raw[16:18], "big") + len(options)
    raw[16:18] = length.to_bytes(2, "big")
    raw[24:26] = bytes(2)
    raw[24:26] = checksum(bytes(raw[14 : 34 + len(options)])).to_bytes(2, "big")
    return bytes(raw)


def with_headers(frame: bytes, headers: list[tuple[int, bytes]]) -> bytes:
    """An IPv6 frame with these extension headers: number, and all behind the next-header field."""
    raw = bytearray(frame)
    following, chain = raw[20], b""
    for number, body in reversed(headers):
        chain = bytes([following]) + body + chain
        following = number
    raw[20] = following
    raw[18:20] = (int.from_bytes(raw[18:20], "big") + len(chain)).to_bytes(2, "big")
    return bytes(raw[:54]) + chain + bytes(raw[54:])


def padding(units: int = 0) -> bytes:
    """A hop-by-hop or destination options header of 8 * (units + 1) bytes, behind its first."""
    return (
        bytes([units]) + bytes([1, 4 + 8 * units]) + bytes(4 + 8 * units)
        if units < 31
        else (bytes([units]) + bytes(6 + 8 * units))
    )


def as_if_plain(unit: UnitBench, client: Client, dressed: bytes, plain: bytes) -> None:
    """Both frames become the same packet to the host."""
    expected, outcome = unit.send(plain), unit.send(dressed)
    assert (outcome.verdict, outcome.reason) == (expected.verdict, "hit")
    assert outcome.frame == expected.frame
    assert checksums_right(outcome.frame)


def segment(client: Client, payload: bytes = b"payload") -> bytes:
    return client.frame(payload, flags="A", seq=client.isn + 1, ack=78)


@pytest.mark.parametrize(
    "options",
    [
        bytes([1, 1, 1, 0]),
        bytes([0, 99, 99, 99]),
        bytes([1] * 40),
        bytes([7, 39, 4]) + bytes(36) + bytes([0]),
        bytes([148, 4, 0, 0]),
        bytes([68, 40, 5, 0]) + bytes(36),
        bytes([LSRR, 7, 8, 1, 2, 3, 4, 0]),
    ],
    ids=["no-ops", "end", "to the limit", "record route", "router alert", "timestamp", "arrived"],
)
def test_options_are_taken_off(unit: UnitBench, options: bytes) -> None:
    client = Client(4)
    unit.open_plain(client)
    as_if_plain(unit, client, with_options(segment(client), options), segment(client))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (bytes([LSRR, 7, 4, 1, 2, 3, 4, 0]), "source_routed"),
        (bytes([SSRR, 11, 8, *range(8), 0]), "source_routed"),
        (bytes([1, SSRR, 2, 0]), "source_routed"),
        (bytes([7, 0, 0, 0]), "unit_malformed"),
        (bytes([7, 1, 0, 0]), "unit_malformed"),
        (bytes([7, 5, 4, 0]), "unit_malformed"),
        (bytes([1, 1, 1, 7]), "unit_malformed"),
        (bytes([1] * 39 + [LSRR]), "unit_malformed"),
    ],
)
def test_options_that_are_not_taken(unit: UnitBench, options: bytes, reason: str) -> None:
    client = Client(4)
    unit.open_plain(client)
    outcome = unit.send(with_options(segment(client), options))
    assert (outcome.verdict, outcome.reason) == (XDP_DROP, reason)


def test_options_under_a_wrong_checksum(unit: UnitBench) -> None:
    client = Client(4)
    unit.open_plain(client)
    frame = bytearray(with_options(segment(client), bytes([1, 1, 1, 0])))
    frame[14 + 21] ^= 2
    assert unit.send(bytes(frame)).reason == "unit_malformed"


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(words=st.integers(1, 10), data=st.data())
def test_any_options_are_taken_off_or_named(
    unit: UnitBench, words: int, data: st.DataObject
) -> None:
    options = data.draw(st.binary(min_size=4 * words, max_size=4 * words))
    client = Client(4)
    unit.open_plain(client)
    plain = unit.send(segment(client))
    outcome = unit.send(with_options(segment(client), options))
    assert outcome.reason in ("hit", "unit_malformed", "source_routed")
    if outcome.reason == "hit":
        assert outcome.frame == plain.frame
    unit.reset()


CHAINS: dict[str, list[tuple[int, bytes]]] = {
    "hop by hop": [(HOP_BY_HOP, padding())],
    "destination": [(DESTINATION, padding(3))],
    "routing, arrived": [(ROUTING, bytes([2, 4, 0]) + bytes(20))],
    "all": [
        (HOP_BY_HOP, padding()),
        (DESTINATION, padding(1)),
        (ROUTING, bytes([0, 0, 0, 0, 0, 0, 0])),
    ],
    "atomic fragment": [(FRAGMENT, bytes([0, 0, 0, 1, 2, 3, 4]))],
    "around an atomic fragment": [
        (HOP_BY_HOP, padding()),
        (FRAGMENT, bytes([0, 0, 0, 1, 2, 3, 4])),
        (DESTINATION, padding()),
    ],
    "eight": [(DESTINATION, padding())] * 8,
    "long": [(DESTINATION, padding(150))],
}


@pytest.mark.parametrize("chain", CHAINS.values(), ids=CHAINS)
def test_extension_headers_are_taken_off(unit: UnitBench, chain: list[tuple[int, bytes]]) -> None:
    client = Client(6)
    unit.open_plain(client)
    as_if_plain(unit, client, with_headers(segment(client), chain), segment(client))


@pytest.mark.parametrize(
    ("chain", "reason"),
    [
        ([(DESTINATION, padding())] * 9, "ip_options"),
        ([(ROUTING, bytes([2, 4, 1]) + bytes(20))], "source_routed"),
        ([(HOP_BY_HOP, padding()), (ROUTING, bytes([0, 0, 255, 0, 0, 0, 0]))], "source_routed"),
        ([(DESTINATION, bytes([255, 1, 4, 0, 0, 0, 0]))], "unit_malformed"),
        ([(DESTINATION, bytes([30, 1, 4, 0, 0, 0, 0]))], "unit_malformed"),
    ],
    ids=["nine", "routed", "routed behind options", "longer than the frame", "longer"],
)
def test_extension_headers_that_are_not_taken(
    unit: UnitBench, chain: list[tuple[int, bytes]], reason: str
) -> None:
    client = Client(6)
    unit.open_plain(client)
    outcome = unit.send(with_headers(segment(client), chain))
    assert (outcome.verdict, outcome.reason) == (XDP_DROP, reason)


def test_headers_cut_at_any_byte(unit: UnitBench) -> None:
    client = Client(6)
    unit.open_plain(client)
    frame = with_headers(segment(client), CHAINS["around an atomic fragment"])
    for size in range(14, len(frame)):
        outcome = unit.send(frame[:size])
        assert outcome.reason in ("not_ours", "unit_malformed"), size
    # Lengths that end within the headers.
    for length in range(24 + 20):
        raw = bytearray(frame)
        raw[18:20] = length.to_bytes(2, "big")
        outcome = unit.send(bytes(raw))
        assert (outcome.verdict, outcome.reason) == (XDP_DROP, "unit_malformed"), length


def test_options_cut_at_any_byte(unit: UnitBench) -> None:
    client = Client(4)
    unit.open_plain(client)
    frame = with_options(segment(client), bytes([1] * 12))
    for size in range(14, len(frame)):
        assert unit.send(frame[:size]).reason in ("not_ours", "unit_malformed"), size


def test_packets_for_others_keep_theirs(unit: UnitBench) -> None:
    packet = Ether(src=ROUTER_MAC, dst=UNIT_MAC) / IP(src=CLIENT[4], dst=HOSTS[4][0]) / TCP()
    frames = [
        with_options(bytes(packet), bytes([1, 1, 1, 0])),
        with_headers(echo(6, CLIENT[6], HOSTS[6][0], b""), CHAINS["all"]),
    ]
    for frame in frames:
        outcome = unit.send(frame)
        assert (outcome.verdict, outcome.reason, outcome.frame) == (XDP_PASS, "not_ours", frame)


def test_a_syn_with_options_makes_a_route(unit: UnitBench, version: int) -> None:
    client = Client(version)
    syn = client.syn()
    dressed = (
        with_options(syn, bytes([1] * 8)) if version == 4 else with_headers(syn, CHAINS["all"])
    )
    outcome = unit.send(dressed)
    assert outcome.reason == "bundled_syn"
    assert bytes(outcome.bundle[2]) == syn[14:]


def test_an_echo_with_options_is_answered_without(unit: UnitBench, version: int) -> None:
    plain = echo(version, CLIENT[version], VIP[version], b"payload")
    dressed = (
        with_options(plain, bytes([1] * 8)) if version == 4 else with_headers(plain, CHAINS["all"])
    )
    outcome = unit.send(dressed)
    assert outcome.reason == "echo_answered"
    assert outcome.frame == unit.send(plain).frame
