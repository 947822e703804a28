"""Half-NAT, NAT and layer 2: what the endpoint gets, and what becomes of its answers (R-A6)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from bench import XDP_DROP, XDP_TX, Outcome, UnitBench, host_mac
from packets import CLIENT, HOSTS, ROUTER_MAC, UNIT_MAC, VIP, Client, ip_of
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw
from site_file import KEY, make_site

from pointsman.config.model import Site
from pointsman.datapath import abi, testrun

pytestmark = pytest.mark.datapath

NAT = {4: "10.1.2.1", 6: "fd00:1::2:1"}
PORTS = {"half-nat": 1001, "nat": 1002, "l2": 1003}
OWN_PORT = 8080
"""Of the endpoints of half-NAT's service."""


def site(last_port: int = 65535) -> Site:
    """For each mode a TCP and a UDP service on its port, and an inspected one 1,000 above."""
    document = make_site().model_dump(mode="json", exclude_unset=True)
    document["units"][0] |= {
        "nat": [NAT[4], NAT[6]],
        "nat_ports": {"first": 30000, "last": last_port},
        "max_translations": 1024,
    }
    members = [{"host": f"h{i}", "port": OWN_PORT} for i in (1, 2, 3)]
    document["pools"].append({"name": "own", "members": members})
    for mode, port in PORTS.items():
        pool = "own" if mode == "half-nat" else "all"
        common = {"addresses": [VIP[4], VIP[6]], "forward": mode, "pool": pool}
        for protocol in ("tcp", "udp"):
            name = f"{mode}-{protocol}"
            document["services"].append(
                {**common, "name": name, "protocol": protocol, "port": port}
            )
        document["services"].append(
            {**common, "name": f"{mode}-http", "port": port + 1000, "inspect": "http"}
        )
    return Site.model_validate(document)


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


def udp(version: int, dport: int, sport: int = 40000, payload: bytes = b"ask") -> bytes:
    inner = UDP(sport=sport, dport=dport) / Raw(payload)
    packet = ip_of(version, CLIENT[version], VIP[version]) / inner
    return bytes(Ether(src=ROUTER_MAC, dst=UNIT_MAC) / packet)


def network(frame: bytes) -> Packet:
    return Ether(frame).payload


def host_index(outcome: Outcome) -> int:
    macs = [host_mac(index).hex(":") for index in range(3)]
    return macs.index(Ether(outcome.frame).dst)


def answer(outcome: Outcome, payload: bytes = b"answer", **tcp: Any) -> bytes:
    """What the endpoint sends back to whom it got the frame from."""
    got = network(outcome.frame)
    version = got.version
    header = ip_of(version, got.dst, got.src)
    if UDP in got:
        inner = UDP(sport=got[UDP].dport, dport=got[UDP].sport)
    else:
        fields = {"flags": "SA", "seq": 77, "ack": got[TCP].seq + 1} | tcp
        inner = TCP(sport=got[TCP].dport, dport=got[TCP].sport, **fields)
    packet = header / inner / Raw(payload) if payload else header / inner
    return bytes(Ether(src=Ether(outcome.frame).dst, dst=UNIT_MAC) / packet)


def sums_right(frame: bytes) -> bool:
    packet = Ether(frame)
    for layer in (IP, TCP, UDP):
        if layer in packet:
            del packet[layer].chksum
    return bytes(Ether(bytes(packet))) == frame


def first_frame(protocol: str, version: int, port: int, sport: int = 40000) -> bytes:
    if protocol == "udp":
        return udp(version, port, sport)
    return Client(version, port=sport, service_port=port).syn()


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


def test_nobody_shares_a_port(unit: UnitBench, version: int) -> None:
    """300 connections with one endpoint: each has a port of ours for itself."""
    unit.set_host(1, usable=False)
    unit.set_host(2, usable=False)
    frames = [unit.send(udp(version, PORTS["nat"], sport)).frame for sport in range(2000, 2300)]
    ports = [network(frame).payload.sport for frame in frames]
    assert len(set(ports)) == len(ports)
    assert all(30000 <= port <= 65535 for port in ports)


def test_a_port_rests_while_others_are_free(version: int) -> None:
    """The endpoint may still have the last connection by it in TIME_WAIT."""
    with UnitBench(site(last_port=30001), KEY) as unit:
        unit.set_host(1, usable=False)
        unit.set_host(2, usable=False)
        table = unit.datapath.returns4 if version == 4 else unit.datapath.returns6
        last = 0
        for sport in range(2000, 2010):
            there = unit.send(udp(version, PORTS["nat"], sport))
            port = network(there.frame).payload.sport
            assert port != last
            last = port
            unit.datapath.flows4.clear()
            unit.datapath.flows6.clear()
            # This one was used ten seconds ago, the other one before that.
            for key, translation in table.items():
                ago = 10 if int.from_bytes(key.dport, "big") == port else 100
                older = replace(translation, seen=translation.seen - ago)
                table.set(key, older)  # type: ignore[arg-type]


def test_a_client_that_takes_its_port_anew_gets_ours_anew(unit: UnitBench, version: int) -> None:
    unit.set_host(1, usable=False)
    unit.set_host(2, usable=False)
    ports = set()
    for isn in (1000, 900_000, 50):
        client = Client(version, service_port=PORTS["nat"], isn=isn)
        there = unit.send(client.syn())
        assert there.reason == "plumbed"
        ports.add(network(there.frame).payload.sport)
        assert unit.send(answer(there, b"", flags="RA")).reason == "returned"
    assert len(ports) == 1


def test_ports_run_out_and_come_back(version: int) -> None:
    with UnitBench(site(last_port=30003), KEY) as unit:
        unit.set_host(1, usable=False)
        unit.set_host(2, usable=False)
        outcomes = [unit.send(udp(version, PORTS["nat"], sport)) for sport in range(2000, 2006)]
        assert [o.reason for o in outcomes] == ["plumbed"] * 4 + ["no_nat_port"] * 2
        assert outcomes[-1].verdict == XDP_DROP
        # One of them falls idle: its port is free, and its route is no route any more.
        idle = udp_client(version, 2001)
        unit.set_flow(idle, replace(unit.flow(idle), seen=unit.flow(idle).seen - 1000))
        again = unit.send(udp(version, PORTS["nat"], 2005))
        assert again.reason == "plumbed"
        freed = network(outcomes[1].frame).payload.sport
        assert network(again.frame).payload.sport == freed
        assert unit.send(udp(version, PORTS["nat"], 2001)).reason == "no_nat_port"
        back = unit.send(answer(again))
        assert network(back.frame).payload.dport == 2005


def udp_client(version: int, sport: int) -> Client:
    return Client(version, port=sport, service_port=PORTS["nat"], proto=17)


def test_two_services_that_would_get_the_same_answers(version: int) -> None:
    """One client port, two VIP ports, one endpoint: the second waits until the first is over."""
    document = site().model_dump(mode="json", exclude_unset=True)
    twin = {"name": "twin", "protocol": "udp", "port": 999, "forward": "half-nat", "pool": "own"}
    document["services"].append({**twin, "addresses": [VIP[4], VIP[6]]})
    with UnitBench(Site.model_validate(document), KEY) as unit:
        for index in (1, 2):
            unit.set_host(index, usable=False)
        assert unit.send(udp(version, PORTS["half-nat"])).reason == "plumbed"
        assert unit.send(udp(version, 999)).reason == "translation_taken"
        first = Client(version, service_port=PORTS["half-nat"], proto=17)
        unit.set_flow(first, replace(unit.flow(first), seen=unit.flow(first).seen - 1000))
        there = unit.send(udp(version, 999))
        assert there.reason == "plumbed"
        assert network(unit.send(answer(there)).frame).payload.sport == 999


def test_a_lost_translation_is_made_anew(unit: UnitBench, version: int, mode: str) -> None:
    there = unit.send(udp(version, PORTS[mode]))
    unit.datapath.returns4.clear()
    unit.datapath.returns6.clear()
    assert unit.send(answer(there)).reason in ("not_ours", "no_route")
    assert unit.send(udp(version, PORTS[mode])).reason == "hit"
    assert unit.send(answer(there)).reason == "returned"


def test_a_route_whose_translation_another_took_ends(unit: UnitBench, version: int) -> None:
    there = unit.send(udp(version, PORTS["nat"]))
    table = unit.datapath.returns4 if version == 4 else unit.datapath.returns6
    ((key, translation),) = table.items()
    other = replace(translation.client, sport=b"\x01\x02")
    table.set(key, replace(translation, client=other))  # type: ignore[arg-type]
    assert unit.send(udp(version, PORTS["nat"])).reason == "translation_taken"
    fresh = unit.send(udp(version, PORTS["nat"]))
    assert fresh.reason == "plumbed"
    assert network(fresh.frame).payload.sport != network(there.frame).payload.sport


def test_the_endpoints_reset_ends_the_route(unit: UnitBench, version: int, mode: str) -> None:
    client = Client(version, service_port=PORTS[mode])
    there = unit.send(client.syn())
    back = unit.send(answer(there, b"", flags="RA"))
    assert back.reason == "returned"
    assert unit.flow(client).state == abi.FlowState.ZOMBIE


def test_answers_keep_the_route_alive(unit: UnitBench, version: int, mode: str) -> None:
    client = Client(version, service_port=PORTS[mode], proto=17)
    there = unit.send(udp(version, PORTS[mode]))
    unit.set_flow(client, replace(unit.flow(client), seen=unit.flow(client).seen - 50))
    table = unit.datapath.returns4 if version == 4 else unit.datapath.returns6
    ((key, translation),) = table.items()
    table.set(key, replace(translation, seen=translation.seen - 50))  # type: ignore[arg-type]
    before = unit.flow(client).seen
    unit.send(answer(there))
    assert unit.flow(client).seen >= before + 50


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
    frame = client.data(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", isn)
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


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_a_table_full_of_translations(version: int, protocol: str) -> None:
    """The oldest idle ones go; a connection whose own went goes on."""
    with UnitBench(site(), KEY) as unit:
        program = unit.datapath.program_fd("forward")
        first = unit.send(first_frame(protocol, version, PORTS["half-nat"], 1500))
        for sport in range(2000, 8000):
            testrun.test_run(program, first_frame("udp", version, PORTS["half-nat"], sport))
        table = unit.datapath.returns4 if version == 4 else unit.datapath.returns6
        assert len(list(table.items())) <= 1024
        if protocol == "udp":
            assert unit.send(udp(version, PORTS["half-nat"], 1500)).reason in ("hit", "plumbed")
            assert unit.send(answer(first)).reason in ("returned", "not_ours")
