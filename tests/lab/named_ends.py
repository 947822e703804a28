"""Servers that tell each client, over TCP or UDP, who they are and whom they see.

Many of them in one thread of the test's own: what is on trial is the way to them.
"""

from __future__ import annotations

import os
import selectors
import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from pointsman.lab.lab import Lab

__all__ = ["End", "ask_tcp", "ask_udp", "named_ends"]


@dataclass(frozen=True, slots=True)
class End:
    """Where a host listens."""

    host: str
    kind: socket.SocketKind
    address: str
    port: int


@contextmanager
def named_ends(lab: Lab, ends: Iterable[End]) -> Iterator[None]:
    """They listen when this begins."""
    with ExitStack() as stack, selectors.DefaultSelector() as selector:
        for end in ends:
            sock = stack.enter_context(_socket(lab, end.host, end.kind, end.address, end.port))
            if end.kind is socket.SOCK_STREAM:
                sock.listen()
            selector.register(sock, selectors.EVENT_READ, end)
        stop = os.eventfd(0)
        stack.callback(os.close, stop)
        selector.register(stop, selectors.EVENT_READ)
        thread = threading.Thread(target=_serve, args=[selector])
        thread.start()
        try:
            yield
        finally:
            os.eventfd_write(stop, 1)
            thread.join()


def _serve(selector: selectors.BaseSelector) -> None:
    while True:
        for key, _ in selector.select():
            if not isinstance(key.fileobj, socket.socket):
                return
            if key.data.kind is socket.SOCK_STREAM:
                connection, peer = key.fileobj.accept()
                with connection:
                    connection.sendall(f"{key.data.host} {peer[0]}".encode())
            else:
                _, peer = key.fileobj.recvfrom(1 << 16)
                key.fileobj.sendto(f"{key.data.host} {peer[0]}".encode(), peer)


def ask_tcp(lab: Lab, client: str, target: str, port: int, *, source: str) -> tuple[str, str]:
    """The host's name, and the client's address as it sees it. OSError if nobody answers."""
    with _socket(lab, client, socket.SOCK_STREAM, source, 0) as sock:
        sock.connect((target, port))
        host, seen = b"".join(iter(lambda: sock.recv(1 << 16), b"")).decode().split()
    return host, seen


def ask_udp(lab: Lab, client: str, target: str, port: int, *, source: str) -> tuple[str, str]:
    """The same."""
    with _socket(lab, client, socket.SOCK_DGRAM, source, 0) as sock:
        sock.connect((target, port))
        sock.send(b"who?")
        host, seen = sock.recv(1 << 16).decode().split()
    return host, seen


def _socket(lab: Lab, node: str, kind: socket.SocketKind, address: str, port: int) -> socket.socket:
    with lab.enter_netns(node):
        sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind)
    sock.settimeout(5)
    sock.bind((address, port))
    return sock
