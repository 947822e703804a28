"""A frame as the oracle reads it: nothing of it is shared with the packet programs."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import wire

__all__ = ["Seen", "read"]

SKIPPED = (0, 43, 60)
FRAGMENT = 44
TAGS = (b"\x81\x00", b"\x88\xa8")


@dataclass(frozen=True, slots=True)
class Seen:
    """An IP packet and what it carries, extension headers and IP options passed over."""

    version: int
    macs: bytes
    """Destination, source."""
    tags: bytes
    source: bytes
    target: bytes
    proto: int
    ttl: int
    head: bytes
    """The IP header with options or extension headers."""
    l4: bytes
    """To the end that the IP header tells."""
    offset: int
    """Of a fragment, in bytes."""
    more: bool
    padding: int
    """Bytes of the frame behind the packet."""

    @property
    def whole(self) -> bool:
        return not self.offset and not self.more

    @property
    def has_ports(self) -> bool:
        return self.proto in (wire.TCP, wire.UDP) and not self.offset and len(self.l4) >= 8

    @property
    def ports(self) -> tuple[int, int]:
        first, second = struct.unpack("!HH", self.l4[:4])
        return first, second

    @property
    def head_residue(self) -> int:
        """0 of a right IPv4 header, and of IPv6."""
        return wire.residue(self.head) if self.version == 4 else 0

    @property
    def residue(self) -> int:
        """0 of a right checksum of TCP, UDP or ICMP, and of all that has none."""
        if self.proto not in (wire.TCP, wire.UDP, *wire.ICMP.values()) or self.no_checksum:
            return 0
        if self.proto == wire.ICMP[4]:
            return wire.residue(self.l4)
        pseudo = self.source + self.target + struct.pack("!II", len(self.l4), self.proto)
        return wire.residue(pseudo + self.l4)

    @property
    def no_checksum(self) -> bool:
        return self.proto == wire.UDP and self.l4[6:8] == b"\0\0"

    @property
    def behind_ports(self) -> bytes:
        """What of TCP or UDP nobody may change: all but ports and checksum."""
        at = 16 if self.proto == wire.TCP else 6
        return self.l4[4:at] + self.l4[at + 2 :]


def read(frame: bytes) -> Seen | None:
    """None if it is no whole IP packet behind an Ethernet header, VLAN tags apart."""
    at = 12
    while frame[at : at + 2] in TAGS:
        at += 4
    kind = frame[at : at + 2]
    body = frame[at + 2 :]
    tags = frame[12:at]
    if kind == wire.ETHERTYPE[4]:
        return _read4(frame[:12], tags, body)
    if kind == wire.ETHERTYPE[6]:
        return _read6(frame[:12], tags, body)
    return None


def _read4(macs: bytes, tags: bytes, body: bytes) -> Seen | None:
    if len(body) < 20:
        return None
    first, total, field = body[0], int.from_bytes(body[2:4], "big"), body[6] << 8 | body[7]
    head = (first & 15) * 4
    if first >> 4 != 4 or head < 20 or total < head or total > len(body):
        return None
    return Seen(
        version=4,
        macs=macs,
        tags=tags,
        source=body[12:16],
        target=body[16:20],
        proto=body[9],
        ttl=body[8],
        head=body[:head],
        l4=body[head:total],
        offset=(field & 0x1FFF) * 8,
        more=bool(field & 0x2000),
        padding=len(body) - total,
    )


def _read6(macs: bytes, tags: bytes, body: bytes) -> Seen | None:
    if len(body) < 40 or body[0] >> 4 != 6:
        return None
    end = 40 + int.from_bytes(body[4:6], "big")
    if end > len(body):
        return None
    proto, at, offset, more = body[6], 40, 0, False
    while proto in (*SKIPPED, FRAGMENT) and at + 8 <= end and not offset:
        following = body[at]
        if proto == FRAGMENT:
            field = int.from_bytes(body[at + 2 : at + 4], "big")
            offset, more = field & 0xFFF8, bool(field & 1)
            at += 8
        else:
            at += (body[at + 1] + 1) * 8
        proto = following
    if at > end:
        return None
    return Seen(
        version=6,
        macs=macs,
        tags=tags,
        source=body[8:24],
        target=body[24:40],
        proto=proto,
        ttl=body[7],
        head=body[:at],
        l4=body[at:end],
        offset=offset,
        more=more,
        padding=len(body) - end,
    )
