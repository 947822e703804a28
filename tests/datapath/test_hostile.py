"""Packets of any content: dropped and counted, or left to the stack, never misrouted."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from bench import XDP_DROP, XDP_PASS, UnitBench
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from packets import CLIENT, ROUTER_MAC, TUNNEL, UNIT_MAC, Client, checksums_right, ip_of
from scapy.layers.inet import TCP, UDP
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet
from scapy.utils import checksum

pytestmark = pytest.mark.datapath

ETHER = Ether(src=ROUTER_MAC, dst=UNIT_MAC)
GET = b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n"


def whole(packet: Packet) -> bytes:
    return bytes(ETHER / packet)


def tcp_checksum_right(frame: bytes, version: int) -> bool:
    """By the lengths that the frame claims; scapy sums what is there."""
    length = (
        int.from_bytes(frame[16:18], "big") if version == 4 else 40 + frame[18] * 256 + frame[19]
    )
    segment = frame[14 + (20 if version == 4 else 40) : 14 + length]
    addresses = frame[26:34] if version == 4 else frame[22:54]
    pseudo = addresses + len(segment).to_bytes(4, "big") + bytes([0, 0, 0, 6])
    return bool(checksum(pseudo + segment) == 0)


def routes(unit: UnitBench) -> int:
    return len(list(unit.datapath.flows4.items())) + len(list(unit.datapath.flows6.items()))


@pytest.mark.parametrize("flags", ["", "SA", "SF", "SR", "SAF", "F", "P", "U", "E", "FSRPAUEC"])
@pytest.mark.parametrize("port", [80, 81])
def test_flags_no_stack_sends(unit: UnitBench, version: int, flags: str, port: int) -> None:
    outcome = unit.send(Client(version, service_port=port).frame(flags=flags, seq=1, ack=1))
    assert (outcome.verdict, outcome.reason) == (XDP_DROP, "bad_flags")
    assert routes(unit) == 0


def test_a_port_that_is_no_service(unit: UnitBench, version: int) -> None:
    outcome = unit.send(Client(version, service_port=82).syn())
    assert (outcome.verdict, outcome.reason) == (XDP_DROP, "no_service")


def test_what_is_not_ours_is_left_to_the_stack(unit: UnitBench, version: int) -> None:
    other = {4: "10.9.9.9", 6: "fd09::9"}[version]
    source = CLIENT[version]
    frames = [
        whole(ip_of(version, source, other) / TCP(dport=80, flags="S")),
        whole(ip_of(version, source, other) / TCP(dport=80, flags="A")),
        whole(ip_of(version, source, other) / UDP(dport=7471)),
        whole(ARP()),
        bytes(Ether(type=0x88CC)) + b"x" * 50,
    ]
    for frame in frames:
        outcome = unit.send(frame)
        assert (outcome.verdict, outcome.reason) == (XDP_PASS, "not_ours")
        assert outcome.frame == frame


def wrong_syns(client: Client) -> Iterator[bytes]:
    """With one bit of TCP turned over, behind the ports."""
    right = client.syn(options=[("MSS", 1400)])
    for byte in range(14 + {4: 20, 6: 40}[client.version] + 4, len(right)):
        wrong = bytearray(right)
        wrong[byte] ^= 0x10
        yield bytes(wrong)


def test_a_wrong_checksum_makes_no_answer_and_no_route(unit: UnitBench, version: int) -> None:
    for wrong in wrong_syns(Client(version, service_port=80)):
        outcome = unit.send(wrong)
        assert outcome.verdict == XDP_DROP
        assert outcome.reason in ("bad_checksum", "bad_flags", "unit_malformed", "no_route")
    assert routes(unit) == 0


def test_a_plain_syn_with_a_wrong_checksum_is_the_hosts_to_drop(
    unit: UnitBench, version: int
) -> None:
    sent = 0
    for port, wrong in enumerate(wrong_syns(Client(version, service_port=81)), 41000):
        frame = bytearray(wrong)
        at = 14 + {4: 20, 6: 40}[version]
        frame[at : at + 2] = port.to_bytes(2, "big")
        outcome = unit.send(bytes(frame))
        if outcome.reason == "bundled_syn":
            assert bytes(outcome.bundle[2]) == bytes(frame[14:])
            sent += 1
    assert sent > 10


def test_first_data_with_a_wrong_checksum_is_dropped(unit: UnitBench, version: int) -> None:
    client = Client(version, service_port=80)
    isn = unit.shake_hands(client)
    for size in (len(GET), len(GET) + 1, 600, 1100):
        right = client.data(GET.ljust(size, b"z"), isn)
        for byte in (len(right) - size, len(right) - size // 2, len(right) - 1):
            wrong = bytearray(right)
            wrong[byte] ^= 1
            outcome = unit.send(bytes(wrong))
            assert (outcome.verdict, outcome.reason) == (XDP_DROP, "bad_checksum")
    assert routes(unit) == 0


@pytest.mark.parametrize(
    "data",
    [
        b"GET /" + b"a" * 1300,
        b"GET /a HTTP/1.1\r\nX: " + b"v" * 1300,
        b"GET /a HTTP/1.1\r\n" + b"n" * 1300,
        b"GET /a HTTP/1.1\r\n" + b"\r" * 1300,
        b"GET /a HTTP/1.1\r\n" + b"A:b\r\n" * 200,
        b" " * 1300,
    ],
)
def test_requests_without_end_are_placed(unit: UnitBench, version: int, data: bytes) -> None:
    client = Client(version, service_port=80)
    outcome = unit.send(client.data(data, unit.shake_hands(client)))
    assert outcome.reason == "bundled_data"
    assert bytes(outcome.bundle[2].payload.payload) == data


def test_a_hit_does_not_mend_a_wrong_checksum(unit: UnitBench, version: int) -> None:
    client = Client(version)
    unit.open_plain(client)
    wrong = bytearray(client.frame(b"payload", flags="A", seq=client.isn + 1, ack=78))
    wrong[-1] ^= 1
    outcome = unit.send(bytes(wrong))
    assert outcome.reason == "hit"
    assert not checksums_right(outcome.frame)


def test_time_to_live_ends(unit: UnitBench, version: int) -> None:
    client = Client(version)
    unit.open_plain(client)
    for ttl, reason in ((2, "hit"), (1, "ttl_expired"), (0, "ttl_expired")):
        frame = client.frame(flags="A", seq=client.isn + 1, ack=78, ttl=ttl)
        assert unit.send(frame).reason == reason


def test_lengths_that_contradict(unit: UnitBench, version: int) -> None:
    right = Client(version).syn()
    at = 14 + {4: 20, 6: 40}[version]
    length_at = 16 if version == 4 else 18
    broken = []
    for length in (0, 1, 19, 39, 2000, 65535):
        frame = bytearray(right)
        frame[length_at : length_at + 2] = length.to_bytes(2, "big")
        if version == 6 and length == 39:
            continue
        broken.append(bytes(frame))
    for offset in (0, 1, 4, 6, 15):
        frame = bytearray(right)
        frame[at + 12] = offset << 4
        broken.append(bytes(frame))
    for first in (0x05, 0x44, 0x65 if version == 4 else 0x45):
        frame = bytearray(right)
        frame[14] = first
        broken.append(bytes(frame))
    for frame_bytes in broken:
        outcome = unit.send(frame_bytes)
        assert (outcome.verdict, outcome.reason) == (XDP_DROP, "unit_malformed")
    assert routes(unit) == 0


def _frames_to_cut(unit: UnitBench, version: int) -> list[bytes]:
    plain, inspected = Client(version), Client(version, service_port=80)
    isn = unit.shake_hands(inspected)
    source = TUNNEL[version]
    return [
        plain.syn(options=[("MSS", 1460), ("Timestamp", (1, 0))]),
        inspected.syn(options=[("MSS", 1460), ("WScale", 7)]),
        inspected.data(GET, isn),
        inspected.frame(flags="A", seq=inspected.isn + 1, ack=isn + 1),
        whole(ip_of(version, CLIENT[version], source) / UDP(dport=7471) / bytes(24)),
    ]


def test_a_frame_cut_at_any_byte_goes_nowhere(unit: UnitBench, version: int) -> None:
    for frame in _frames_to_cut(unit, version):
        for size in range(14, len(frame)):
            outcome = unit.send(frame[:size])
            assert outcome.verdict in (XDP_DROP, XDP_PASS), size
            if outcome.verdict == XDP_DROP:
                assert outcome.reason in ("unit_malformed", "bad_notice"), size
            assert outcome.frame == frame[:size]
    assert routes(unit) == 0


def test_a_hit_cut_at_any_byte_goes_nowhere(unit: UnitBench, version: int) -> None:
    client = Client(version)
    unit.open_plain(client)
    frame = client.frame(b"payload", flags="A", seq=client.isn + 1, ack=78)
    for size in range(14, len(frame)):
        outcome = unit.send(frame[:size])
        assert outcome.reason in ("not_ours", "unit_malformed")
        assert outcome.verdict in (XDP_DROP, XDP_PASS)


@settings(
    max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(noise=st.binary(min_size=1, max_size=60), at=st.integers(0, 70))
def test_noise_in_a_syn_draws_no_answer_that_its_checksum_does_not_prove(
    unit: UnitBench, version: int, noise: bytes, at: int
) -> None:
    frame = bytearray(Client(version, service_port=80).syn(options=[("MSS", 1460)]))
    first = 14 + at
    frame[first : first + len(noise)] = noise
    outcome = unit.send(bytes(frame))
    # Where the port becomes a plain service's, its host sees to the checksum.
    if outcome.verdict not in (XDP_DROP, XDP_PASS) and outcome.reason != "bundled_syn":
        assert tcp_checksum_right(bytes(frame), version)
    unit.reset()


@settings(
    max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(body=st.binary(min_size=0, max_size=200), kind=st.sampled_from([0x0800, 0x86DD]))
def test_noise_after_the_ethernet_header_is_survived(
    unit: UnitBench, body: bytes, kind: int
) -> None:
    frame = bytes(Ether(src=ROUTER_MAC, dst=UNIT_MAC, type=kind)) + body
    outcome = unit.send(frame if len(frame) >= 14 else frame.ljust(14, b"\0"))
    assert outcome.verdict in (XDP_DROP, XDP_PASS)


def test_random_frames_leave_no_route(unit: UnitBench) -> None:
    for _ in range(2000):
        unit.send(bytes(Ether(type=0x0800)) + os.urandom(60))
    assert routes(unit) == 0
