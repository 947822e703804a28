"""TCP segments from as many clients as one likes, sent as fast as one CPU makes them.

Nobody is behind these clients, so nothing is remembered of them.
"""

from __future__ import annotations

import json
import os
import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address

from pointsman.lab.lab import Lab

__all__ = ["ACK", "SYN", "Generator"]

SYN, ACK = 2, 16
ISN = 1000
MAC = bytes.fromhex("020000005e01")
FRAME = struct.Struct("!6s6sH BBHHHBBH4sHH HHIIBBHHH")
SOURCE_AT, IP_CHECK_AT, TCP_CHECK_AT = 26, 24, 50


def _folded(words: Iterable[int]) -> int:
    total = sum(words)
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def _words(data: bytes | bytearray) -> Iterable[int]:
    return (word for (word,) in struct.iter_unpack("!H", data))


@dataclass(frozen=True)
class Generator:
    """Clients number 0 and up have addresses from `first` on, and port 40000."""

    lab: Lab
    client: str
    first: IPv4Address
    target: tuple[str, int]

    def send(self, clients: range, *flags: int) -> None:
        """One segment of each client with each of these flags in turn."""
        frames = [self._template(each) for each in flags]
        with self.lab.enter_netns(self.client):
            sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        cpus = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {min(cpus)})  # what a cable's end can't take waits for this CPU
        try:
            with sock:
                sock.bind((self.lab.plan.node(self.client).device, 0))
                for number in clients:
                    for frame, ip_sum, tcp_sum in frames:
                        source = int(self.first) + number
                        high, low = source >> 16, source & 0xFFFF
                        struct.pack_into("!HH", frame, SOURCE_AT, high, low)
                        for at, rest in ((IP_CHECK_AT, ip_sum), (TCP_CHECK_AT, tcp_sum)):
                            total = rest + high + low
                            total = (total & 0xFFFF) + (total >> 16)
                            check = 0xFFFF - ((total & 0xFFFF) + (total >> 16))
                            struct.pack_into("!H", frame, at, check)
                        sock.send(frame)
        finally:
            os.sched_setaffinity(0, cpus)

    def _template(self, flags: int) -> tuple[bytearray, int, int]:
        """A frame without source, and the sums of its two headers without it."""
        shown = self.lab.run("router", ["ip", "-j", "link", "show", "dev", self.client]).stdout
        router = bytes.fromhex(json.loads(shown)[0]["address"].replace(":", ""))
        address, service = self.target
        seq, ack = (ISN, 0) if flags == SYN else (ISN + 1, 1)
        ip = (0x45, 0, 40, 0, 0, 64, 6, 0, bytes(4))
        high, low = struct.unpack("!HH", socket.inet_aton(address))
        tcp = (40000, service, seq, ack, 0x50, flags, 64240, 0, 0)
        frame = bytearray(FRAME.pack(router, MAC, 0x0800, *ip, high, low, *tcp))
        pseudo = (high, low, 6, 20)
        return frame, _folded(_words(frame[14:34])), _folded((*_words(frame[34:]), *pseudo))
