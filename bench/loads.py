"""The loads, and what wrk says of them.

Two threads, on two CPUs: with one, wrk alone is the bottleneck, and which CPU it shares with what
decides the figure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from targets import Target

from pointsman.lab.lab import Lab

__all__ = ["LOADS", "UPLOAD_BYTES", "Load", "Outcome", "run_load"]

UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
MILLISECONDS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}
UPLOAD = Path(__file__).resolve().parent / "upload.lua"
UPLOAD_BYTES = 1_000_000
"""Of one request; upload.lua's."""
PROXIED = ("direct", "pointsman", "plain", "haproxy", "nginx")


@dataclass(frozen=True)
class Load:
    """One way to use wrk. `unit`: what its figure is in."""

    name: str
    title: str
    unit: str
    path: str
    connections: int
    headers: tuple[str, ...] = ()
    script: Path | None = None
    targets: tuple[str, ...] = PROXIED

    @property
    def small(self) -> bool:
        """Requests count, not bytes."""
        return self.unit == "requests/s"


LOADS = (
    Load("keepalive", "keep-alive, small answers", "requests/s", "/a/small", 64),
    Load(
        "close",
        "one connection per request",
        "requests/s",
        "/a/small",
        64,
        ("Connection: close",),
        targets=(*PROXIED, "haproxy-fresh"),
    ),
    Load("download", "10 MB answers", "MB/s", "/a/files/ten", 8),
    Load("upload", "1 MB uploads", "MB/s", "/a/upload/one", 8, script=UPLOAD),
)


@dataclass(frozen=True)
class Outcome:
    """Of one run."""

    requests: int
    seconds: float
    byte_rate: float
    """Of what was received."""
    p50_ms: float
    p99_ms: float

    def figure(self, load: Load) -> float:
        """What the load is measured by: MB/s (10^6) or requests/s."""
        if load.script:
            return self.requests / self.seconds * UPLOAD_BYTES / 1e6
        return self.requests / self.seconds if load.small else self.byte_rate / 1e6


def run_load(lab: Lab, load: Load, target: Target, seconds: int) -> Outcome:
    """Raises ValueError if any request failed: then the figure would be worth nothing."""
    argv = ["wrk", "-t2", f"-c{load.connections}", f"-d{seconds}s", "--timeout", "10s", "--latency"]
    for header in load.headers:
        argv += ["-H", header]
    if load.script:
        argv += ["-s", str(load.script)]
    url = f"http://{target.address}{load.path}"
    out = lab.run("c1", [*argv, url], timeout=seconds + 30).stdout
    if "Socket errors" in out or "Non-2xx" in out:
        raise ValueError(f"{load.name} at {target.title}: requests failed:\n{out}")
    total = re.search(r"(\d+) requests in ([\d.]+)(s|m)", out)
    rate = re.search(r"Transfer/sec:\s+([\d.]+)([KMG]?)B", out)
    quantiles = {q: (value, unit) for q, value, unit in re.findall(QUANTILE, out)}
    if total is None or rate is None or not {"50", "99"} <= quantiles.keys():
        raise ValueError(f"{load.name} at {target.title}: wrk said:\n{out}")
    p50, p99 = (float(quantiles[q][0]) * MILLISECONDS[quantiles[q][1]] for q in ("50", "99"))
    duration = float(total[2]) * (60 if total[3] == "m" else 1)
    return Outcome(int(total[1]), duration, float(rate[1]) * UNITS[rate[2]], p50, p99)


QUANTILE = r"(50|99)%\s+([\d.]+)(us|ms|s|m)\b"
