"""The packet programs' arithmetic once more, in plain Python, to compare with."""

from __future__ import annotations

import struct
from ipaddress import ip_address

__all__ = ["bundle_tag", "cookie", "cookie_options", "mss_table", "notice_tag", "siphash24"]

MASK = (1 << 64) - 1


def _rotl(word: int, bits: int) -> int:
    return (word << bits | word >> (64 - bits)) & MASK


def siphash24(key: bytes, message: bytes) -> int:
    """SipHash-2-4 (Aumasson, Bernstein 2012)."""
    k0, k1 = struct.unpack("<QQ", key)
    v = [
        k0 ^ 0x736F6D6570736575,
        k1 ^ 0x646F72616E646F6D,
        k0 ^ 0x6C7967656E657261,
        k1 ^ 0x7465646279746573,
    ]

    def sip_round() -> None:
        v[0] = (v[0] + v[1]) & MASK
        v[2] = (v[2] + v[3]) & MASK
        v[1] = _rotl(v[1], 13) ^ v[0]
        v[3] = _rotl(v[3], 16) ^ v[2]
        v[0] = _rotl(v[0], 32)
        v[2] = (v[2] + v[1]) & MASK
        v[0] = (v[0] + v[3]) & MASK
        v[1] = _rotl(v[1], 17) ^ v[2]
        v[3] = _rotl(v[3], 21) ^ v[0]
        v[2] = _rotl(v[2], 32)

    padded = message + bytes(7 - len(message) % 8) + bytes([len(message) & 0xFF])
    for (word,) in struct.iter_unpack("<Q", padded):
        v[3] ^= word
        sip_round()
        sip_round()
        v[0] ^= word
    v[2] ^= 0xFF
    for _ in range(4):
        sip_round()
    tag: int = v[0] ^ v[1] ^ v[2] ^ v[3]
    return tag


def _four_tuple(source: str, target: str, sport: int, dport: int) -> bytes:
    return ip_address(source).packed + ip_address(target).packed + struct.pack("!HH", sport, dport)


def _key(four_tuple: tuple[str, str, int, int], protocol: int = 6) -> bytes:
    """As flow keys lie in the packet programs: the protocol, and three zeros, behind the ports."""
    return _four_tuple(*four_tuple) + bytes([protocol, 0, 0, 0])


def mss_table(version: int) -> list[int]:
    """What two bits of a cookie can say."""
    return [536, 1300, 1440, 1460] if version == 4 else [536, 1220, 1420, 1440]


def cookie_options(version: int, mss: int, wscale: int | None, sack: bool, ecn: bool) -> int:
    """The eight low bits of our initial sequence number."""
    table = mss_table(version)
    index = max(i for i in range(4) if i == 0 or table[i] <= mss)
    return index << 6 | (15 if wscale is None else wscale) << 2 | sack << 1 | ecn


def cookie(
    secret: bytes, four_tuple: tuple[str, str, int, int], client_isn: int, options: int
) -> int:
    """Our initial sequence number for a client."""
    message = _key(four_tuple) + struct.pack("<II", client_isn, options)
    message += bytes(-len(message) % 8)
    return (siphash24(secret, message) & 0xFFFFFF) << 8 | options


def bundle_tag(
    key: bytes,
    header: bytes,
    four_tuple: tuple[str, str, int, int],
    seq: int = 0,
    ack: int = 0,
    *,
    protocol: int = 6,
) -> int:
    """Over the first 16 bytes of a bundle's header and what it carries."""
    message = header[:16] + _key(four_tuple, protocol) + struct.pack("!II", seq, ack)
    message += bytes(-len(message) % 8)
    return siphash24(key, message)


def notice_tag(key: bytes, header: bytes, source: str, target: str) -> int:
    """Over the first 16 bytes of a notice and its outer addresses."""
    return siphash24(key, header[:16] + ip_address(source).packed + ip_address(target).packed)
