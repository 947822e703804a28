"""CPU time of what stands between client and host: the unit's programs, HAProxy's process."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["bpf_statistics", "process_ns", "unit_ns"]

SWITCH = Path("/proc/sys/kernel/bpf_stats_enabled")


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


def process_ns(pid: int) -> int:
    """User and system time of a process with all its threads, ns."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) * 10**9 // os.sysconf("SC_CLK_TCK")
