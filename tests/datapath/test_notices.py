"""Notices raise a host's epoch; routes of an older epoch teach once more."""

from __future__ import annotations

import pytest
from bench import XDP_DROP, XDP_TX, UnitBench
from models import notice_tag
from packets import HOSTS, ROUTER_MAC, TUNNEL, UNIT_MAC, Client, ip_of, split
from scapy.layers.inet import UDP
from scapy.layers.l2 import Ether

from pointsman.datapath import abi
from pointsman.tunnel.keys import tag_key

pytestmark = pytest.mark.datapath


def notice(unit: UnitBench, version: int, host: int, nonce: bytes = b"nonce001") -> bytearray:
    source, target = HOSTS[version][host], TUNNEL[version]
    blank = abi.Notice(1, abi.BundleKind.NOTICE_UNKNOWN, b"flow", nonce, bytes(8)).pack()
    tag = notice_tag(tag_key(unit.key), blank, source, target).to_bytes(8, "little")
    packet = ip_of(version, source, target) / UDP(sport=7471, dport=7471) / (blank[:16] + tag)
    return bytearray(bytes(Ether(src=ROUTER_MAC, dst=UNIT_MAC) / packet))


def epoch(unit: UnitBench, host: int) -> int:
    return unit.datapath.host_epochs.get(host).epoch


def test_routes_teach_once_more_after_a_notice(unit: UnitBench, version: int) -> None:
    client = Client(version)
    unit.open_plain(client)
    host = unit.host_of(client)
    outcome = unit.send(bytes(notice(unit, version, host)))
    assert (outcome.verdict, outcome.reason) == (XDP_DROP, "notice")
    assert epoch(unit, host) == 1

    segment = client.frame(b"data", flags="A", seq=client.isn + 1, ack=78)
    taught = unit.send(segment)
    assert (taught.verdict, taught.reason) == (XDP_TX, "taught")
    _, bundle, inner = taught.bundle
    assert bundle.kind == abi.BundleKind.TEACH
    assert bundle.flow_id == unit.flow(client).flow_id
    assert bytes(inner) == bytes(split(segment)[0])
    assert unit.send(segment).reason == "hit"


def test_a_segment_too_long_to_bundle_sends_its_headers(unit: UnitBench, version: int) -> None:
    client = Client(version)
    unit.open_plain(client)
    unit.send(bytes(notice(unit, version, unit.host_of(client))))
    headers = {4: 40, 6: 60}[version]
    segment = client.frame(bytes(1500 - headers), flags="A", seq=client.isn + 1, ack=78)
    taught = unit.send(segment)
    assert (taught.verdict, taught.reason) == (XDP_TX, "taught_only")
    _, bundle, inner = taught.bundle
    assert bundle.kind == abi.BundleKind.TEACH_ONLY
    assert bytes(inner) == segment[14 : 14 + headers]
    assert unit.send(segment).reason == "hit"


def test_other_hosts_routes_are_left_alone(unit: UnitBench, version: int) -> None:
    client = Client(version)
    unit.open_plain(client)
    unit.send(bytes(notice(unit, version, (unit.host_of(client) + 1) % 3)))
    assert unit.send(client.frame(b"x", flags="A", seq=1, ack=1)).reason == "hit"


def test_one_run_of_a_host_raises_its_epoch_once_a_tick(unit: UnitBench, version: int) -> None:
    raised = set()
    for _ in range(50):
        unit.send(bytes(notice(unit, version, 0)))
        raised.add(epoch(unit, 0))
    # The clock's tick may have passed once meanwhile.
    assert raised <= {1, 2}
    before = epoch(unit, 0)
    unit.send(bytes(notice(unit, version, 0, b"nonce002")))
    assert epoch(unit, 0) == before + 1


def test_a_notice_with_any_byte_changed_is_no_notice(unit: UnitBench, version: int) -> None:
    right = notice(unit, version, 0)
    for byte in range(len(right) - 24, len(right)):
        wrong = bytearray(right)
        wrong[byte] ^= 1
        outcome = unit.send(bytes(wrong))
        assert (outcome.verdict, outcome.reason) == (XDP_DROP, "bad_notice")
    assert epoch(unit, 0) == 0


def test_a_stranger_can_send_no_notice(unit: UnitBench, version: int) -> None:
    stranger = {4: "10.1.0.99", 6: "fd00:1::99"}[version]
    packet = Ether(bytes(notice(unit, version, 0)))
    packet.payload.src = stranger
    outcome = unit.send(bytes(packet))
    assert (outcome.verdict, outcome.reason) == (XDP_DROP, "bad_notice")
