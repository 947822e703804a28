"""QUIC services, as the packet program wants them: how ids are made, and whose they are (R-E12).

The ids are those of draft-ietf-quic-load-balancers-21; lib/quic.h reads them.
"""

from __future__ import annotations

from pointsman.datapath import abi
from pointsman.datapath.aes import decipher_keys, encipher_keys, tables
from pointsman.datapath.unit import UnitDatapath

__all__ = ["QuicTables", "configuration_record"]

BLOCK = 16
"""Bytes."""
NO_KEYS = (0,) * (4 * (abi.AES_ROUNDS + 1))


class QuicTables:
    """Owner of a unit's maps about connection ids. Services and endpoints go by their numbers."""

    def __init__(self, datapath: UnitDatapath) -> None:
        self._datapath = datapath
        datapath.aes_tables.set(0, tables())

    def configure(self, service: int, number: int, record: abi.QuicConfig) -> None:
        """Says what ids are that begin with the three bits of `number`."""
        self._datapath.quic_configs.set(service * abi.QUIC_CONFIGS + number, record)

    def assign(self, service: int, server_id: bytes, endpoint: int) -> None:
        """Says whose a server id is."""
        key = abi.QuicServerKey(service, 0, server_id.ljust(BLOCK, b"\0"))
        self._datapath.quic_servers.set(key, endpoint)


def configuration_record(
    server_id_bytes: int, nonce_bytes: int, key: bytes | None
) -> abi.QuicConfig:
    """The lengths, worked out into masks, and the key (16 bytes), into those of rounds."""
    total = server_id_bytes + nonce_bytes
    if key is None:
        cipher, keys = abi.QuicCipher.PLAIN, NO_KEYS
    elif total == BLOCK:
        cipher, keys = abi.QuicCipher.SINGLE_PASS, decipher_keys(key)
    else:
        cipher, keys = abi.QuicCipher.FOUR_PASSES, encipher_keys(key)
    half = b"\xff" * (total // 2)
    return abi.QuicConfig(
        server_id_bytes=server_id_bytes,
        nonce_bytes=nonce_bytes,
        cipher=cipher,
        zero=bytes(5),
        server_id_mask=_words(b"\xff" * server_id_bytes),
        # Of an odd sum, the byte in the middle belongs to both halves, a nibble each.
        left_mask=_words(half + b"\xf0" if total % 2 else half),
        right_mask=_words(b"\x0f" + half if total % 2 else half),
        round_keys=keys,
    )


def _words(mask: bytes) -> tuple[int, int]:
    padded = mask.ljust(BLOCK, b"\0")
    return int.from_bytes(padded[:8], "little"), int.from_bytes(padded[8:], "little")
