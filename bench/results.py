"""What the bench found, as one JSON document a commit."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Self

__all__ = ["Cost", "Figures", "Results"]


@dataclass
class Figures:
    """Of one load at one target, one entry a round."""

    figure: list[float] = field(default_factory=list)
    """requests/s or MB/s."""
    p50_ms: list[float] = field(default_factory=list)
    p99_ms: list[float] = field(default_factory=list)


@dataclass
class Cost:
    """CPU time a request, ns, one entry a round."""

    between: list[float] = field(default_factory=list)
    """Of what stands between client and host: the unit's programs, the proxy's processes."""
    machine: list[float] = field(default_factory=list)
    """Of the whole machine, client and host in it."""


@dataclass
class Results:
    commit: str
    machine: str
    rounds: int
    slices: int
    """Of one second, a target and round."""
    loads: dict[str, dict[str, Figures]] = field(default_factory=dict)
    """Load and target to what was measured."""
    cpu: dict[str, dict[str, Cost]] = field(default_factory=dict)
    datagrams: dict[str, list[float]] = field(default_factory=dict)
    """Target to UDP datagrams/s, one entry a round."""
    packets: dict[str, dict[str, float]] = field(default_factory=dict)
    """Path of a packet program to its medians (PathCost.summary)."""
    memory: dict[str, float] = field(default_factory=dict)
    """MB (10^6) of maps."""
    budgets: dict[str, dict[str, Any]] = field(default_factory=dict)

    def ratio(self, load: str, target: str, to: str) -> float:
        """Median over rounds of the ratio within the round, for neighbours in time share noise."""
        pairs = zip(self.loads[load][target].figure, self.loads[load][to].figure, strict=True)
        return median(a / b for a, b in pairs)

    def cpu_ratio(self, load: str, target: str, to: str) -> float:
        """CPU a request of what stands between, against another's."""
        costs = self.cpu[load]
        return median(costs[target].between) / median(costs[to].between)

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def parse(cls, text: str) -> Self:
        """ValueError or TypeError if it is another version's."""
        document = json.loads(text)
        document["loads"] = {
            load: {target: Figures(**figures) for target, figures in by_target.items()}
            for load, by_target in document["loads"].items()
        }
        document["cpu"] = {
            load: {target: Cost(**cost) for target, cost in by_target.items()}
            for load, by_target in document["cpu"].items()
        }
        return cls(**document)

    def medians(self) -> dict[str, float]:
        """Every figure by a name, to be compared with another commit's."""
        found: dict[str, float] = {}
        for load, by_target in self.loads.items():
            for target, figures in by_target.items():
                found[f"{load} {target}"] = median(figures.figure)
                found[f"{load} {target} p99 ms"] = median(figures.p99_ms)
        for load, costs in self.cpu.items():
            for target, cost in costs.items():
                if cost.between:
                    found[f"{load} {target} CPU µs"] = median(cost.between) / 1000
        found |= {f"datagrams {target}": median(r) for target, r in self.datagrams.items()}
        found |= {f"ns {path}": summary["ns"] for path, summary in self.packets.items()}
        found |= {f"MB {name}": value for name, value in self.memory.items()}
        return found
