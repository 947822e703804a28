"""What the loads are aimed at: the host itself, the unit's services, and proxies beside it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from pointsman.lab.lab import Lab

__all__ = ["TARGETS", "Proxies", "Target"]

HERE = Path(__file__).resolve().parent
WITHIN_S = 10.0


@dataclass(frozen=True)
class Target:
    name: str
    title: str
    address: str


TARGETS = {
    target.name: target
    for target in (
        Target("direct", "no load balancer", "10.3.0.11"),
        Target("pointsman", "Pointsman, by path", "203.0.113.30"),
        Target("plain", "Pointsman, plain", "203.0.113.30:81"),
        Target("haproxy", "HAProxy", "10.3.0.21"),
        Target("haproxy-fresh", "HAProxy as it comes", "10.3.0.21:81"),
        Target("nginx", "nginx", "10.3.0.22"),
    )
}


class Proxies:
    """HAProxy and nginx, each in a namespace without our programs. They end with the lab.

    `room`: a folder for nginx's bodies under way.
    """

    def __init__(self, lab: Lab, room: Path) -> None:
        haproxy = ["haproxy", "-db", "-f", str(HERE / "haproxy.cfg")]
        nginx = ["nginx", "-e", "stderr", "-c", str(_nginx_configuration(room))]
        self.pids = {
            "haproxy": lab.popen("haproxy", haproxy).pid,
            "nginx": lab.popen("nginx", [*nginx, "-g", "daemon off; user root;"]).pid,
        }
        for name in ("haproxy", "haproxy-fresh", "nginx"):
            _await(lab, TARGETS[name])


def _nginx_configuration(folder: Path) -> Path:
    """nginx.conf, with room in this folder for bodies under way and for its number.

    nginx removes that file in the end, so it must be one of its own.
    """
    lines = f"    client_body_temp_path {folder}/body;\n    proxy_temp_path {folder}/proxy;\n"
    path = folder / "proxy.conf"
    text = (HERE / "nginx.conf").read_text().replace("http {\n", f"http {{\n{lines}")
    path.write_text(f"pid {folder}/proxy.pid;\n{text}")
    return path


def _await(lab: Lab, target: Target) -> None:
    probe = ["curl", "-s", "-m", "1", f"http://{target.address}/a"]
    deadline = time.monotonic() + WITHIN_S
    while lab.run("c1", probe, check=False).returncode:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{target.title} does not answer")
