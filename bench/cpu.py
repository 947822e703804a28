"""CPU time: of what stands between client and host, and of the whole machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["bpf_statistics", "machine_ns", "processes_ns", "unit_ns"]

SWITCH = Path("/proc/sys/kernel/bpf_stats_enabled")
TICK_NS = 10**9 // os.sysconf("SC_CLK_TCK")
IDLE, IOWAIT, STEAL = 3, 4, 7
"""Columns of /proc/stat that are no work of ours; behind them are guests, counted twice."""


@contextmanager
def bpf_statistics() -> Iterator[None]:
    """The kernel times every program meanwhile, at some 20 ns a run."""
    before = SWITCH.read_text()
    SWITCH.write_text("1")
    try:
        yield
    finally:
        SWITCH.write_text(before)


def unit_ns(pid: int) -> int:
    """Run time of the programs that a unit's agent holds, ns. A tail call counts in its caller."""
    times: dict[str, int] = {}
    for entry in Path(f"/proc/{pid}/fdinfo").iterdir():
        fields = dict(line.split(":", 1) for line in entry.read_text().splitlines() if ":" in line)
        if "run_time_ns" in fields:
            times[fields["prog_id"]] = int(fields["run_time_ns"])
    return sum(times.values())


def processes_ns(pid: int) -> int:
    """User and system time of a process, its threads and its children, ns.

    The kernel's work on packets (softirq) counts where it happens to run: a part of it here, and
    some of others' work too. machine_ns() tells all of it.
    """
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    own = (int(fields[11]) + int(fields[12])) * TICK_NS
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return own + sum(processes_ns(int(child)) for child in children)


def machine_ns() -> int:
    """What all CPUs have worked, interrupts included, ns."""
    columns = [int(value) for value in Path("/proc/stat").read_text().split("\n")[0].split()[1:]]
    spent = columns[: STEAL + 1]
    return (sum(spent) - spent[IDLE] - spent[IOWAIT] - spent[STEAL]) * TICK_NS
