"""Frames damaged: bits, lengths, ends, tags, options, fragments. All from one random source."""

from __future__ import annotations

import struct
from random import Random

import wire

__all__ = ["damaged", "resealed", "wrapped"]

INTERESTING = [b"\0", b"\xff", b"\x7f", b"\x80", b"\0\0", b"\xff\xff", b"\0\x01", b"\x45\0"]
IP_OPTIONS = [
    b"\x01\x01\x01\x00",  # no-operations, end
    b"\x94\x04\x00\x00",  # router alert
    b"\x83\x07\x04\x0a\x01\x00\x01\x00",  # loose source route
    b"\x44\x28\x05\x00" + bytes(36),  # timestamps, to the limit
    b"\x07\xff\x04\x00",  # record route, longer than the header
    b"\x82\x00\x00\x00",  # of no length
    bytes(range(40)),
]
EXTENSIONS = [0, 43, 60, 51, 135]


def _version(frame: bytes | bytearray) -> int:
    """By the Ethernet header; 0 of neither."""
    return {b"\x08\x00": 4, b"\x86\xdd": 6}.get(bytes(frame[12:14]), 0)


def _l4_at(frame: bytes | bytearray, version: int) -> int:
    if version == 4:
        return 14 + (frame[14] & 15) * 4 if len(frame) > 14 else 14
    return 54


def resealed(frame: bytes) -> bytes:
    """The frame with right checksums, as far as there are headers that have them."""
    version = _version(frame)
    at = _l4_at(frame, version)
    if not version or len(frame) < at or at < 34:
        return frame
    head = frame[14:at]
    if version == 4:
        end = 14 + int.from_bytes(head[2:4], "big")
        proto, source, target = head[9], head[12:16], head[16:20]
        head = head[:10] + b"\0\0" + head[12:]
        check = 0xFFFF - wire.residue(head)
        head = head[:10] + check.to_bytes(2, "big") + head[12:]
    else:
        end = 54 + int.from_bytes(head[4:6], "big")
        proto, source, target = head[6], head[8:24], head[24:40]
    segment = wire.seal(proto, source, target, frame[at:end])
    return frame[:14] + head + segment + frame[max(end, at) :]


def _flip(rng: Random, frame: bytearray) -> None:
    for _ in range(rng.choice((1, 1, 1, 2, 4, 16))):
        frame[rng.randrange(12, len(frame))] ^= 1 << rng.randrange(8)


def _cut(rng: Random, frame: bytearray) -> None:
    del frame[rng.randrange(15, len(frame) + 1) :]


def _pad(rng: Random, frame: bytearray) -> None:
    frame += rng.randbytes(rng.randrange(1, 64))


def _length(rng: Random, frame: bytearray) -> None:
    """One of the fields that tell of a length, or TCP's header length."""
    version = _version(frame)
    l4 = _l4_at(frame, version)
    at = rng.choice((16 if version == 4 else 18, l4 + 4, l4 + 12, 14, l4 + 32, l4 + 52))
    if at + 2 > len(frame):
        return
    was = int.from_bytes(frame[at : at + 2], "big")
    value = rng.choice((0, 1, 7, 8, 20, 0xFFFF, was - 1, was + 1, was + 4, rng.getrandbits(16)))
    frame[at : at + 2] = (value & 0xFFFF).to_bytes(2, "big")


def _overwrite(rng: Random, frame: bytearray) -> None:
    piece = rng.choice(INTERESTING) if rng.random() < 0.7 else rng.randbytes(rng.randrange(1, 20))
    at = rng.randrange(12, len(frame))
    frame[at : at + len(piece)] = piece[: len(frame) - at]


def _repeat(rng: Random, frame: bytearray) -> None:
    """A piece of it once more, in another place."""
    first = rng.randrange(14, len(frame))
    piece = frame[first : first + rng.randrange(1, 40)]
    at = rng.randrange(14, len(frame))
    frame[at:at] = piece


DAMAGES = [_flip, _flip, _flip, _cut, _pad, _length, _length, _overwrite, _repeat]


def damaged(rng: Random, frame: bytes, other: bytes) -> bytes:
    """With one or more damages, or another frame's end; the checksums mended as often as not."""
    if len(frame) < 16:
        return frame
    work = bytearray(frame)
    if rng.random() < 0.08:
        work[rng.randrange(14, len(work)) :] = other[rng.randrange(14, max(15, len(other))) :]
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        if len(work) < 16:
            break
        rng.choice(DAMAGES)(rng, work)
    result = bytes(work)
    return resealed(result) if rng.random() < 0.6 else result


def _with_options(rng: Random, frame: bytes) -> bytes:
    options = rng.choice(IP_OPTIONS)[: rng.choice((40, 40, 4))]
    head = bytearray(frame[14:34] + options)
    head[0] = 0x40 | len(head) // 4
    head[2:4] = (len(frame) - 14 + len(options)).to_bytes(2, "big")
    return resealed(frame[:14] + bytes(head) + frame[34:])


def _with_extensions(rng: Random, frame: bytes) -> bytes:
    chain, after = b"", frame[20]
    for _ in range(rng.choice((1, 1, 2, 3, 10))):
        kind, words = rng.choice(EXTENSIONS), rng.choice((0, 0, 1, 4))
        size = (words + 2) * 4 if kind == 51 else (words + 1) * 8
        chain = struct.pack("!BB", after, words) + rng.randbytes(2) + bytes(size - 4) + chain
        after = kind
    length = (len(frame) - 54 + len(chain)).to_bytes(2, "big")
    return frame[:18] + length + bytes([after]) + frame[21:54] + chain + frame[54:]


def _fragment(rng: Random, frame: bytes, version: int) -> bytes:
    """One fragment of the packet, as likely the first as another; offsets may lie."""
    body = frame[14 + (20 if version == 4 else 40) :]
    step = rng.choice((8, 16, 24, 32, 64, 128, 512))
    first = rng.random() < 0.5
    offset = 0 if first else step * rng.randrange(1, 4)
    piece, more = body[offset : offset + step], offset + step < len(body)
    if rng.random() < 0.1:
        offset, more = rng.randrange(0, 0x10000, 8), rng.random() < 0.5
    ident = rng.randrange(16)
    if version == 4:
        field = offset // 8 | more << 13
        source, target = frame[26:30], frame[30:34]
        packet = wire.ip(
            4, source, target, frame[23], piece, ttl=frame[22], ident=ident, fragment=field
        )
    else:
        inner = wire.fragment6(frame[20], offset, more, ident, piece)
        packet = wire.ip(6, frame[22:38], frame[38:54], 44, inner, ttl=frame[21])
    return frame[:14] + packet


def wrapped(rng: Random, frame: bytes) -> bytes:
    """A whole plain frame with VLAN tags, IP options or extension headers, or a fragment of it."""
    version = _version(frame)
    kind = rng.randrange(4)
    if kind == 0 or not version or len(frame) < (34 if version == 4 else 54):
        protocols = rng.choice(((0x8100,), (0x88A8, 0x8100), (0x8100, 0x8100), (0x8100,) * 5))
        return wire.tagged(frame, *((protocol, rng.getrandbits(16)) for protocol in protocols))
    if kind == 1:
        return _fragment(rng, frame, version)
    return _with_options(rng, frame) if version == 4 else _with_extensions(rng, frame)
