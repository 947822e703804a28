"""The table of routes: who finds what, and who has to go when a bucket is full."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address

import pytest
from bench import UnitBench
from packets import Client
from site_file import KEY, make_site

from pointsman.config.model import Site, TableKind
from pointsman.datapath import abi, testrun
from pointsman.datapath.abi import FLOW_WAYS, Flow, FlowKey4, FlowKey6, FlowState
from pointsman.datapath.addresses import flow_key4, flow_key6
from pointsman.datapath.flow_table import FlowTable, bucket_count

pytestmark = pytest.mark.datapath


def now() -> int:
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC) >> abi.TICK_SHIFT


def table_of(unit: UnitBench, version: int) -> FlowTable[FlowKey4] | FlowTable[FlowKey6]:
    return unit.datapath.flows4 if version == 4 else unit.datapath.flows6


def key_of(client: Client) -> FlowKey4 | FlowKey6:
    source, target, sport, dport = client.four_tuple
    if client.version == 4:
        return flow_key4(IPv4Address(source), sport, IPv4Address(target), dport, client.proto)
    return flow_key6(IPv6Address(source), sport, IPv6Address(target), dport, client.proto)


def neighbours(unit: UnitBench, version: int) -> Iterator[Client]:
    """Clients whose routes all belong into one bucket."""
    table = table_of(unit, version)
    wanted = None
    for port in range(1024, 65536):
        client = Client(version, port=port)
        bucket, _ = table.place(key_of(client))  # type: ignore[arg-type]
        wanted = bucket if wanted is None else wanted
        if bucket == wanted:
            yield client


def fill(unit: UnitBench, clients: Iterator[Client], flows: list[Flow]) -> list[Client]:
    """Puts these routes into the bucket, in a shuffled order of slots."""
    owners = [next(clients) for _ in flows]
    for client, flow in sorted(zip(owners, flows, strict=True), key=lambda _: secrets.randbits(32)):
        unit.set_flow(client, flow)
    return owners


def lives(unit: UnitBench, client: Client) -> bool:
    try:
        unit.flow(client)
    except KeyError:
        return False
    return True


def a_flow(unit: UnitBench, version: int) -> Flow:
    """An open one, as good as new."""
    client = Client(version, port=1023)
    unit.open_plain(client)
    return unit.flow(client)


def test_a_bucket_holds_as_many_as_it_has_slots(unit: UnitBench, version: int) -> None:
    clients = neighbours(unit, version)
    some = [next(clients) for _ in range(FLOW_WAYS)]
    before = unit.datapath.evicted.total(0)
    for client in some:
        assert unit.send(client.syn()).reason == "bundled_syn"
    assert all(lives(unit, client) for client in some)
    unit.send(next(clients).syn())
    assert sum(lives(unit, client) for client in some) == FLOW_WAYS - 1
    assert unit.datapath.evicted.total(0) - before == 1


def test_a_new_route_takes_the_place_of_the_one_before(unit: UnitBench, version: int) -> None:
    client = Client(version)
    unit.open_plain(client)
    again = replace(client, isn=7)
    unit.send(client.frame(flags="R", seq=client.isn + 1, ack=1))
    unit.send(again.syn())
    assert unit.flow(client).first_seq == 7
    assert len(list(table_of(unit, version).items())) == 1


def test_the_dead_go_first(unit: UnitBench, version: int) -> None:
    clients, flow, tick = neighbours(unit, version), a_flow(unit, version), now()
    flows = [replace(flow, seen=tick - 100)] * (FLOW_WAYS - 1)
    dead = replace(flow, seen=tick - 90, state=FlowState.ZOMBIE)
    owners = fill(unit, clients, [*flows, dead])
    before = unit.datapath.evicted.total(0)
    unit.send(next(clients).syn())
    assert [lives(unit, client) for client in owners] == [True] * (FLOW_WAYS - 1) + [False]
    assert unit.datapath.evicted.total(0) == before


def test_then_the_oldest_that_nobody_answered(unit: UnitBench, version: int) -> None:
    clients, flow, tick = neighbours(unit, version), a_flow(unit, version), now()
    flows = [replace(flow, seen=tick - 3000)] * (FLOW_WAYS - 2)
    opening = replace(flow, state=FlowState.OPENING)
    older, newer = replace(opening, seen=tick - 20), replace(opening, seen=tick - 10)
    owners = fill(unit, clients, [*flows, newer, older])
    unit.send(next(clients).syn())
    assert [lives(unit, client) for client in owners] == [True] * (FLOW_WAYS - 1) + [False]


def test_then_the_longest_idle(unit: UnitBench, version: int) -> None:
    clients, flow, tick = neighbours(unit, version), a_flow(unit, version), now()
    owners = fill(unit, clients, [replace(flow, seen=tick - i) for i in range(FLOW_WAYS)])
    unit.send(next(clients).syn())
    assert [lives(unit, client) for client in owners] == [True] * (FLOW_WAYS - 1) + [False]


def test_a_flood_of_syns_leaves_open_connections_alone(unit: UnitBench, version: int) -> None:
    """10,000 spoofed SYNs on a table for 1,024, half full of connections.

    Their checksums are wrong: that is the hosts' to judge.
    """
    opened = [Client(version, port=port) for port in range(2000, 2500)]
    for client in opened:
        unit.open_plain(client)
    before = [lives(unit, client) for client in opened]
    program = unit.datapath.program_fd("forward")
    frame = bytearray(Client(version).syn())
    at = 14 + {4: 20, 6: 40}[version]
    for port in range(10_000, 20_000):
        frame[at : at + 2] = port.to_bytes(2, "big")
        testrun.test_run(program, bytes(frame))
    assert [lives(unit, client) for client in opened] == before
    assert sum(before) > 495


def site_with(kind: TableKind) -> Site:
    site = make_site()
    unit = site.units[0].model_copy(update={"flow_table": kind})
    return site.model_copy(update={"units": [unit]})


@pytest.mark.parametrize("kind", TableKind)
def test_two_cpus_at_once_mix_nothing_up(kind: TableKind, version: int) -> None:
    """Each route must be its own key's: the checksum differences say whose it is."""
    with UnitBench(site_with(kind), KEY) as unit:
        program = unit.datapath.program_fd("forward")
        frames = [
            [Client(version, port=port).syn() for port in range(first, first + 6000)]
            for first in (10_000, 20_000)
        ]
        threads = [
            threading.Thread(target=lambda some=some: [testrun.test_run(program, f) for f in some])
            for some in frames
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        items = list(table_of(unit, version).items())
        assert len(items) > 1000
        for key, flow in items:
            assert isinstance(key, FlowKey4 | FlowKey6)
            assert flow.l4_delta == expected_delta(unit, key, flow)


def folded(total: int) -> int:
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def words(data: bytes) -> list[int]:
    return [int.from_bytes(data[i : i + 2], "little") for i in range(0, len(data), 2)]


def expected_delta(unit: UnitBench, key: FlowKey4 | FlowKey6, flow: Flow) -> int:
    """What the tunnel's rewriting does to the TCP checksum (RFC 1624)."""
    table = unit.datapath.endpoints4 if isinstance(key, FlowKey4) else unit.datapath.endpoints6
    endpoint = table.get(flow.endpoint)
    before = key.saddr + key.daddr + key.sport + key.dport
    after = endpoint.source + endpoint.addr + flow.flow_id
    return folded(sum(~word & 0xFFFF for word in words(before)) + sum(words(after)))


def test_a_cpus_own_table_works_like_the_common_one(version: int) -> None:
    with UnitBench(site_with(TableKind.PER_CPU), KEY) as unit:
        client = Client(version)
        unit.open_plain(client)
        assert unit.flow(client).state == FlowState.OPEN
        unit.datapath.flows4.clear()
        unit.datapath.flows6.clear()
        with pytest.raises(KeyError):
            unit.flow(client)


@pytest.mark.parametrize(
    ("flows", "buckets"), [(1, 1), (8, 1), (9, 2), (1024, 128), (1025, 256), (1_000_000, 131_072)]
)
def test_buckets_are_a_power_of_two_and_at_most_half_full(flows: int, buckets: int) -> None:
    assert bucket_count(flows, per_cpu=False) == buckets
