"""ns a packet of every path, beside its floors, in turn, so that noise falls on all alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from statistics import median

from bench import XDP_TX, UnitBench
from harness import MAX_TEMPLATES, Clients, Harness, Run
from host_bench import HostBench
from memory import map_bytes
from own_site import own_site
from packets import Client
from paths import (
    MODE_PORTS,
    PacketPath,
    WrongOutput,
    acknowledgement,
    data_paths,
    host_paths,
    large_site,
    mode_paths,
    mode_site,
    opening_path,
    rule_site,
    scale_paths,
    sized,
    unit_paths,
)
from quic_paths import QUIC_KEYS, quic_paths, quic_site
from site_file import KEY, make_site

__all__ = ["PathCost", "measure_memory", "measure_packets"]

TABLE = 1_000_000
"""Routes that a unit's table must hold, if nothing is said."""
RESIDENT = (1, 1 << 14, 1 << 20)
ENDPOINTS = (2, 100, 10_000)
RULES = (10, 100, 1000)
SPREAD = 1 << 14
"""Connections over the endpoints."""
FULL_TABLE = 1 << 16
SLICES = 8
"""Of each measurement; the one that was least disturbed counts, for floors as for paths."""


@dataclass
class PathCost:
    """One entry a round; ns a packet above the restorer before a bare verdict, but for `bare`."""

    bare: list[float] = field(default_factory=list)
    ns: list[float] = field(default_factory=list)
    lookup: list[float] = field(default_factory=list)
    """Parse and one lookup of a known flow, that family's."""
    insert: list[float] = field(default_factory=list)
    """Parse, a lookup and an insertion of the same packets; of paths that insert."""

    def summary(self) -> dict[str, float]:
        found = {"ns": median(self.ns), "lookup_ns": median(self.lookup)}
        found["ratio"] = found["ns"] / found["lookup_ns"]
        if self.insert:
            found["insert_ns"] = median(self.insert)
        return {name: round(value, 2) for name, value in found.items()}


class Meter:
    """Measures paths with one harness. `rounds`: how often each, in turn."""

    def __init__(self, harness: Harness, rounds: int, say: Callable[[str], None]) -> None:
        self.harness = harness
        self.rounds = rounds
        self.say = say
        self.costs: dict[str, PathCost] = {}

    def measure(self, paths: Sequence[PacketPath]) -> None:
        """Raises WrongOutput if one of them does anything but what its name says."""
        known = {version: acknowledgement(Client(version)) for version in (4, 6)}
        for frame in known.values():
            self.harness.know(frame)
        for number in range(self.rounds):
            lookups = {
                version: self._floor(f"lookup{version}", [frame])
                for version, frame in known.items()
                if any(path.version == version for path in paths)
            }
            for path in paths:
                cost = self.costs.setdefault(path.name, PathCost())
                if not path.lookup:
                    cost.lookup.append(lookups[path.version])
                self._measure(path, cost)
            self.say(f"round {number + 1} of {self.rounds}: {paths[0].name} …")

    def once(self, path: PacketPath, program_fd: int) -> None:
        """Send a path's packets through a program. WrongOutput if it does not send them on."""
        self.harness.load(path.frames)
        clients = replace(path.clients) if path.clients else None
        if self.harness.run(program_fd, path.repeat, clients=clients).verdict != XDP_TX:
            raise WrongOutput(f"{path.name}: not sent on")

    def _floor(self, program: str, frames: Sequence[bytes]) -> float:
        """Above the bare verdict."""
        self.harness.load(frames)
        bare = self._least(self.harness.program_fd("bare_xdp"), 100_000).ns
        return self._least(self.harness.program_fd(program), 100_000).ns - bare

    def _least(
        self, program_fd: int, repeat: int, *, clients: Clients | None = None, tc: bool = False
    ) -> Run:
        """As Harness.run, in slices."""
        each = repeat // SLICES
        counts = [each] * (SLICES - 1) + [repeat - each * (SLICES - 1)]
        runs = [self.harness.run(program_fd, n, clients=clients, tc=tc) for n in counts]
        return min(runs, key=lambda run: run.ns)

    def _measure(self, path: PacketPath, cost: PathCost) -> None:
        harness, repeat = self.harness, path.repeat
        if path.prepare:
            path.prepare()
        harness.load(path.frames)
        bare = harness.program_fd("bare_tc" if path.tc else "bare_xdp")
        floor = self._least(bare, repeat, clients=path.clients, tc=path.tc).ns
        cost.bare.append(floor)
        if path.lookup:
            lookup = harness.program_fd(f"lookup{path.version}")
            cost.lookup.append(self._least(lookup, repeat, clients=path.clients).ns - floor)
        if path.inserts:
            insert = harness.program_fd(f"insert{path.version}")
            made = self._least(insert, repeat, clients=path.clients)
            if made.verdict != XDP_TX:
                raise WrongOutput(f"{path.name}: the floor does not insert it")
            cost.insert.append(made.ns - floor)
        before = path.counts()
        run = self._least(path.program_fd, repeat, clients=path.clients, tc=path.tc)
        path.check(run.verdict, run.frame, before, repeat)
        cost.ns.append(run.ns - floor)


def measure_packets(
    rounds: int, say: Callable[[str], None], *, scales: bool = True
) -> dict[str, PathCost]:
    """Path to cost. Without `scales` only the paths themselves, on small tables."""
    with Harness() as harness:
        meter = Meter(harness, rounds, say)
        _plain(meter)
        _modes(meter)
        _quic(meter)
        if scales:
            for rules in RULES:
                _rules(meter, rules)
            _scales(meter)
        else:
            _rules(meter, RULES[0])
        return meter.costs


def _plain(meter: Meter) -> None:
    with ExitStack() as stack:
        unit = stack.enter_context(UnitBench(sized(make_site(), TABLE), KEY))
        host = stack.enter_context(HostBench(own_site(), KEY))
        meter.measure(
            [
                path
                for version in (4, 6)
                for path in (*unit_paths(unit, version), *host_paths(host, version))
            ]
        )


def _modes(meter: Meter) -> None:
    with UnitBench(sized(mode_site(), TABLE), KEY) as unit:
        meter.measure(
            [
                path
                for version in (4, 6)
                for mode in MODE_PORTS
                for path in mode_paths(unit, version, *mode)
            ]
        )


def _quic(meter: Meter) -> None:
    with UnitBench(sized(quic_site(), TABLE), KEY, QUIC_KEYS) as unit:
        meter.measure([path for version in (4, 6) for path in quic_paths(unit, version)])


def _rules(meter: Meter, rules: int) -> None:
    request = f"GET /r{rules - 1:04}/x HTTP/1.1\r\nHost: www.example.org\r\n\r\n".encode()
    with UnitBench(sized(rule_site(rules), 2 * MAX_TEMPLATES), KEY) as unit:
        name = f"first data, the last of {rules} rules, IPv4"
        meter.measure(data_paths(unit, request, name, MAX_TEMPLATES // 2))


def _scales(meter: Meter) -> None:
    """As many hosts, then as many open connections; each packet is another connection's."""
    for endpoints in ENDPOINTS:
        with UnitBench(large_site(endpoints, TABLE), KEY) as unit:
            title = f"{endpoints:,} endpoints"
            _open(meter, unit, SPREAD)
            meter.measure(scale_paths(unit, title, SPREAD))
    for flows in RESIDENT:
        # Room enough that hardly a bucket overflows: the connections must still be there.
        with UnitBench(large_site(2, max(TABLE, flows + flows // 16)), KEY) as unit:
            _open(meter, unit, flows)
            meter.measure(scale_paths(unit, f"{flows:,} connections open", flows))
    with UnitBench(large_site(2, FULL_TABLE), KEY) as unit:
        _open(meter, unit, 2 * FULL_TABLE)
        meter.measure(scale_paths(unit, "table full", 1)[:1])


def _open(meter: Meter, unit: UnitBench, flows: int) -> None:
    """In the unit's table, and in the floor's."""
    opening = opening_path(unit, flows)
    meter.once(opening, opening.program_fd)
    meter.once(opening, meter.harness.program_fd("insert4"))


def measure_memory() -> dict[str, float]:
    """What to MB of maps, in a unit made for a million routes of each family, a million open."""
    with Harness() as harness:
        before = map_bytes()
        with UnitBench(large_site(2, TABLE), KEY) as unit:
            _open(Meter(harness, 1, print), unit, TABLE)
            sizes = [size for number, size in map_bytes().items() if number not in before]
    *rest, smaller, larger = sorted(sizes)
    return {
        "per million connections, IPv4": (sum(rest) + smaller) / 1e6,
        "per million connections, IPv6": (sum(rest) + larger) / 1e6,
        "all maps of a unit for a million of each": sum(sizes) / 1e6,
    }
