"""Plain services: dealt on the SYN, bundled once, then tunnelled without a byte added."""

from __future__ import annotations

from dataclasses import replace

import pytest
from bench import XDP_DROP, XDP_TX, UnitBench, host_mac
from models import bundle_tag
from packets import HOSTS, TUNNEL, Client, checksums_right, split
from scapy.layers.l2 import Ether

from pointsman.datapath import abi
from pointsman.tunnel.keys import tag_key

pytestmark = pytest.mark.datapath


def test_a_syn_is_bundled_to_the_next_host_of_the_deck(unit: UnitBench, version: int) -> None:
    client = Client(version)
    outcome = unit.send(client.syn())
    assert (outcome.verdict, outcome.reason) == (XDP_TX, "bundled_syn")

    outer, bundle, inner = outcome.bundle
    flow = unit.flow(client)
    assert (outer.src, outer.dst) == (TUNNEL[version], HOSTS[version][unit.host_of(client)])
    assert outer.payload.dport == 7471
    assert bytes(inner) == bytes(split(client.syn())[0])
    assert bundle.kind == abi.BundleKind.SYN
    assert bundle.flow_id == flow.flow_id
    tag = bundle_tag(tag_key(unit.key), bundle.pack(), client.four_tuple, client.isn, 0)
    assert bundle.tag == tag.to_bytes(8, "little")
    assert Ether(outcome.frame).dst == host_mac(unit.host_of(client)).hex(":")
    assert checksums_right(outcome.frame[:34]) if version == 4 else True


def test_hosts_are_dealt_in_turn(unit: UnitBench, version: int) -> None:
    hosts = []
    for port in range(40000, 40030):
        client = Client(version, port=port)
        unit.send(client.syn())
        hosts.append(unit.host_of(client))
    assert [hosts.count(host) for host in range(3)] == [10, 10, 10]


@pytest.mark.parametrize("flags", ["A", "PA", "UA", "AE", "AC", "FA", "RA", "R", "FPUAEC"])
def test_a_hit_is_tunnelled_without_a_byte_added(unit: UnitBench, version: int, flags: str) -> None:
    client = Client(version)
    unit.open_plain(client)
    flow = unit.flow(client)
    sent = client.frame(b"payload" * 11, flags=flags, seq=client.isn + 1, ack=78, ttl=9)
    outcome = unit.send(sent)

    assert (outcome.verdict, outcome.reason) == (XDP_TX, "hit")
    assert len(outcome.frame) == len(sent)
    assert checksums_right(outcome.frame)
    network, tcp = split(outcome.frame)
    assert (network.src, network.dst) == (TUNNEL[version], HOSTS[version][unit.host_of(client)])
    assert bytes(tcp)[:4] == flow.flow_id
    assert (network.ttl if version == 4 else network.hlim) == 8
    before = split(sent)[1]
    assert (tcp.seq, tcp.ack, tcp.flags, tcp.payload) == (
        before.seq,
        before.ack,
        before.flags,
        before.payload,
    )


def test_a_full_size_segment_stays_one_packet(unit: UnitBench, version: int) -> None:
    client = Client(version)
    unit.open_plain(client)
    payload = bytes(1500 - (40 if version == 4 else 60))
    outcome = unit.send(client.frame(payload, flags="A", seq=client.isn + 1, ack=78))
    assert outcome.reason == "hit"
    assert len(outcome.frame) == 1514


@pytest.mark.parametrize("ip_bytes", [3500, 4096, 8999, 9000])
def test_a_jumbo_segment_stays_one_packet(unit: UnitBench, version: int, ip_bytes: int) -> None:
    """Of such a frame, only the start lies where the program's pointers reach."""
    client = Client(version)
    unit.open_plain(client)
    payload = bytes(i % 251 for i in range(ip_bytes - (40 if version == 4 else 60)))
    sent = client.frame(payload, flags="A", seq=client.isn + 1, ack=78)
    outcome = unit.send(sent)
    assert outcome.reason == "hit"
    assert len(outcome.frame) == len(sent) == 14 + ip_bytes
    assert bytes(split(outcome.frame)[1].payload) == payload
    assert checksums_right(outcome.frame)
    assert unit.send(sent[:-1]).reason == "unit_malformed"


@pytest.mark.parametrize(
    ("flags", "state"),
    [
        ("A", abi.FlowState.OPEN),
        ("FA", abi.FlowState.CLOSING),
        ("R", abi.FlowState.ZOMBIE),
    ],
)
def test_the_clients_half_moves_the_flow(
    unit: UnitBench, version: int, flags: str, state: abi.FlowState
) -> None:
    client = Client(version)
    unit.send(client.syn())
    assert unit.flow(client).state == abi.FlowState.OPENING
    unit.send(client.frame(flags=flags, seq=client.isn + 1, ack=77))
    assert unit.flow(client).state == state


def test_a_forged_rst_does_not_end_a_flow(unit: UnitBench, version: int) -> None:
    client = Client(version)
    unit.open_plain(client)
    unit.send(client.frame(flags="R", seq=5))
    unit.send(client.frame(b"still here", flags="A", seq=client.isn + 1, ack=77))
    assert unit.flow(client).state == abi.FlowState.OPEN


def test_a_repeated_syn_goes_to_the_same_host(unit: UnitBench, version: int) -> None:
    client = Client(version)
    first = unit.send(client.syn())
    again = unit.send(client.syn())
    assert again.reason == "bundled_again"
    assert again.frame == first.frame


def test_a_syn_on_an_open_flow_goes_to_its_host_to_judge(unit: UnitBench, version: int) -> None:
    client = Client(version)
    unit.open_plain(client)
    before = unit.flow(client)
    syn = replace(client, isn=99).syn()
    outcome = unit.send(syn)
    assert outcome.reason == "bundled_again"
    _, bundle, inner = outcome.bundle
    assert (bundle.kind, bundle.flow_id) == (abi.BundleKind.SYN, before.flow_id)
    assert bytes(inner) == bytes(split(syn)[0])
    assert unit.flow(client) == before


def test_a_syn_on_an_open_flow_of_a_lost_host_starts_afresh(unit: UnitBench, version: int) -> None:
    client = Client(version)
    unit.open_plain(client)
    lost = unit.host_of(client)
    unit.set_host(lost, usable=False)
    assert unit.send(replace(client, isn=99).syn()).reason == "bundled_syn"
    assert unit.host_of(client) != lost


@pytest.mark.parametrize("ending", ["FA", "R"])
def test_a_syn_on_an_old_four_tuple_starts_afresh(
    unit: UnitBench, version: int, ending: str
) -> None:
    client = Client(version)
    unit.open_plain(client)
    old = unit.flow(client)
    unit.send(client.frame(flags=ending, seq=client.isn + 1, ack=77))
    outcome = unit.send(replace(client, isn=client.isn + 1000).syn())
    new = unit.flow(client)
    assert outcome.reason == "bundled_syn"
    assert new.flow_id != old.flow_id
    assert new.state == abi.FlowState.OPENING


@pytest.mark.parametrize(
    ("state", "seconds"),
    [
        (abi.FlowState.OPENING, 60),
        (abi.FlowState.OPEN, 3600),
        (abi.FlowState.CLOSING, 60),
        (abi.FlowState.ZOMBIE, 60),
    ],
)
def test_an_idle_flow_dies_after_its_states_time(
    unit: UnitBench, version: int, state: abi.FlowState, seconds: int
) -> None:
    client = Client(version)
    unit.open_plain(client)
    flow = unit.flow(client)
    ticks = seconds * 10**9 >> abi.TICK_SHIFT
    segment = client.frame(flags="R", seq=client.isn + 1)
    unit.set_flow(client, replace(flow, state=state, seen=(flow.seen - ticks + 2) % 2**32))
    assert unit.send(segment).reason == "hit"
    unit.set_flow(client, replace(flow, state=state, seen=(flow.seen - ticks - 2) % 2**32))
    outcome = unit.send(segment)
    assert (outcome.verdict, outcome.reason) == (XDP_DROP, "no_route")


def test_nothing_but_a_syn_makes_a_route(unit: UnitBench, version: int) -> None:
    client = Client(version)
    for flags in ("A", "PA", "FA", "R", "RA"):
        outcome = unit.send(client.frame(b"x", flags=flags, seq=1, ack=1))
        assert (outcome.verdict, outcome.reason) == (XDP_DROP, "no_route")
    with pytest.raises(KeyError):
        unit.flow(client)


def test_traffic_is_counted_by_service_and_host(unit: UnitBench, version: int) -> None:
    client = Client(version)
    unit.send(client.syn())
    index = unit.flow(client).endpoint
    before = unit.datapath.traffic.total(index)
    sent = [client.frame(b"z" * 100, flags="A", seq=client.isn + 1, ack=77) for _ in range(3)]
    for frame in sent:
        unit.send(frame)
    after = unit.datapath.traffic.total(index)
    assert after.packets - before.packets == 3
    assert after.bytes - before.bytes == sum(len(frame) - 14 for frame in sent)
    assert after.connections == before.connections


def test_only_usable_hosts_are_dealt(unit: UnitBench, version: int) -> None:
    unit.set_host(0, usable=False)
    unit.set_host(2, usable=False)
    for port in range(40000, 40010):
        client = Client(version, port=port)
        assert unit.send(client.syn()).reason == "bundled_syn"
        assert unit.host_of(client) == 1
    unit.set_host(1, usable=False)
    outcome = unit.send(Client(version, port=50000).syn())
    assert (outcome.verdict, outcome.reason) == (XDP_DROP, "no_host")
