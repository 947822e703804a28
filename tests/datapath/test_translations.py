"""Whose answers are whose by half-NAT and NAT: no two live routes share a port (R-A6)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from bench import XDP_DROP, UnitBench
from packets import VIP, Client
from scapy.layers.l2 import Ether
from site_file import KEY
from ways import PORTS, age, answer, first_frame, network, site, udp

from pointsman.config.model import Site
from pointsman.datapath import testrun

pytestmark = pytest.mark.datapath

OTHER_ROUTER_MAC = "02:00:00:00:00:77"


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
        age(unit, udp_client(version, 2001), 1000)
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
        age(unit, Client(version, service_port=PORTS["half-nat"], proto=17), 1000)
        there = unit.send(udp(version, 999))
        assert there.reason == "plumbed"
        assert network(unit.send(answer(there)).frame).payload.sport == 999


def test_a_lost_translation_is_made_anew(unit: UnitBench, version: int, mode: str) -> None:
    there = unit.send(udp(version, PORTS[mode]))
    unit.datapath.returns4.clear()
    unit.datapath.returns6.clear()
    assert unit.send(answer(there)).reason in ("not_ours", "no_route")
    age(unit, Client(version, service_port=PORTS[mode], proto=17), 1)
    assert unit.send(udp(version, PORTS[mode])).reason == "hit"
    assert unit.send(answer(there)).reason == "returned"


def test_a_route_whose_translation_another_took_ends(unit: UnitBench, version: int) -> None:
    there = unit.send(udp(version, PORTS["nat"]))
    table = unit.datapath.returns4 if version == 4 else unit.datapath.returns6
    ((key, translation),) = table.items()
    other = replace(translation.client, sport=b"\x01\x02")
    table.set(key, replace(translation, client=other))  # type: ignore[arg-type]
    age(unit, udp_client(version, 40000), 1)
    assert unit.send(udp(version, PORTS["nat"])).reason == "translation_taken"
    fresh = unit.send(udp(version, PORTS["nat"]))
    assert fresh.reason == "plumbed"
    assert network(fresh.frame).payload.sport != network(there.frame).payload.sport


def test_answers_follow_a_client_to_another_router(
    unit: UnitBench, version: int, mode: str
) -> None:
    client = Client(version, service_port=PORTS[mode], proto=17)
    there = unit.send(udp(version, PORTS[mode]))
    age(unit, client, 1)
    frame = Ether(udp(version, PORTS[mode]))
    frame.src = OTHER_ROUTER_MAC
    assert unit.send(bytes(frame)).reason == "hit"
    back = unit.send(answer(there))
    assert (back.reason, Ether(back.frame).dst) == ("returned", OTHER_ROUTER_MAC)


def test_a_port_just_taken_is_nobody_elses(version: int) -> None:
    """Whoever has it may be about to write his route this very moment."""
    with UnitBench(site(last_port=30000), KEY) as unit:
        unit.set_host(1, usable=False)
        unit.set_host(2, usable=False)
        assert unit.send(udp(version, PORTS["nat"], 2001)).reason == "plumbed"
        unit.datapath.flows4.clear()
        unit.datapath.flows6.clear()
        assert unit.send(udp(version, PORTS["nat"], 2002)).reason == "no_nat_port"
        table = unit.datapath.returns4 if version == 4 else unit.datapath.returns6
        ((key, translation),) = table.items()
        old = replace(translation, seen=translation.seen - 10)
        table.set(key, old)  # type: ignore[arg-type]
        assert unit.send(udp(version, PORTS["nat"], 2002)).reason == "plumbed"


def test_a_repeated_syn_keeps_its_port(unit: UnitBench, version: int, mode: str) -> None:
    client = Client(version, service_port=PORTS[mode])
    first = unit.send(client.syn())
    unit.datapath.returns4.clear()
    unit.datapath.returns6.clear()
    again = unit.send(client.syn())
    assert again.reason == "hit"
    assert again.frame == first.frame
    assert unit.send(answer(again)).reason == "returned"


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
