"""Clients that open connections ahead of need, as browsers do, and keep them alive meanwhile."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from pointsman.lab.lab import Lab

__all__ = ["Answer", "Waiting", "ask_after", "waiting_connections"]

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


Answer = tuple[Waiting, bytes]
"""No bytes: it was broken before it asked."""


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


def ask_after(connections: list[Waiting], seconds: float, path: str) -> list[Answer]:
    """Waits so long, or until one was closed, reset or timed out; then asks on each."""
    poll = select.poll()
    for one in connections:
        poll.register(one.sock, select.POLLIN | select.POLLRDHUP)
    broken = {fd for fd, _ in poll.poll(seconds * 1000)}
    return [(one, b"" if one.sock.fileno() in broken else one.ask(path)) for one in connections]
