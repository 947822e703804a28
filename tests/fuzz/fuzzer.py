"""The fuzzer: `python tests/fuzz/fuzzer.py --help`.

Rounds of packets, each from a seed of its own, on all CPUs at once. What goes wrong is told with
its seed: `--seed N --packets 100000` shows it again.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
if __name__ == "__main__":
    sys.path[:0] = [str(HERE), str(HERE.parent / "datapath"), str(HERE.parent)]

from campaign import Campaign, Found  # noqa: E402  (behind the path)

__all__ = ["ROUND", "Report", "fuzz"]

ROUND = 50_000
"""Packets of one seed."""


@dataclass
class Report:
    """Of one CPU, or of all."""

    packets: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    found: list[str] = field(default_factory=list)

    def add(self, other: Report) -> None:
        self.packets += other.packets
        self.reasons.update(other.reasons)
        self.found += other.found


def _rounds(cpu: int, seeds: list[int]) -> Report:
    report = Report()
    with Campaign(cpu) as campaign:
        for seed in seeds:
            try:
                campaign.run(seed, ROUND)
            except Found as found:
                report.found.append(str(found))
        report.packets = campaign.packets
        report.reasons = campaign.reasons()
    return report


def fuzz(seed: int, packets: int) -> Report:
    """At least so many packets, in rounds with the seeds from this one on."""
    seeds = range(seed, seed + -(-packets // ROUND))
    cpus = sorted(os.sched_getaffinity(0))
    total = Report()
    # Spawned: each worker has namespaces and descriptors of its own.
    with ProcessPoolExecutor(len(cpus), multiprocessing.get_context("spawn")) as pool:
        shares = [list(seeds[place :: len(cpus)]) for place in range(len(cpus))]
        for report in pool.map(_rounds, cpus, shares):
            total.add(report)
    return total


def _told(report: Report, seconds: float) -> Iterator[str]:
    for name, count in report.reasons.most_common():
        if count:
            yield f"{count:>10}  {name.lower()}"
    yield f"{report.packets} packets in {seconds:.0f} s, {report.packets / seconds:.0f}/s"
    yield from report.found


def main() -> int:
    """Exit status 1 if anything was found."""
    parser = argparse.ArgumentParser(description="Throws packets of any content at unit and host.")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of the first round")
    parser.add_argument("--packets", type=int, default=5_000_000)
    arguments = parser.parse_args()
    print(f"seeds from {arguments.seed} on, {ROUND} packets each")
    began = time.monotonic()
    report = fuzz(arguments.seed, arguments.packets)
    print("\n".join(_told(report, time.monotonic() - began)))
    return 1 if report.found else 0


if __name__ == "__main__":
    sys.exit(main())
