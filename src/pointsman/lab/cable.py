"""A cable with a delay: two TAP devices and a process between them (relay.py)."""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
import sys
from dataclasses import dataclass

from pointsman.errors import SystemRefusal
from pointsman.lab import namespaces

__all__ = ["Cable", "lay_cable"]

TUN = "/dev/net/tun"
TUNSETIFF = 0x400454CA
TUNSETOFFLOAD = 0x400454D0
IFF_TAP = 0x0002
IFF_NO_PI = 0x1000
IFF_VNET_HDR = 0x4000
WHOLE = 0x01 | 0x02 | 0x04 | 0x08
"""TUN_F_CSUM, TSO4, TSO6, TSO_ECN: segments may come uncut, and without a checksum."""
QUEUE = 20_000
"""Frames that a device holds for a relay that sleeps; the usual 1,000 are 8 ms of short ones."""

End = tuple[str, str]
"""(network namespace, interface)"""


@dataclass(frozen=True, slots=True)
class Cable:
    """Its devices are gone when nobody has the descriptors any more."""

    ends: tuple[int, int]
    delay_ms: float
    """Each way."""

    def command(self) -> list[str]:
        """Relays; whoever runs it passes it the two descriptors."""
        argv = [sys.executable, "-m", "pointsman.lab.relay", str(self.delay_ms)]
        return [*argv, *map(str, self.ends)]

    def close(self) -> None:
        for fd in self.ends:
            os.close(fd)


def lay_cable(one: End, other: End, delay_ms: float) -> Cable:
    """Makes both interfaces. Raises SystemRefusal."""
    near = _open_tap(*one)
    try:
        return Cable((near, _open_tap(*other)), delay_ms)
    except BaseException:
        os.close(near)
        raise


def _open_tap(netns: str, device: str) -> int:
    try:
        with namespaces.enter(netns):
            fd = os.open(TUN, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise SystemRefusal(f"{TUN}: {error.strerror}", "modprobe tun") from error
    try:
        flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR
        fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", device.encode(), flags))
        fcntl.ioctl(fd, TUNSETOFFLOAD, WHOLE)
        argv = ["ip", "link", "set", "dev", device, "txqueuelen", str(QUEUE)]
        subprocess.run(namespaces.inside(netns, argv), check=True)
    except BaseException:
        os.close(fd)
        raise
    return fd
