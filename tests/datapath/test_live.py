"""Live connections: counted by the programs, set right by recounts, evened out by two choices."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest
from choosing import ChoosingUnit, Pools, clients
from packets import Client

from pointsman.config.model import Choose
from pointsman.datapath import abi
from pointsman.unit.recounts import keep_recounting

pytestmark = pytest.mark.datapath

TWO = [("h1", 1), ("h2", 1)]
WEIGHTS = {"h1": 4, "h2": 2, "h3": 1, "h4": 1}
POOLS: Pools = {
    "turns": (Choose.ROUND_ROBIN, [*TWO, ("h3", 1)]),
    "two": (Choose.TWO_CHOICES, TWO),
    "four": (Choose.TWO_CHOICES, [*TWO, ("h3", 1), ("h4", 1)]),
    "uneven": (Choose.TWO_CHOICES, list(WEIGHTS.items())),
}


@pytest.fixture(scope="module")
def loaded() -> Iterator[ChoosingUnit]:
    with ChoosingUnit(POOLS) as unit:
        yield unit


@pytest.fixture
def unit(loaded: ChoosingUnit) -> ChoosingUnit:
    loaded.reset()
    return loaded


def recount(unit: ChoosingUnit) -> int:
    """The number of steps it took."""
    counting = unit.classifier.live.begin()
    steps = 0
    while counting.step():
        steps += 1
    counting.settle()
    return steps


def give(unit: ChoosingUnit, pool: str, loads: list[int]) -> None:
    """The endpoints have so many connections."""
    unit.datapath.live.set_many(unit.first(pool), loads)


def total(unit: ChoosingUnit) -> int:
    return sum(unit.live("turns").values())


@pytest.mark.parametrize(
    ("segments", "left"),
    [
        ("S", 1),
        ("S S", 1),
        ("S A", 1),
        ("S A FA", 0),
        ("S A FA FA A", 0),
        ("S A R", 0),
        ("S A FA R", 0),
        ("S R R", 0),
        ("S A R PA", 1),
        ("S A R PA FA", 0),
        ("S A R FA", 0),
    ],
)
def test_a_connection_counts_while_it_lives(
    unit: ChoosingUnit, segments: str, left: int, version: int
) -> None:
    client = unit.to("turns", Client(version))
    for flags in segments.split():
        seq = client.isn if flags == "S" else client.isn + 1
        unit.send(client.frame(flags=flags, seq=seq, ack=77))
    assert total(unit) == left


def test_a_datagrams_flow_counts_while_it_has_a_route(unit: ChoosingUnit, version: int) -> None:
    """Its end nobody sees, so a recount finds it."""
    (one,) = clients(version, 1)
    unit.place("turns", [one])
    client = unit.to("turns", one)
    flow = replace(unit.flow(client), state=abi.FlowState.DATAGRAM)
    unit.set_flow(client, flow)
    recount(unit)
    assert total(unit) == 1
    idle = unit.datapath.config.life[abi.FlowState.DATAGRAM] + 2
    unit.set_flow(client, replace(flow, seen=(flow.seen - idle) % 2**32))
    recount(unit)
    assert total(unit) == 0


def test_a_new_connection_in_place_of_an_old_one_counts_once(
    unit: ChoosingUnit, version: int
) -> None:
    client = unit.to("turns", Client(version))
    unit.send(client.syn())
    assert unit.live("turns") == {"h1": 1, "h2": 0, "h3": 0}
    unit.send(replace(client, isn=99).syn())  # opening, another sequence number: afresh
    assert unit.live("turns") == {"h1": 0, "h2": 1, "h3": 0}


def test_a_recount_finds_those_that_ended_without_a_word(unit: ChoosingUnit, version: int) -> None:
    new = clients(version, 30)
    unit.place("turns", new)
    for client in (unit.to("turns", one) for one in new[:6]):  # idle for too long
        flow = unit.flow(client)
        life = unit.datapath.config.life[flow.state]
        unit.set_flow(client, replace(flow, seen=(flow.seen - life - 2) % 2**32))
    assert unit.live("turns") == {"h1": 10, "h2": 10, "h3": 10}
    recount(unit)
    assert unit.live("turns") == {"h1": 8, "h2": 8, "h3": 8}
    unit.forget()  # evicted
    recount(unit)
    assert total(unit) == 0
    unit.place("turns", new[:2])
    assert total(unit) == 2


def test_a_recount_of_a_right_count_changes_nothing(unit: ChoosingUnit, version: int) -> None:
    new = clients(version, 30)
    unit.place("turns", new)
    for client in (unit.to("turns", one) for one in new[:10]):
        unit.send(client.frame(flags="FA", seq=client.isn + 1, ack=77))
    before = unit.live("turns")
    recount(unit)
    assert unit.live("turns") == before
    assert sum(before.values()) == 20


def test_what_begins_during_a_recount_is_not_lost(unit: ChoosingUnit, version: int) -> None:
    unit.place("turns", clients(version, 90))
    counting = unit.classifier.live.begin()
    while counting.step():
        pass
    unit.place("turns", clients(version, 60, first_port=50_000))
    counting.settle()
    assert 120 <= total(unit) <= 150
    recount(unit)
    assert total(unit) == 150


def test_a_large_table_is_counted_in_steps(unit: ChoosingUnit, version: int) -> None:
    (one,) = clients(version, 1)
    unit.place("turns", [one])
    client = unit.to("turns", one)
    flow = unit.flow(client)
    for number in range(20_000):
        unit.set_flow(replace(client, port=20_000 + number), replace(flow, endpoint=number % 3))
    assert recount(unit) >= 20_000 // 4096
    assert unit.live("turns") == {"h1": 6667, "h2": 6667, "h3": 6666}


def test_the_daemon_recounts_again_and_again(
    unit: ChoosingUnit, version: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = unit.classifier.live
    settle = live.settle

    async def main() -> None:
        settled = asyncio.Event()

        def settle_and_tell(lost: Sequence[int]) -> None:
            settle(lost)
            settled.set()

        monkeypatch.setattr(live, "settle", settle_and_tell)
        task = asyncio.ensure_future(keep_recounting(live, every_s=0, pause_s=0))
        for number in (30, 7):
            unit.forget()
            unit.place("turns", clients(version, number))
            for _ in range(2):  # the first may have begun before
                settled.clear()
                await asyncio.wait_for(settled.wait(), 10)
            assert total(unit) == number
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())


def test_two_choices_even_out(unit: ChoosingUnit, version: int) -> None:
    give(unit, "four", [100, 0, 40, 10])
    unit.place("four", clients(version, 250))
    loads = list(unit.live("four").values())
    assert sum(loads) == 400
    assert max(loads) - min(loads) <= 6


def test_two_choices_mind_weights(unit: ChoosingUnit, version: int) -> None:
    hosts = Counter(unit.place("uneven", clients(version, 800)))
    for name, weight in WEIGHTS.items():
        assert hosts[name] == pytest.approx(100 * weight, abs=12)


def test_two_choices_never_take_the_worse_of_two(unit: ChoosingUnit, version: int) -> None:
    """With two endpoints both are always compared, so the choice is no lottery."""
    give(unit, "two", [5, 0])
    assert unit.place("two", clients(version, 5)) == ["h2"] * 5
    more = clients(version, 10, first_port=50_000)
    assert Counter(unit.place("two", more)) == {"h1": 5, "h2": 5}


def test_lost_connections_do_not_weigh(unit: ChoosingUnit, version: int) -> None:
    give(unit, "two", [1000, 3])
    lost = [0] * len(unit.datapath.live)
    lost[unit.first("two")] = 1000
    unit.classifier.live.settle(lost)
    assert unit.place("two", clients(version, 3)) == ["h1"] * 3


def test_a_count_below_zero_is_none(unit: ChoosingUnit, version: int) -> None:
    give(unit, "two", [2**32 - 50, 1])
    assert unit.live("two") == {"h1": 0, "h2": 1}
    assert unit.place("two", clients(version, 1)) == ["h1"]
