"""The loads, and what wrk says of them.

Two threads, on two CPUs: with one, wrk alone is the bottleneck, and which CPU it shares with what
decides the figure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pointsman.lab.lab import Lab

__all__ = ["LOADS", "Load", "Outcome", "run_load"]

UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


@dataclass(frozen=True)
class Load:
    """One way to use wrk; `bulk`: bytes count, not requests."""

    name: str
    title: str
    path: str
    connections: int
    headers: tuple[str, ...] = ()
    bulk: bool = False


LOADS = (
    Load("keepalive", "keep-alive, small answers, requests/s", "/a/small", 64),
    Load("close", "one connection per request, requests/s", "/a/small", 64, ("Connection: close",)),
    Load("bulk", "10 MB answers, MB/s", "/a/files/ten", 8, bulk=True),
)


@dataclass(frozen=True)
class Outcome:
    """Of one run."""

    requests: int
    seconds: float
    byte_rate: float

    def figure(self, load: Load) -> float:
        """What the load is measured by: MB/s (10^6) or requests/s."""
        return self.byte_rate / 1e6 if load.bulk else self.requests / self.seconds


def run_load(lab: Lab, load: Load, address: str, seconds: int) -> Outcome:
    """Raises ValueError if any request failed: then the figure would be worth nothing."""
    argv = ["wrk", "-t2", f"-c{load.connections}", f"-d{seconds}s", "--timeout", "10s"]
    for header in load.headers:
        argv += ["-H", header]
    out = lab.run("c1", [*argv, f"http://{address}{load.path}"], timeout=seconds + 30).stdout
    if "Socket errors" in out or "Non-2xx" in out:
        raise ValueError(f"{load.name} at {address}: requests failed:\n{out}")
    total = re.search(r"(\d+) requests in ([\d.]+)(s|m)", out)
    rate = re.search(r"Transfer/sec:\s+([\d.]+)([KMG]?)B", out)
    if total is None or rate is None:
        raise ValueError(f"{load.name} at {address}: wrk said:\n{out}")
    duration = float(total[2]) * (60 if total[3] == "m" else 1)
    return Outcome(int(total[1]), duration, float(rate[1]) * UNITS[rate[2]])
