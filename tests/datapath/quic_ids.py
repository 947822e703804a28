"""Connection ids of draft-ietf-quic-load-balancers-21, as a server makes and a balancer reads them.

Written from the draft's text, with bytes and another's AES; the packet programs go by words and
masks. The lab's QUIC servers use it, too.
"""

from __future__ import annotations

from dataclasses import dataclass

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

__all__ = ["Configuration", "decode", "encode"]

BLOCK = 16


@dataclass(frozen=True)
class Configuration:
    id: int
    server_id_bytes: int
    nonce_bytes: int
    key: bytes | None = None

    @property
    def total(self) -> int:
        return self.server_id_bytes + self.nonce_bytes


def encode(
    configuration: Configuration, server_id: bytes, nonce: bytes, low_bits: int | None = None
) -> bytes:
    """A connection id. `low_bits` of its first octet; None: its length less one."""
    assert (len(server_id), len(nonce)) == (
        configuration.server_id_bytes,
        configuration.nonce_bytes,
    )
    low = configuration.total if low_bits is None else low_bits
    first = bytes([configuration.id << 5 | low])
    plain = server_id + nonce
    if configuration.key is None:
        return first + plain
    if configuration.total == BLOCK:
        return first + _encipher(configuration.key, plain)
    left, right = _split(plain)
    for number in (1, 3):
        right = _mixed(configuration.key, number, left, right, len(plain), clear_first=True)
        left = _mixed(configuration.key, number + 1, right, left, len(plain), clear_first=False)
    return first + _joined(left, right, len(plain))


def decode(configuration: Configuration, connection_id: bytes) -> bytes | None:
    """The server id; None if the connection id is not of that configuration, or too short."""
    body = connection_id[1 : 1 + configuration.total]
    if not connection_id or connection_id[0] >> 5 != configuration.id:
        return None
    if len(body) < configuration.total or len(connection_id) > 20:
        return None
    if configuration.key is None:
        return body[: configuration.server_id_bytes]
    if configuration.total == BLOCK:
        return _decipher(configuration.key, body)[: configuration.server_id_bytes]
    left, right = _split(body)
    for number in (4, 2):
        left = _mixed(configuration.key, number, right, left, len(body), clear_first=False)
        right = _mixed(configuration.key, number - 1, left, right, len(body), clear_first=True)
    return _joined(left, right, len(body))[: configuration.server_id_bytes]


def _split(text: bytes) -> tuple[bytes, bytes]:
    half = (len(text) + 1) // 2
    left, right = bytearray(text[:half]), bytearray(text[-half:])
    if len(text) % 2:
        left[-1] &= 0xF0
        right[0] &= 0x0F
    return bytes(left), bytes(right)


def _joined(left: bytes, right: bytes, total: int) -> bytes:
    if total % 2 == 0:
        return left + right
    return left[:-1] + bytes([left[-1] | right[0]]) + right[1:]


def _mixed(
    key: bytes, number: int, given: bytes, turned: bytes, total: int, *, clear_first: bool
) -> bytes:
    """One pass: `turned` under what `given` enciphers to."""
    result = _encipher(key, given.ljust(BLOCK - 2, b"\0") + bytes([total, number]))
    mixed = bytearray(a ^ b for a, b in zip(turned, result, strict=False))
    if total % 2 and clear_first:
        mixed[0] &= 0x0F
    elif total % 2:
        mixed[-1] &= 0xF0
    return bytes(mixed)


def _encipher(key: bytes, block: bytes) -> bytes:
    encryptor = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
    return encryptor.update(block) + encryptor.finalize()


def _decipher(key: bytes, block: bytes) -> bytes:
    decryptor = Cipher(algorithms.AES(key), modes.ECB()).decryptor()
    return decryptor.update(block) + decryptor.finalize()
