"""Packet sockets that break uploads on this host.

A packet socket of protocol IPv4 or IPv6 alone (some DHCP clients hold one; tcpdump's takes all, and
does no harm) makes the kernel hand IP a clone of each packet, and a clone has lost the socket that
an upload put on it: the client gets a RST. Nothing at TC ingress can mend that, so we tell.
"""

from __future__ import annotations

from pathlib import Path

__all__ = ["harmful_taps"]

PACKET_SOCKETS = Path("/proc/net/packet")
FAMILIES = {"0800": "IPv4", "86dd": "IPv6"}


def harmful_taps(table: Path = PACKET_SOCKETS) -> list[str]:
    """What they are, for people: family and inode of the socket. Empty if uploads are safe."""
    if not table.exists():  # a kernel without packet sockets
        return []
    rows = [line.split() for line in table.read_text().splitlines()[1:]]
    # sk, RefCnt, Type, Proto, Iface, R, Rmem, User, Inode
    return [
        f"{FAMILIES[row[3]]} packet socket, inode {row[8]}" for row in rows if row[3] in FAMILIES
    ]
