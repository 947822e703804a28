"""The budgets of docs/performance.md."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from results import Results

__all__ = ["BUDGETS", "Budget", "judge"]


@dataclass(frozen=True)
class Budget:
    """A figure and its bound. `figure` raises KeyError if what it needs was not measured."""

    text: str
    figure: Callable[[Results], float]
    at_least: float | None = None
    at_most: float | None = None

    def met(self, figure: float) -> bool:
        return (self.at_least is None or figure >= self.at_least) and (
            self.at_most is None or figure <= self.at_most
        )


BUDGETS = (
    Budget(
        "requests/s routed by path, against no load balancer ≥ 0.95",
        lambda results: results.ratio("keepalive", "pointsman", "direct"),
        at_least=0.95,
    ),
    Budget(
        "bytes/s of answers routed by path, against no load balancer ≥ 0.95",
        lambda results: results.ratio("download", "pointsman", "direct"),
        at_least=0.95,
    ),
    Budget(
        "unit CPU per request routed by path, against HAProxy's ≤ 1/40",
        lambda results: results.cpu_ratio("keepalive", "pointsman", "haproxy"),
        at_most=1 / 40,
    ),
    Budget(
        "new connections/s routed by path, against HAProxy as it comes ≥ 1.5",
        lambda results: results.ratio("close", "pointsman", "haproxy-fresh"),
        at_least=1.5,
    ),
    Budget(
        "packet of an established connection, against parse and one lookup ≤ 2.7",
        lambda results: results.packets["established, IPv4"]["ratio"],
        at_most=2.7,
    ),
    Budget(
        "new plain connection, against parse and one lookup ≤ 6",
        lambda results: results.packets["new plain, same client, IPv4"]["ratio"],
        at_most=6,
    ),
    Budget(
        "memory per million open connections ≤ 200 MB",
        lambda results: results.memory["per million connections, IPv6"],
        at_most=200,
    ),
)


def judge(results: Results) -> list[str]:
    """Writes into the results how they stand to the budgets; returns those missed."""
    missed = []
    for budget in BUDGETS:
        figure = budget.figure(results)
        met = budget.met(figure)
        results.budgets[budget.text] = {"figure": round(figure, 4), "met": met}
        if not met:
            missed.append(f"{budget.text}: {figure:.3g}")
    return missed
