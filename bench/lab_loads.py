"""The lab half of the bench: no load balancer, Pointsman and the proxies in turn, in one lab."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory

from cpu import bpf_statistics, machine_ns, processes_ns, unit_ns
from datagrams import measure_datagrams
from loads import LOADS, Load, Outcome, run_load
from results import Cost, Figures, Results
from targets import TARGETS, Proxies

from pointsman.lab.lab import Lab

__all__ = ["measure_loads"]

MEMORY = "/dev/shm"
SITE = Path(__file__).resolve().parent / "site.yaml"
OURS = ("pointsman", "plain")


def measure_loads(results: Results, name: str, say: Callable[[str], None]) -> None:
    """Fills `loads`, `cpu` and `datagrams` of the results in a lab of that name."""
    with TemporaryDirectory(dir=MEMORY) as room, Lab(name, SITE) as lab:
        lab.up()
        lab.make_file("ten", 10_000_000)
        _keep_in_memory(lab, Path(room))
        proxies = Proxies(lab, Path(room))
        for load in LOADS:
            results.loads[load.name] = _throughput(lab, load, results, say)
        pids = {**proxies.pids, **dict.fromkeys(OURS, int(lab.status("u1")["pid"]))}
        with bpf_statistics():
            for load in LOADS:
                if load.small:
                    results.cpu[load.name] = _cpu(lab, load, pids, results.rounds)
                    say(f"CPU, {load.title}")
        measure_datagrams(lab, results, say)


def _keep_in_memory(lab: Lab, room: Path) -> None:
    """Uploads, so that no disk is measured."""
    for name in ("tmp", "uploads"):
        folder = lab.nginx("h1").dir / name
        shutil.move(folder, room / name)
        folder.symlink_to(room / name)


def _throughput(
    lab: Lab, load: Load, results: Results, say: Callable[[str], None]
) -> dict[str, Figures]:
    """Target to its figures, the mean of its slices each round.

    Slices take turns second by second, and who goes first changes, so that what else the machine
    does meanwhile falls on all alike.
    """
    found = {target: Figures() for target in load.targets}
    for number in range(results.rounds):
        outcomes: dict[str, list[Outcome]] = {target: [] for target in load.targets}
        for turn in range(results.slices):
            for target in _rotated(load.targets, number + turn):
                outcomes[target].append(run_load(lab, load, TARGETS[target], 1))
        for target, figures in found.items():
            figures.figure.append(mean(one.figure(load) for one in outcomes[target]))
            figures.p50_ms.append(mean(one.p50_ms for one in outcomes[target]))
            figures.p99_ms.append(mean(one.p99_ms for one in outcomes[target]))
        said = ", ".join(f"{target} {found[target].figure[-1]:,.0f}" for target in load.targets)
        say(f"{load.title}, {load.unit}, round {number + 1}: {said}")
    return found


def _rotated(names: tuple[str, ...], by: int) -> tuple[str, ...]:
    by %= len(names)
    return names[by:] + names[:by]


def _cpu(lab: Lab, load: Load, pids: dict[str, int], rounds: int) -> dict[str, Cost]:
    """Apart from the throughput: timing costs time."""
    costs = {target: Cost() for target in ("direct", *OURS, "haproxy", "nginx")}
    for _ in range(rounds):
        for target, cost in costs.items():
            meter = unit_ns if target in OURS else processes_ns
            between, machine = meter(pids[target]) if target in pids else 0, machine_ns()
            requests = run_load(lab, load, TARGETS[target], 1).requests
            cost.machine.append((machine_ns() - machine) / requests)
            if target in pids:
                cost.between.append((meter(pids[target]) - between) / requests)
    return costs
