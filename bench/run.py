"""Packet programs by themselves, then no load balancer, Pointsman and proxies in one lab, in turn.

    python bench/run.py [--quick]

Writes bench/results.json, the figures in docs/performance, and the tables between the marks of
README.md and docs/performance.md; with --quick, or BENCH=quick in the environment, it only prints.
Exit status 1 if a budget is missed. Units and frames to measure with are tests/datapath's.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests" / "datapath"))

from budgets import judge
from lab_loads import measure_loads
from packet_costs import measure_memory, measure_packets
from results import Results
from tables import figures, packets_table, put_between_marks, readme_table, tables

__all__ = ["main"]

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PACKET_ROUNDS, QUICK_PACKET_ROUNDS = 4, 2


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", default=os.environ.get("BENCH") == "quick")
    parser.add_argument("--packets", action="store_true", help="no lab; prints")
    options = parser.parse_args()
    say = _clock()
    results = Results(_commit(), _machine(), *((1, 1) if options.quick else (5, 2)))
    rounds = QUICK_PACKET_ROUNDS if options.quick else PACKET_ROUNDS
    costs = measure_packets(rounds, say, scales=not options.quick)
    results.packets = {path: cost.summary() for path, cost in costs.items()}
    results.memory = measure_memory()
    if options.packets:
        print(packets_table(results))
        return 0
    measure_loads(results, f"b{os.getpid():x}", say)
    missed = judge(results)
    for text in tables(results).values():
        print(f"\n{text}")
    if not options.quick:
        _publish(results)
    for text in missed:
        print(f"missed: {text}", file=sys.stderr)
    return 1 if missed else 0


def _clock() -> Callable[[str], None]:
    """Says things with the time since the start."""
    started = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - started:4.0f} s  {text}", flush=True)

    return say


def _commit() -> str:
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=7"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def _machine() -> str:
    return f"{os.cpu_count()} CPUs, Linux {'.'.join(platform.release().split('.')[:2])}"


def _publish(results: Results) -> None:
    results.write(HERE / "results.json")
    put_between_marks(ROOT / "README.md", "bench", readme_table(results))
    for mark, text in tables(results).items():
        put_between_marks(ROOT / "docs" / "performance.md", mark, text)
    folder = ROOT / "docs" / "performance"
    folder.mkdir(exist_ok=True)
    for name, svg in figures(results).items():
        (folder / name).write_text(svg)


if __name__ == "__main__":
    sys.exit(main())
