"""Frames out of parts, quickly: what scapy does, at a hundredth of the cost."""

from __future__ import annotations

import struct

__all__ = [
    "AH",
    "ESP",
    "ETHERTYPE",
    "GRE",
    "ICMP",
    "TCP",
    "UDP",
    "cookie_of",
    "ethernet",
    "fragment6",
    "icmp",
    "ip",
    "residue",
    "seal",
    "tagged",
    "tcp",
    "udp",
]

TCP, UDP, GRE, ESP, AH = 6, 17, 47, 50, 51
ICMP = {4: 1, 6: 58}
ETHERTYPE = {4: b"\x08\x00", 6: b"\x86\xdd"}
FRAGMENT = 44
CHECK_AT = {TCP: 16, UDP: 6, ICMP[4]: 2, ICMP[6]: 2}


def residue(data: bytes) -> int:
    """One's complement sum (RFC 1071) modulo 65535: 0 of what includes its right checksum."""
    if len(data) % 2:
        data += b"\0"
    return int.from_bytes(data, "big") % 0xFFFF


def _check(data: bytes) -> int:
    """The checksum to put where zeros are."""
    return 0xFFFF - residue(data)


def ethernet(target: bytes, source: bytes, version: int, packet: bytes) -> bytes:
    return target + source + ETHERTYPE[version] + packet


def tagged(frame: bytes, *tags: tuple[int, int]) -> bytes:
    """The frame with VLAN tags, each of a protocol (0x8100 or 0x88a8) and the bits behind it."""
    inserted = b"".join(struct.pack("!HH", protocol, bits) for protocol, bits in tags)
    return frame[:12] + inserted + frame[12:]


def ip(
    version: int,
    source: bytes,
    target: bytes,
    proto: int,
    payload: bytes,
    *,
    ttl: int = 64,
    ident: int = 0,
    fragment: int = 0,
    options: bytes = b"",
) -> bytes:
    """A packet; `fragment` is IPv4's field with its flags, `options` a multiple of four bytes."""
    if version == 6:
        head = struct.pack("!IHBB", 0x60000000, len(payload) & 0xFFFF, proto, ttl)
        return head + source + target + payload
    total = 20 + len(options) + len(payload)
    head = struct.pack(
        "!BBHHHBBH",
        0x45 + len(options) // 4,
        0,
        total & 0xFFFF,
        ident & 0xFFFF,
        fragment,
        ttl,
        proto,
        0,
    )
    head += source + target + options
    return head[:10] + _check(head).to_bytes(2, "big") + head[12:] + payload


def fragment6(proto: int, offset: int, more: bool, ident: int, payload: bytes) -> bytes:
    """What follows an IPv6 header that says FRAGMENT; `offset` in bytes."""
    return struct.pack("!BBHI", proto, 0, offset & 0xFFF8 | more, ident & 0xFFFFFFFF) + payload


def seal(proto: int, source: bytes, target: bytes, segment: bytes, *, zero: bool = False) -> bytes:
    """The segment with its checksum; `zero`: with none (UDP). Too short a one stays as it is."""
    at = CHECK_AT.get(proto)
    if at is None or len(segment) < at + 2:
        return segment
    blank = segment[:at] + b"\0\0" + segment[at + 2 :]
    if zero:
        return blank
    pseudo = b"" if proto == ICMP[4] else _pseudo(proto, source, target, len(segment))
    check = _check(pseudo + blank)
    if proto == UDP and not check:
        check = 0xFFFF
    return segment[:at] + check.to_bytes(2, "big") + segment[at + 2 :]


def _pseudo(proto: int, source: bytes, target: bytes, size: int) -> bytes:
    return source + target + struct.pack("!II", size, proto)


def tcp(
    ports: tuple[int, int],
    seq: int,
    ack: int,
    flags: int,
    payload: bytes = b"",
    options: bytes = b"",
    window: int = 1024,
) -> bytes:
    """Not sealed; `options` a multiple of four bytes."""
    head = struct.pack(
        "!HHIIBBHHH",
        *ports,
        seq & 0xFFFFFFFF,
        ack & 0xFFFFFFFF,
        ((20 + len(options)) // 4 << 4) & 0xF0,
        flags,
        window,
        0,
        0,
    )
    return head + options + payload


def udp(ports: tuple[int, int], payload: bytes) -> bytes:
    """Not sealed."""
    return struct.pack("!HHHH", *ports, (8 + len(payload)) & 0xFFFF, 0) + payload


def icmp(kind: int, code: int, rest: int, payload: bytes) -> bytes:
    """Not sealed."""
    return struct.pack("!BBHI", kind, code, 0, rest & 0xFFFFFFFF) + payload


def cookie_of(frame: bytes, version: int) -> int:
    """The sequence number in a SYN-ACK."""
    at = 14 + (20 if version == 4 else 40) + 4
    return int.from_bytes(frame[at : at + 4], "big")
