"""Frames with VLAN tags: treated as without, and the same tags on whatever leaves."""

from __future__ import annotations

import pytest
from bench import XDP_DROP, XDP_PASS, XDP_TX, UnitBench
from errors import answer, echo, error
from packets import CLIENT, HOSTS, VIP, Client

pytestmark = pytest.mark.datapath

QINQ, VLAN = b"\x88\xa8\x00\x64", b"\x81\x00\x60\x0a"
TAGS = [VLAN, QINQ, QINQ + VLAN, VLAN + VLAN]


def tag(frame: bytes, tags: bytes) -> bytes:
    return frame[:12] + tags + frame[12:]


def untag(frame: bytes, tags: bytes) -> bytes:
    assert frame[12 : 12 + len(tags)] == tags
    return frame[:12] + frame[12 + len(tags) :]


@pytest.mark.parametrize("tags", TAGS, ids=["vlan", "qinq alone", "qinq", "two vlans"])
def test_a_connection_within_tags(unit: UnitBench, version: int, tags: bytes) -> None:
    client = Client(version)
    bundled = unit.send(tag(client.syn(), tags))
    assert (bundled.verdict, bundled.reason) == (XDP_TX, "bundled_syn")
    assert len(bundled.frame) == len(client.syn()) + len(tags) + {4: 52, 6: 72}[version]
    assert untag(bundled.frame, tags)[-len(client.syn()) + 14 :] == client.syn()[14:]
    for size in (0, 1, 1200):
        segment = client.frame(bytes(size), flags="A", seq=client.isn + 1, ack=77)
        plain, outcome = unit.send(segment), unit.send(tag(segment, tags))
        assert (outcome.verdict, outcome.reason) == (XDP_TX, "hit")
        assert untag(outcome.frame, tags) == plain.frame


@pytest.mark.parametrize("tags", TAGS, ids=["vlan", "qinq alone", "qinq", "two vlans"])
def test_answers_within_tags(unit: UnitBench, version: int, tags: bytes) -> None:
    client = Client(version, service_port=80)
    syn = client.syn(options=[("MSS", 1460)])
    outcome = unit.send(tag(syn, tags))
    assert (outcome.verdict, outcome.reason) == (XDP_TX, "syn_answered")
    assert untag(outcome.frame, tags)[12:14] == syn[12:14]
    ping = echo(version, CLIENT[version], VIP[version], b"payload")
    pong = unit.send(tag(ping, tags))
    assert pong.reason == "echo_answered"
    assert untag(pong.frame, tags) == unit.send(ping).frame


def test_an_icmp_error_within_tags(unit: UnitBench, version: int) -> None:
    client = Client(version)
    unit.open_plain(client)
    quote = answer(client.four_tuple, version, 6, 600)
    frame = error(version, VIP[version], "frag needed", quote)
    outcome = unit.send(tag(frame, VLAN))
    assert outcome.reason == "icmp_sent"
    assert untag(outcome.frame, VLAN) == unit.send(frame).frame


def test_what_is_dropped_or_passed_within_tags(unit: UnitBench, version: int) -> None:
    client = Client(version)
    dropped = unit.send(tag(client.frame(flags="A", seq=1, ack=1), VLAN))
    assert (dropped.verdict, dropped.reason) == (XDP_DROP, "no_route")
    frame = tag(echo(version, CLIENT[version], HOSTS[version][0], b""), QINQ + VLAN)
    passed = unit.send(frame)
    assert (passed.verdict, passed.reason, passed.frame) == (XDP_PASS, "not_ours", frame)


def test_more_than_two_tags_are_not_ours(unit: UnitBench, version: int) -> None:
    frame = tag(Client(version).syn(), QINQ + VLAN + VLAN)
    outcome = unit.send(frame)
    assert (outcome.verdict, outcome.reason, outcome.frame) == (XDP_PASS, "not_ours", frame)


def test_other_tagged_frames_are_not_ours(unit: UnitBench) -> None:
    for tags in TAGS:
        frame = tag(bytes(12) + b"\x08\x06" + bytes(46), tags)
        outcome = unit.send(frame)
        assert (outcome.verdict, outcome.reason, outcome.frame) == (XDP_PASS, "not_ours", frame)


def test_tagged_frames_cut_at_any_byte(unit: UnitBench, version: int) -> None:
    client = Client(version)
    unit.open_plain(client)
    segment = client.frame(b"payload", flags="A", seq=client.isn + 1, ack=77)
    for tags in TAGS:
        frame = tag(segment, tags)
        for size in range(14, len(frame)):
            outcome = unit.send(frame[:size])
            assert outcome.reason in ("not_ours", "unit_malformed"), size
            assert outcome.verdict in (XDP_PASS, XDP_DROP)
            if outcome.verdict == XDP_PASS:
                assert outcome.frame == frame[:size]
