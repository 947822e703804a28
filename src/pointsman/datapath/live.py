"""Live connections by endpoint: what the programs count, set right by the table of routes (R-B12).

The programs see connections begin and end, but not those that idle away, are evicted or begin
anew under the same addresses and ports. A recount finds how many routes really live; the
difference, written beside the count and not into it, loses no connection that begins meanwhile.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

from pointsman.datapath.abi import TICK_SHIFT, Flow, FlowState, Standing
from pointsman.datapath.flow_table import FlowTable
from pointsman.datapath.unit import UnitDatapath

__all__ = ["LiveCounts", "Recount"]

COUNTED = (FlowState.OPENING, FlowState.OPEN, FlowState.DATAGRAM)
"""state_counts() of the packet programs."""
WRAP = 1 << 32


class LiveCounts:
    """Owner of `standings`, reader of `live` and the routes."""

    def __init__(self, datapath: UnitDatapath) -> None:
        self._datapath = datapath
        self._standings = datapath.standings.values()

    def weigh(self, weights: Iterable[tuple[int, int]]) -> None:
        """Sets how many connections endpoints should have, relative to each other."""
        for endpoint, weight in weights:
            self._standings[endpoint] = Standing(self._standings[endpoint].lost, weight)
            self._datapath.standings.set(endpoint, self._standings[endpoint])

    def connections(self) -> list[int]:
        """By endpoint, as the programs believe."""
        return [
            max(0, _signed(count - standing.lost))
            for count, standing in zip(self._datapath.live.values(), self._standings, strict=True)
        ]

    def begin(self) -> Recount:
        """A recount, of which nothing is done yet."""
        return Recount(self, self._datapath)

    def settle(self, lost: Sequence[int]) -> None:
        """Writes how many connections of each endpoint ended without a word."""
        self._standings = [
            Standing(count % WRAP, standing.weight)
            for count, standing in zip(lost, self._standings, strict=True)
        ]
        self._datapath.standings.set_many(0, self._standings)


class Recount:
    """One pass over all routes, in steps that another thread may take."""

    def __init__(self, owner: LiveCounts, datapath: UnitDatapath) -> None:
        self._owner = owner
        self._live = datapath.live
        self._before = datapath.live.values()
        self._found: Counter[int] = Counter()
        life = datapath.config.life
        self._batches = chain(_living(datapath.flows4, life), _living(datapath.flows6, life))

    def step(self) -> bool:
        """Counts some routes; False if none were left."""
        batch = next(self._batches, None)
        if batch is None:
            return False
        self._found.update(batch)
        return True

    def settle(self) -> None:
        """Takes the routes for the truth. Off by half of what came or went meanwhile, at most."""
        after = self._live.values()
        self._owner.settle(
            [
                before + _signed(now - before) // 2 - self._found[endpoint]
                for endpoint, (before, now) in enumerate(zip(self._before, after, strict=True))
            ]
        )


def _signed(difference: int) -> int:
    """Of two counters that wrap."""
    return (difference + WRAP // 2) % WRAP - WRAP // 2


def _living(table: FlowTable[Any], life: Sequence[int]) -> Iterator[Counter[int]]:
    """Endpoints of routes that count, batch by batch."""
    endpoint, seen, state = (Flow.__match_args__.index(n) for n in ("endpoint", "seen", "state"))
    for _, values, _ in table.raw_batches():
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) >> TICK_SHIFT
        yield Counter(
            row[endpoint]
            for row in Flow.rows(values)
            # A packet may have come since the clock was read.
            if row[state] in COUNTED and _signed(now - row[seen]) <= life[row[state]]
        )
