"""Half-NAT, NAT and layer 2: what the endpoint gets, and what becomes of its answers (R-A6)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from bench import XDP_DROP, XDP_TX, UnitBench
from packets import CLIENT, HOSTS, ROUTER_MAC, UNIT_MAC, VIP, Client, ip_of
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Raw
from site_file import KEY
from ways import (
    NAT,
    OWN_PORT,
    PORTS,
    age,
    answer,
    first_frame,
    host_index,
    network,
    site,
    sums_right,
    udp,
)

from pointsman.datapath import abi

pytestmark = pytest.mark.datapath

REQUEST = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"


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


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_there_and_back(unit: UnitBench, version: int, mode: str, protocol: str) -> None:
    frame = first_frame(protocol, version, PORTS[mode])
    there = unit.send(frame)
    assert (there.verdict, there.reason) == (XDP_TX, "plumbed")
    got = network(there.frame)
    host = host_index(there)
    assert got.dst == HOSTS[version][host]
    assert got.src == (CLIENT if mode == "half-nat" else NAT)[version]
    assert got.payload.dport == (OWN_PORT if mode == "half-nat" else PORTS[mode])
    assert (got.payload.sport == 40000) == (mode == "half-nat")
    assert sums_right(there.frame)
    assert (got.ttl if version == 4 else got.hlim) == 63

    back = unit.send(answer(there))
    assert (back.verdict, back.reason) == (XDP_TX, "returned")
    seen = network(back.frame)
    assert (seen.src, seen.dst) == (VIP[version], CLIENT[version])
    assert (seen.payload.sport, seen.payload.dport) == (PORTS[mode], 40000)
    assert (Ether(back.frame).src, Ether(back.frame).dst) == (UNIT_MAC, ROUTER_MAC)
    assert sums_right(back.frame)
    assert bytes(seen.payload.payload) == b"answer"


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_by_layer_2_nothing_changes_but_macs(unit: UnitBench, version: int, protocol: str) -> None:
    frame = first_frame(protocol, version, PORTS["l2"])
    for reason in ("plumbed", "hit"):
        outcome = unit.send(frame)
        assert (outcome.verdict, outcome.reason) == (XDP_TX, reason)
        sent, got = network(frame), network(outcome.frame)
        assert (got.src, got.dst, bytes(got.payload)) == (sent.src, sent.dst, bytes(sent.payload))
        assert sums_right(outcome.frame)
        assert host_index(outcome) in (0, 1, 2)


def test_later_segments_keep_to_the_same(unit: UnitBench, version: int, mode: str) -> None:
    client = Client(version, service_port=PORTS[mode])
    there = unit.send(client.syn())
    unit.send(answer(there))
    later = unit.send(client.frame(b"x" * 100, flags="PA", seq=client.isn + 1, ack=78))
    assert later.reason == "hit"
    first, second = network(there.frame), network(later.frame)
    assert (first.src, first.dst) == (second.src, second.dst)
    assert bytes(first.payload)[:4] == bytes(second.payload)[:4]
    assert sums_right(later.frame)


def test_zero_checksums_stay(unit: UnitBench, mode: str) -> None:
    inner = UDP(sport=40000, dport=PORTS[mode], chksum=0) / Raw(b"x")
    packet = ip_of(4, CLIENT[4], VIP[4]) / inner
    there = unit.send(bytes(Ether(src=ROUTER_MAC, dst=UNIT_MAC) / packet))
    assert network(there.frame)[UDP].chksum == 0
    back = Ether(answer(there))
    back[UDP].chksum = 0
    del back[IP].chksum
    assert network(unit.send(bytes(back)).frame)[UDP].chksum == 0


def test_the_endpoints_reset_ends_the_route(unit: UnitBench, version: int, mode: str) -> None:
    client = Client(version, service_port=PORTS[mode])
    there = unit.send(client.syn())
    back = unit.send(answer(there, b"", flags="RA"))
    assert back.reason == "returned"
    assert unit.flow(client).state == abi.FlowState.ZOMBIE


def test_answers_keep_the_route_alive(unit: UnitBench, version: int, mode: str) -> None:
    client = Client(version, service_port=PORTS[mode], proto=17)
    there = unit.send(udp(version, PORTS[mode]))
    age(unit, client, 50)
    before = unit.flow(client).seen
    unit.send(answer(there))
    assert unit.flow(client).seen >= before + 49


@pytest.mark.parametrize("way", list(PORTS))
def test_a_full_size_first_packet_needs_no_room(unit: UnitBench, version: int, way: str) -> None:
    """Plain services outside the tunnel bundle nothing: data in a SYN (TCP Fast Open) pass."""
    client = Client(version, service_port=PORTS[way])
    syn = client.packet(b"x" * (1460 if version == 4 else 1440), flags="S", seq=client.isn)
    outcome = unit.send(bytes(Ether(src=ROUTER_MAC, dst=UNIT_MAC) / syn))
    assert outcome.reason == "plumbed"
    assert len(outcome.frame) == 1514


def test_what_comes_to_the_nat_address_unasked(unit: UnitBench, version: int) -> None:
    packet = ip_of(version, HOSTS[version][0], NAT[version]) / UDP(sport=9, dport=31000) / Raw(b"x")
    outcome = unit.send(bytes(Ether(src=ROUTER_MAC, dst=UNIT_MAC) / packet))
    assert (outcome.verdict, outcome.reason) == (XDP_DROP, "no_route")


def test_time_to_live(unit: UnitBench, version: int, mode: str) -> None:
    there = unit.send(udp(version, PORTS[mode]))
    back = Ether(answer(there))
    if version == 4:
        back[IP].ttl = 1
        del back[IP].chksum
    else:
        back.payload.hlim = 1
    assert unit.send(bytes(back)).reason == "ttl_expired"


@pytest.mark.parametrize("inspected", ["half-nat", "nat", "l2"])
def test_first_data_is_bundled_as_the_endpoint_will_see_it(
    unit: UnitBench, version: int, inspected: str
) -> None:
    client = Client(version, service_port=PORTS[inspected] + 1000)
    isn = unit.shake_hands(client)
    frame = client.data(REQUEST, isn)
    outcome = unit.send(frame)
    assert (outcome.verdict, outcome.reason) == (XDP_TX, "bundled_data")
    outer, head, inner = outcome.bundle
    assert outer.dst == HOSTS[version][host_index(outcome)]
    assert head.endpoint == bytes(4)
    assert head.flow_id[0] & 0x80
    rest = client.frame(b"more", flags="PA", seq=client.isn + 1 + 26, ack=isn + 1)
    taught = unit.send(rest)
    assert taught.reason == "taught"
    assert taught.bundle[1].flow_id == head.flow_id
    again = unit.send(frame)
    assert again.reason == "bundled_again"
    assert again.bundle[1].flow_id == head.flow_id
    assert bytes(again.bundle[2]) == bytes(inner)
    acked = unit.send(client.frame(flags="A", seq=client.isn + 27, ack=isn + 100))
    assert acked.reason == "hit"
    now = network(acked.frame)
    assert (now.src, now.dst) == (inner.src, inner.dst)
    assert (now[TCP].sport, now[TCP].dport) == (inner[TCP].sport, inner[TCP].dport)
    assert sums_right(bytes(Ether() / inner))
    if inspected == "l2":
        assert (inner.src, inner.dst) == (CLIENT[version], VIP[version])
        return
    back = unit.send(answer(acked, b"body", flags="A"))
    assert back.reason == "returned"
    assert network(back.frame).src == VIP[version]


@pytest.mark.parametrize("inspected", ["half-nat", "nat", "l2"])
def test_an_end_does_not_overtake_the_upload(unit: UnitBench, version: int, inspected: str) -> None:
    client = Client(version, service_port=PORTS[inspected] + 1000)
    isn = unit.shake_hands(client)
    assert unit.send(client.data(REQUEST, isn)).reason == "bundled_data"
    seq = client.isn + 1 + len(REQUEST)
    assert unit.send(client.frame(flags="FA", seq=seq, ack=isn + 1)).reason == "taught"
    assert unit.send(client.frame(flags="R", seq=seq, ack=isn + 1)).reason == "taught"


def test_an_answer_shows_that_the_upload_is_over(unit: UnitBench, version: int, mode: str) -> None:
    """So a client that goes on sending, and is sent no data, need not send bundles for ever."""
    client = Client(version, service_port=PORTS[mode] + 1000)
    isn = unit.shake_hands(client)
    first = unit.send(client.data(REQUEST, isn))
    more = client.frame(b"more", flags="PA", seq=client.isn + 1 + len(REQUEST), ack=isn + 1)
    assert unit.send(more).reason == "taught"
    carried = Ether(dst=Ether(first.frame).dst) / first.bundle[2]
    back = unit.send(answer(replace(first, frame=bytes(carried)), b"", flags="A"))
    assert back.reason == "returned"
    assert unit.send(more).reason == "hit"
