"""No load balancer, Pointsman and HAProxy under the same loads, in one lab, in turn.

    python bench/run.py [--rounds 3] [--slices 6]

Writes bench/results.json and the table between the marks in README.md. Exit status 1 if one of the
first three budgets of docs/architecture.md is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from pathlib import Path
from statistics import mean, median

from cpu import bpf_statistics, process_ns, unit_ns
from loads import LOADS, Load, run_load
from report import BUDGETS, Results, put_into_readme, table

from pointsman.lab.lab import Lab

HERE = Path(__file__).resolve().parent
TARGETS = {
    "direct": "10.3.0.11",
    "pointsman": "203.0.113.30",
    "haproxy": "10.3.0.21",
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--slices", type=int, default=6, help="of one second, a target and round")
    options = parser.parse_args()
    with Lab(f"b{os.getpid():x}", HERE / "site.yaml") as lab:
        lab.up()
        lab.make_file("ten", 10_000_000)
        proxy = start_haproxy(lab)
        runs = throughput(lab, options.rounds, options.slices)
        cpu = cpu_per_request(lab, proxy, options.rounds)
    results = Results(
        machine=f"{os.cpu_count()} CPUs, Linux {'.'.join(platform.release().split('.')[:2])}",
        rounds=options.rounds,
        slices=options.slices,
        runs=runs,
        medians={
            load: {target: median(figures) for target, figures in by_target.items()}
            for load, by_target in runs.items()
        },
        cpu_ns=cpu,
    )
    document = json.dumps(results.document(), indent=2) + "\n"
    (HERE / "results.json").write_text(document)
    put_into_readme(HERE.parent / "README.md", results)
    print(table(results))
    missed = [budget.text for budget in BUDGETS if not budget.met(results)]
    for text in missed:
        print(f"missed: {text}", file=sys.stderr)
    return 1 if missed else 0


def start_haproxy(lab: Lab) -> int:
    """Its process id. It runs beside the unit, in a namespace without our programs."""
    process = lab.popen("proxy", ["haproxy", "-db", "-f", str(HERE / "haproxy.cfg")])
    probe = ["curl", "-s", "-m", "1", f"http://{TARGETS['haproxy']}/a"]
    for _ in range(100):
        if lab.run("c1", probe, check=False).returncode == 0:
            return process.pid
    raise RuntimeError("HAProxy does not answer")


def throughput(lab: Lab, rounds: int, slices: int) -> dict[str, dict[str, list[float]]]:
    """Load and target to one figure a round, the mean of its slices.

    Slices of the three take turns second by second, and who goes first changes, so that what else
    the machine does meanwhile falls on all alike.
    """
    runs: dict[str, dict[str, list[float]]] = {
        load.name: {target: [] for target in TARGETS} for load in LOADS
    }
    for load in LOADS:
        for address in TARGETS.values():
            run_load(lab, load, address, 1)
        for number in range(rounds):
            figures: dict[str, list[float]] = {target: [] for target in TARGETS}
            for turn in range(slices):
                for target in rotated(list(TARGETS), number + turn):
                    outcome = run_load(lab, load, TARGETS[target], 1)
                    figures[target].append(outcome.figure(load))
            for target, found in figures.items():
                runs[load.name][target].append(mean(found))
            said = ", ".join(f"{target} {runs[load.name][target][-1]:,.0f}" for target in TARGETS)
            print(f"{load.name}, round {number + 1}: {said}", flush=True)
    return runs


def rotated(names: list[str], by: int) -> list[str]:
    by %= len(names)
    return names[by:] + names[:by]


def cpu_per_request(lab: Lab, proxy: int, rounds: int) -> dict[str, dict[str, list[float]]]:
    """Load and target to ns of CPU a request, apart from the throughput: timing costs time."""
    unit = int(lab.status("u1")["pid"])
    costs: dict[str, dict[str, list[float]]] = {}
    with bpf_statistics():
        for load in [load for load in LOADS if not load.bulk]:
            costs[load.name] = {"pointsman": [], "haproxy": []}
            for _ in range(rounds):
                costs[load.name]["pointsman"].append(cost(lab, load, "pointsman", unit))
                costs[load.name]["haproxy"].append(cost(lab, load, "haproxy", proxy))
    return costs


def cost(lab: Lab, load: Load, target: str, pid: int) -> float:
    meter = unit_ns if target == "pointsman" else process_ns
    before = meter(pid)
    outcome = run_load(lab, load, TARGETS[target], 2)
    return (meter(pid) - before) / outcome.requests


if __name__ == "__main__":
    sys.exit(main())
