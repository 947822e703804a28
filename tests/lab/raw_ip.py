"""Packets of protocols without ports: GRE, ESP, AH by raw sockets, for no device is needed so.

The host's side answers every packet with its own name behind what it got.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from ipaddress import ip_address

from pointsman.lab.lab import Lab

__all__ = ["Protocol", "ah", "ask_raw", "esp", "gre", "raw_echo"]

MOST = 1 << 16
PPP = 0x880B


class Protocol(IntEnum):
    GRE = socket.IPPROTO_GRE
    ESP = socket.IPPROTO_ESP
    AH = socket.IPPROTO_AH


def gre(payload: bytes, *, call: int | None = None) -> bytes:
    """With a call, PPTP's variant (RFC 2637): version 1 and a key of length and call id."""
    if call is None:
        return struct.pack("!HH", 0, 0x0800) + payload
    return struct.pack("!HHHH", 0x2001, PPP, len(payload), call) + payload


def esp(payload: bytes, *, spi: int, sequence: int = 1) -> bytes:
    return struct.pack("!II", spi, sequence) + payload


def ah(payload: bytes, *, spi: int, sequence: int = 1) -> bytes:
    """Its next header is none (59), its check value zeros."""
    return struct.pack("!BBHII12x", 59, 4, 0, spi, sequence) + payload


@contextmanager
def raw_echo(lab: Lab, host: str, protocol: Protocol, address: str) -> Iterator[list[str]]:
    """Answers from `address` what comes to it; gives the sources so far, in order."""
    sources: list[str] = []
    sock = _raw_socket(lab, host, protocol, address)
    stop = os.eventfd(0)

    def echo() -> None:
        while stop not in select.select([sock.fileno(), stop], [], [])[0]:
            payload, source = _receive(sock)
            sources.append(source)
            sock.sendto(payload + host.encode(), (source, 0))

    thread = threading.Thread(target=echo)
    thread.start()
    try:
        yield sources
    finally:
        os.eventfd_write(stop, 1)
        thread.join()
        os.close(stop)
        sock.close()


def ask_raw(
    lab: Lab,
    client: str,
    protocol: Protocol,
    target: str,
    packet: bytes,
    *,
    source: str = "",
    within_s: float = 5,
) -> str:
    """Sends it and returns the name of the host that has answered it. TimeoutError if none did."""
    with _raw_socket(lab, client, protocol, source or _any(target)) as sock:
        sock.settimeout(within_s)
        sock.sendto(packet, (target, 0))
        while True:
            answer, answerer = _receive(sock)
            if answerer == target and answer.startswith(packet):
                return answer[len(packet) :].decode()


def _raw_socket(lab: Lab, node: str, protocol: Protocol, address: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with lab.enter_netns(node):
        sock = socket.socket(family, socket.SOCK_RAW, protocol)
    sock.bind((address, 0))
    return sock


def _any(target: str) -> str:
    return "::" if ":" in target else "0.0.0.0"


def _receive(sock: socket.socket) -> tuple[bytes, str]:
    """What is behind the IP header, which IPv4's raw sockets give and IPv6's don't; the source."""
    data, where = sock.recvfrom(MOST)
    source = str(ip_address(where[0].partition("%")[0]))
    if sock.family == socket.AF_INET:
        data = data[(data[0] & 15) * 4 :]
    return data, source
