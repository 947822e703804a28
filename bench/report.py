"""What the bench found: as JSON, as a table, against the budgets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from loads import LOADS

__all__ = ["BUDGETS", "Budget", "Results", "put_into_readme", "table"]

BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"


@dataclass(frozen=True)
class Results:
    machine: str
    rounds: int
    slices: int
    """Of one second, a target and round."""
    runs: dict[str, dict[str, list[float]]]
    """Load and target to one figure a round: requests/s, or MB/s of bulk loads."""
    medians: dict[str, dict[str, float]]
    cpu_ns: dict[str, dict[str, list[float]]]
    """Load and target to CPU time a request, ns, one a round."""

    def ratio(self, load: str, target: str, to: str) -> float:
        """Median over rounds of the ratio within the round, for neighbours in time share noise."""
        pairs = zip(self.runs[load][target], self.runs[load][to], strict=True)
        return median(a / b for a, b in pairs)

    def cpu_ratio(self, load: str) -> float:
        """Pointsman's CPU a request against HAProxy's."""
        costs = self.cpu_ns[load]
        return median(costs["pointsman"]) / median(costs["haproxy"])

    def document(self) -> dict[str, Any]:
        budgets = {
            budget.text: {"figure": round(budget.figure(self), 4), "met": budget.met(self)}
            for budget in BUDGETS
        }
        return {**asdict(self), "budgets": budgets}


@dataclass(frozen=True)
class Budget:
    """One of docs/architecture.md."""

    text: str
    figure: Callable[[Results], float]
    at_least: float | None = None
    at_most: float | None = None

    def met(self, results: Results) -> bool:
        figure = self.figure(results)
        return (self.at_least is None or figure >= self.at_least) and (
            self.at_most is None or figure <= self.at_most
        )


BUDGETS = (
    Budget(
        "layer-7-routed requests/s against no load balancer ≥ 0.95",
        lambda results: results.ratio("keepalive", "pointsman", "direct"),
        at_least=0.95,
    ),
    Budget(
        "layer-7-routed bulk bytes/s against no load balancer ≥ 0.95",
        lambda results: results.ratio("bulk", "pointsman", "direct"),
        at_least=0.95,
    ),
    Budget(
        "unit CPU per layer-7-routed request against HAProxy's ≤ 1/40",
        lambda results: results.cpu_ratio("keepalive"),
        at_most=1 / 40,
    ),
)


def table(results: Results) -> str:
    """Markdown: medians, and ratios to no load balancer."""
    lines = [
        "| load | no load balancer | Pointsman | HAProxy |",
        "| --- | --- | --- | --- |",
    ]
    for load in LOADS:
        medians = results.medians[load.name]
        cells = [f"{medians['direct']:,.0f}"]
        for target in ("pointsman", "haproxy"):
            ratio = results.ratio(load.name, target, "direct")
            cells.append(f"{medians[target]:,.0f} (×{ratio:.2f})")
        lines.append(f"| {load.title} | {' | '.join(cells)} |")
    titles = {"keepalive": "keep-alive request", "close": "one-request connection"}
    for name, costs in results.cpu_ns.items():
        ours, theirs = median(costs["pointsman"]), median(costs["haproxy"])
        lines.append(
            f"| CPU between client and host per {titles[name]}, µs | 0 | {ours / 1000:.2f} "
            f"(1/{theirs / ours:.0f} of HAProxy's) | {theirs / 1000:.1f} |"
        )
    return "\n".join(lines)


def put_into_readme(readme: Path, results: Results) -> None:
    """Replaces what stands between the marks. ValueError if there are none."""
    text = readme.read_text()
    head, rest = text.split(BEGIN)
    _, tail = rest.split(END)
    note = (
        f"Medians of {results.rounds} rounds of {results.slices} interleaved seconds "
        f"({results.machine}; client, router, unit, host with nginx, and HAProxy are namespaces of "
        "that one machine, XDP generic). × is the ratio to no load balancer in the same round. "
        "By `make bench`."
    )
    readme.write_text(f"{head}{BEGIN}\n{table(results)}\n\n{note}\n{END}{tail}")
