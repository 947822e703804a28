"""Whether packets in are the sum over the outcomes: by the kernel's own count of programs' runs.

The kernel counts only while it is told to (cpu.bpf_statistics), so from before the agents' start.
"""

from __future__ import annotations

from pathlib import Path

from pointsman.lab.lab import Lab

__all__ = ["miscounted", "runs_and_outcomes"]

TRIES = 200


def _runs(pid: int) -> int:
    """How often the kernel has called the programs that an agent holds. A tail call is no call."""
    runs: dict[str, int] = {}
    for entry in Path(f"/proc/{pid}/fdinfo").iterdir():
        try:
            text = entry.read_text()
        except FileNotFoundError:  # closed meanwhile: no program, for those stay
            continue
        fields = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
        if "run_cnt" in fields:
            runs[fields["prog_id"]] = int(fields["run_cnt"])
    return sum(runs.values())


def runs_and_outcomes(lab: Lab, node: str, pid: int) -> tuple[int, int]:
    """Of one moment, in which no packet arrives."""
    for _ in range(TRIES):
        runs = _runs(pid)
        outcomes = sum(lab.status(node)["reasons"].values())
        if _runs(pid) == runs:
            return runs, outcomes
    raise AssertionError(f"{node}: packets keep coming")


def miscounted(lab: Lab) -> dict[str, tuple[int, int]]:
    """Runs and outcomes of the nodes with an agent where they differ."""
    found = {}
    for node in lab.overview().nodes:
        if node.agent_pid is not None and node.agent is not None:
            runs, outcomes = runs_and_outcomes(lab, node.name, node.agent_pid)
            if runs != outcomes:
                found[node.name] = runs, outcomes
    return found
