"""UDP, protocols without ports, ranges of ports and groups of them (R-A9, R-E12)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest
from bench import XDP_DROP, XDP_PASS, XDP_TX, Outcome, UnitBench, host_mac
from models import bundle_tag
from packets import CLIENT, HOSTS, ROUTER_MAC, TUNNEL, UNIT_MAC, VIP, Client, ip_of
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw
from site_file import KEY, make_site

from pointsman.config.model import Site
from pointsman.datapath import abi
from pointsman.datapath.addresses import flow_key4, flow_key6
from pointsman.tunnel.keys import tag_key

pytestmark = pytest.mark.datapath

GRE, ESP, AH = 47, 50, 51


def site() -> Site:
    """make_site(), and: `dns`, a group like L2TP's, one like PPTP's by layer 2, RTP's ports."""
    addresses = [VIP[4], VIP[6]]
    common: dict[str, Any] = {"addresses": addresses, "pool": "by-client"}
    document = make_site().model_dump(mode="json", exclude_unset=True)
    members = [{"host": f"h{i}"} for i in (1, 2, 3)]
    document["pools"].append({"name": "by-client", "choose": "client-ip", "members": members})
    document["services"] += [
        {"name": "dns", "addresses": addresses, "protocol": "udp", "port": 53, "pool": "all"},
        {**common, "name": "l2tp", "listen": ["udp/500", "udp/4500", "udp/1701"]},
        {**common, "name": "pptp", "listen": ["tcp/1723", "gre", "esp", "ah"], "forward": "l2"},
        {"name": "rtp", "addresses": addresses, "listen": ["udp/10000-20000"], "pool": "all"},
    ]
    return Site.model_validate(document)


@pytest.fixture(scope="module")
def loaded() -> Iterator[UnitBench]:
    with UnitBench(site(), KEY) as bench:
        yield bench


@pytest.fixture
def unit(loaded: UnitBench) -> UnitBench:
    loaded.reset()
    loaded.datapath.affinities4.clear()
    loaded.datapath.affinities6.clear()
    return loaded


def frame_of(version: int, inner: Packet, source: str | None = None, **ip: Any) -> bytes:
    packet = ip_of(version, source or CLIENT[version], VIP[version], **ip) / inner
    return bytes(Ether(src=ROUTER_MAC, dst=UNIT_MAC) / packet)


def datagram(version: int, dport: int, sport: int = 40000, size: int = 30, **ip: Any) -> bytes:
    return frame_of(version, UDP(sport=sport, dport=dport) / Raw(b"d" * size), **ip)


def portless(version: int, proto: int, source: str | None = None) -> bytes:
    fields = {"proto": proto} if version == 4 else {"nh": proto}
    return frame_of(version, Raw(b"\x20\x00\x08\x00payload"), source, **fields)


def host_of(outcome: Outcome) -> int:
    """Who got the frame."""
    macs = [host_mac(index).hex(":") for index in range(3)]
    return macs.index(Ether(outcome.frame).dst)


def flow_of(unit: UnitBench, version: int, sport: int, dport: int) -> abi.Flow:
    source, target = ip_address(CLIENT[version]), ip_address(VIP[version])
    if version == 4:
        return unit.datapath.flows4.get(flow_key4(source, sport, target, dport, 17))  # type: ignore[arg-type]
    return unit.datapath.flows6.get(flow_key6(source, sport, target, dport, 17))  # type: ignore[arg-type]


def udp_checksum_right(frame: bytes) -> bool:
    packet = Ether(frame)
    del packet[UDP].chksum
    if IP in packet:
        del packet[IP].chksum
    return bytes(Ether(bytes(packet))) == frame


def test_the_first_datagram_is_a_bundle(unit: UnitBench, version: int) -> None:
    frame = datagram(version, 53)
    outcome = unit.send(frame)
    assert (outcome.verdict, outcome.reason) == (XDP_TX, "bundled_datagram")
    outer, head, inner = outcome.bundle
    assert (outer.src, outer.dst) == (TUNNEL[version], HOSTS[version][host_of(outcome)])
    assert bytes(inner) == frame[14:]
    flow = flow_of(unit, version, 40000, 53)
    assert (head.kind, head.flow_id) == (abi.BundleKind.DATAGRAM, flow.flow_id)
    assert flow.state == abi.FlowState.DATAGRAM


def test_its_tag_covers_what_tells_it_from_others(unit: UnitBench, version: int) -> None:
    outer, head, _ = unit.send(datagram(version, 53)).bundle
    header = bytes(outer.payload.payload)[:16]
    four_tuple = CLIENT[version], VIP[version], 40000, 53
    wanted = bundle_tag(tag_key(KEY), header, four_tuple, 0, 0, protocol=17)
    assert head.tag == wanted.to_bytes(8, "little")


@pytest.mark.parametrize("size", [0, 1, 30, 1400])
def test_later_datagrams_carry_a_flow_id(unit: UnitBench, version: int, size: int) -> None:
    unit.send(datagram(version, 53))
    outcome = unit.send(datagram(version, 53, size=size))
    flow = flow_of(unit, version, 40000, 53)
    assert (outcome.verdict, outcome.reason) == (XDP_TX, "hit")
    packet = Ether(outcome.frame)
    assert bytes(packet[UDP])[:4] == flow.flow_id
    assert udp_checksum_right(outcome.frame)
    assert len(outcome.frame) == len(datagram(version, 53, size=size))


def test_a_checksum_that_nobody_made_stays_none(unit: UnitBench) -> None:
    unit.send(datagram(4, 53))
    inner = UDP(sport=40000, dport=53, chksum=0) / Raw(b"d")
    outcome = unit.send(frame_of(4, inner))
    assert (outcome.reason, Ether(outcome.frame)[UDP].chksum) == ("hit", 0)


def test_no_checksum_turns_into_none(unit: UnitBench, version: int) -> None:
    """One that comes out as 0 is written as 65535 (RFC 768)."""
    unit.send(datagram(version, 53))
    blank = unit.send(frame_of(version, UDP(sport=40000, dport=53) / Raw(b"\0\0"))).frame
    # A payload that adds what is missing to all ones.
    rest = Ether(blank)[UDP].chksum
    inner = UDP(sport=40000, dport=53) / Raw(rest.to_bytes(2, "big"))
    frame = unit.send(frame_of(version, inner)).frame
    assert Ether(frame)[UDP].chksum == 0xFFFF


def test_a_first_datagram_too_long_to_bundle_teaches(unit: UnitBench, version: int) -> None:
    size = 1500 - {4: 28, 6: 48}[version]
    outcome = unit.send(datagram(version, 53, size=size))
    assert (outcome.verdict, outcome.reason) == (XDP_TX, "taught_only")
    _, head, inner = outcome.bundle
    assert head.kind == abi.BundleKind.TEACH_ONLY
    assert len(inner) == {4: 28, 6: 48}[version]
    assert unit.send(datagram(version, 53, size=size)).reason == "hit"


def test_a_flow_idle_for_too_long_is_dealt_anew(unit: UnitBench, version: int) -> None:
    unit.send(datagram(version, 53))
    flow = flow_of(unit, version, 40000, 53)
    assert unit.send(datagram(version, 53)).reason == "hit"
    table = unit.datapath.flows4 if version == 4 else unit.datapath.flows6
    ((key, _),) = table.items()
    table.set(key, replace(flow, seen=flow.seen - 60))  # type: ignore[arg-type]
    assert unit.send(datagram(version, 53)).reason == "bundled_datagram"


@pytest.mark.parametrize(
    ("port", "reason"),
    [
        (9999, "no_service"),
        (10000, "bundled_datagram"),
        (13333, "bundled_datagram"),
        (20000, "bundled_datagram"),
        (20001, "no_service"),
    ],
)
def test_a_range_of_ports(unit: UnitBench, version: int, port: int, reason: str) -> None:
    assert unit.send(datagram(version, port)).reason == reason


def test_ports_that_are_a_service_of_another_protocol(unit: UnitBench, version: int) -> None:
    assert unit.send(datagram(version, 80)).reason == "no_service"


def test_a_group_keeps_a_client_together(unit: UnitBench, version: int) -> None:
    hosts = set()
    for last in range(2, 42):
        source = {4: f"198.51.100.{last}", 6: f"2001:db8:1::{last:x}"}[version]
        flows = [
            host_of(unit.send(frame_of(version, UDP(sport=sport, dport=port) / Raw(b"x"), source)))
            for port in (500, 4500, 1701)
            for sport in (1000, 2000)
        ]
        assert len(set(flows)) == 1
        hosts.add(flows[0])
    assert hosts == {0, 1, 2}


def test_a_group_outlives_a_change_of_hosts(unit: UnitBench, version: int) -> None:
    """The client stays where it is when the deck changes, and goes when its host does."""
    first = host_of(unit.send(datagram(version, 500)))
    pool = next(d.number for d in unit.classifier._decks if d.service == "l2tp")
    before = unit.datapath.pools.get(pool)
    cards = unit.datapath.cards.values(before.first, 100)
    turned = [card + 1 if card % 3 < 2 else card - 2 for card in cards]
    try:
        unit.datapath.cards.set_many(before.first, turned)
        assert host_of(unit.send(datagram(version, 4500))) == first
        unit.set_host(first, usable=False)
        second = host_of(unit.send(datagram(version, 1701)))
        assert second != first
        unit.set_host(first, usable=True)
        assert host_of(unit.send(datagram(version, 1701, sport=7))) == second
    finally:
        unit.datapath.cards.set_many(before.first, cards)


@pytest.mark.parametrize("proto", [GRE, ESP, AH])
def test_protocols_without_ports_by_layer_2(unit: UnitBench, version: int, proto: int) -> None:
    frame = portless(version, proto)
    first, again = unit.send(frame), unit.send(frame)
    assert [first.reason, again.reason] == ["plumbed", "hit"]
    for outcome in (first, again):
        assert outcome.verdict == XDP_TX
        sent, got = Ether(frame).payload, Ether(outcome.frame).payload
        assert (got.src, got.dst) == (sent.src, sent.dst)
        assert bytes(got.payload) == bytes(sent.payload)
        assert (got.ttl if version == 4 else got.hlim) == 63
    assert host_of(first) == host_of(again)


def test_control_and_data_of_a_client_go_to_one_host(unit: UnitBench, version: int) -> None:
    for last in range(2, 30):
        source = {4: f"198.51.100.{last}", 6: f"2001:db8:1::{last:x}"}[version]
        syn = Ether(Client(version, service_port=1723).syn())
        syn.payload.src = source
        control = host_of(unit.send(bytes(syn)))
        assert {host_of(unit.send(portless(version, p, source))) for p in (GRE, ESP)} == {control}


@pytest.mark.parametrize("proto", [GRE, ESP, AH])
def test_every_truncation_is_dropped_or_left(unit: UnitBench, version: int, proto: int) -> None:
    frame = portless(version, proto)
    for size in range(14, len(frame)):
        outcome = unit.send(frame[:size])
        assert outcome.verdict in (XDP_DROP, XDP_PASS), size


def test_a_wrong_length_is_malformed(unit: UnitBench, version: int) -> None:
    for length in (0, 7, 37, 39, 65535):
        inner = UDP(sport=40000, dport=53, len=length) / Raw(b"d" * 30)
        outcome = unit.send(frame_of(version, inner))
        assert (outcome.verdict, outcome.reason) == (XDP_DROP, "unit_malformed"), length
