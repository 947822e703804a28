"""Starts the applications of a lab's hosts and waits until they listen."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pointsman.config.model import Address, Application
from pointsman.errors import SystemRefusal
from pointsman.lab.jobs import Job
from pointsman.lab.nginx import Nginx
from pointsman.lab.nsd import Nsd
from pointsman.lab.state import LabState

__all__ = ["TOOLS", "start"]

TOOLS = {
    Application.NGINX: {"nginx": "nginx-light"},
    Application.TLS: {"nginx": "nginx-light", "openssl": "openssl"},
    Application.DNS: {"nsd": "nsd"},
    Application.IPERF3: {"iperf3": "iperf3"},
}
"""Command, and the Debian package that has it."""
WITHIN_S = 10.0
LOOK_EVERY_S = 0.01
LISTENING = "0A"

Launch = Callable[[str, list[str]], subprocess.Popen[Any]]


@dataclass(frozen=True, slots=True)
class _Listener:
    """A process of a host that will accept TCP connections at so many addresses of each port."""

    job: Job
    process: subprocess.Popen[Any]
    ports: tuple[int, ...]
    addresses: int

    def listens(self) -> bool:
        found = list(_listening_ports(self.process.pid))
        return all(found.count(port) >= self.addresses for port in self.ports)


def start(jobs: Iterable[Job], state: LabState, launch: Launch) -> None:
    """`launch` runs a command on a host. Raises SystemRefusal if an application ends."""
    deadline = time.monotonic() + WITHIN_S
    web: dict[str, dict[Application, Job]] = {}
    listeners: list[_Listener] = []
    for job in jobs:
        if job.application in (Application.NGINX, Application.TLS):
            web.setdefault(job.host, {})[job.application] = job
        else:
            listeners += _start_others(job, state, launch)
    masters = []
    for host, its in web.items():
        nginx = Nginx(host, state.nginx(host), state.files)
        argv = nginx.prepare(its.get(Application.NGINX), its.get(Application.TLS))
        masters.append((nginx, launch(host, argv)))
    for nginx, master in masters:
        nginx.wait_listening(master, deadline)
    for listener in listeners:
        _wait_listening(listener, deadline)


def _start_others(job: Job, state: LabState, launch: Launch) -> Iterator[_Listener]:
    if job.application is Application.DNS:
        nsd = Nsd(job.host, state.dir / "nsd" / job.host)
        process = launch(job.host, nsd.prepare(job.addresses, job.ports))
        yield _Listener(job, process, job.ports, len(job.addresses))
    if job.application is Application.IPERF3:
        # One for each address: a socket for all of them would answer UDP from the host's own.
        for address in job.addresses:
            for port in job.ports:
                process = launch(job.host, _iperf3(address, port))
                yield _Listener(job, process, (port,), 1)


def _iperf3(address: Address, port: int) -> list[str]:
    return ["iperf3", "--server", "--bind", str(address), "--port", str(port)]


def _wait_listening(listener: _Listener, deadline: float) -> None:
    job = listener.job
    while not listener.listens():
        try:
            listener.process.wait(LOOK_EVERY_S)
        except subprocess.TimeoutExpired:
            if time.monotonic() < deadline:
                continue
        raise SystemRefusal(
            f"{job.application} on host {job.host}: does not listen on {job.ports}",
            f"see what it says when run there: {listener.process.args!r}",
        )


def _listening_ports(pid: int) -> Iterator[int]:
    """TCP ports of the process's network namespace, each as often as sockets listen there."""
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            # number, local address:port, remote, state, ...
            fields = line.split()
            if fields[3] == LISTENING:
                yield int(fields[1].rpartition(":")[2], 16)
