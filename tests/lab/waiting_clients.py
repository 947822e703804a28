"""Clients that open connections ahead of need, as browsers do, and keep them alive meanwhile."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from pointsman.lab.lab import Lab

__all__ = ["PROBE_EVERY_S", "LongWait", "Waiting", "broken_within", "waiting_connections"]

PROBE_EVERY_S = 45
"""Chrome's habit."""

REQUEST = "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


@dataclass(frozen=True)
class Waiting:
    """A connection that has said nothing yet."""

    address: str
    port: int
    sock: socket.socket

    def ask(self, path: str) -> bytes:
        """The whole answer. OSError if there is none."""
        self.sock.sendall(REQUEST.format(path=path).encode())
        return b"".join(iter(lambda: self.sock.recv(65536), b""))


@dataclass(frozen=True)
class LongWait:
    lab: Lab
    connections: list[Waiting]
    began: float = field(default_factory=time.monotonic)

    def left_of(self, seconds: float) -> float:
        return max(0.0, self.began + seconds - time.monotonic())


@contextmanager
def waiting_connections(
    lab: Lab, client: str, targets: Iterable[tuple[str, int]], *, probe_every_s: int
) -> Iterator[list[Waiting]]:
    """One to each address and port, silent but for TCP's keep-alive probes."""
    with ExitStack() as stack:
        found = []
        for address, port in targets:
            with lab.enter_netns(client):
                sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
            stack.enter_context(sock)
            sock.settimeout(10)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, probe_every_s)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, probe_every_s)
            # One that stays without an answer ends the connection when the next is due.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 1)
            sock.connect((address, port))
            found.append(Waiting(address, port, sock))
        yield found


def broken_within(connections: list[Waiting], seconds: float) -> list[Waiting]:
    """Waits so long; those that were closed, reset or timed out, as soon as there is one."""
    poll = select.poll()
    by_fd = {one.sock.fileno(): one for one in connections}
    for fd in by_fd:
        poll.register(fd, select.POLLIN | select.POLLRDHUP)
    return [by_fd[fd] for fd, _ in poll.poll(seconds * 1000)]
