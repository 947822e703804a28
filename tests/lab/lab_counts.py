"""What became of the packets that a lab's nodes have taken in since a test began."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from pointsman.datapath.reasons import REASONS, Outcome
from pointsman.lab.lab import Lab

__all__ = ["Packets"]

DROPPED = [info.name for info in REASONS.values() if info.outcome is Outcome.DROPPED]
TRIES = 50


class Packets:
    """Of nodes whose agents run."""

    def __init__(self, lab: Lab, nodes: Iterable[str]) -> None:
        self._lab = lab
        self._before = {node: self._read(node) for node in nodes}

    def outcomes(self, node: str) -> Counter[str]:
        """How many packets each reason has counted, those that have counted any."""
        return self._read(node)[1] - self._before[node][1]

    def unaccounted(self, node: str) -> int:
        """Frames that its interface has taken in and no reason has counted. Of units only: hosts'
        stacks join packets before the programs see them.
        """
        (frames, outcomes), (frames_before, before) = self._read(node), self._before[node]
        return frames - frames_before - (outcomes - before).total()

    def dropped(self) -> dict[tuple[str, str], int]:
        """(node, reason) to packets, where there are any."""
        return {
            (node, name): count
            for node in self._before
            for name, count in self.outcomes(node).items()
            if name in DROPPED
        }

    def _read(self, node: str) -> tuple[int, Counter[str]]:
        """Frames and outcomes of one moment, in which none arrives."""
        for _ in range(TRIES):
            frames = self._frames(node)
            outcomes = Counter(self._lab.status(node)["reasons"])
            if self._frames(node) == frames:
                return frames, outcomes
        raise AssertionError(f"{node}: packets keep coming")

    def _frames(self, node: str) -> int:
        out = self._lab.run(node, ["cat", "/proc/net/dev"]).stdout
        (line,) = [line for line in out.splitlines() if line.strip().startswith("e0:")]
        return int(line.partition(":")[2].split()[1])
