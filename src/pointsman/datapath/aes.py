"""What the packet programs need of AES-128 (FIPS 197): tables of a round, and round keys.

Nothing is enciphered here. A column is a word, its first byte the lowest.
"""

from __future__ import annotations

from pointsman.datapath import abi

__all__ = ["decipher_keys", "encipher_keys", "tables"]

KEY_WORDS = 4


def _double(value: int) -> int:
    """Times x in GF(2^8)."""
    return value << 1 ^ (0x11B if value & 0x80 else 0)


def _times(a: int, b: int) -> int:
    product = 0
    while b:
        product ^= a if b & 1 else 0
        a, b = _double(a), b >> 1
    return product


def _box() -> bytes:
    """SubBytes (§5.1.1): the inverse in GF(2^8), then an affine map."""
    # 3 generates the field's units, so its powers pair off with their inverses.
    powers = [1]
    while len(powers) < 255:
        powers.append(_times(powers[-1], 3))
    box = bytearray([0x63] * 256)
    for exponent, value in enumerate(powers):
        inverse = powers[-exponent % 255]
        turned = 0  # the sum of what the byte is when turned by 0 to 4 bits
        for bits in range(5):
            turned ^= inverse << bits
        box[value] ^= (turned ^ turned >> 8) & 0xFF
    return bytes(box)


BOX = _box()
INVERSE_BOX = bytes(BOX.index(value) for value in range(256))


def _column(value: int, factors: tuple[int, int, int, int]) -> int:
    return int.from_bytes(bytes(_times(value, factor) for factor in factors), "little")


def tables() -> abi.AesTables:
    """What a round does to one byte: its part of the column that it ends in (§5.1.3, §5.3.3)."""
    return abi.AesTables(
        encipher=tuple(_column(BOX[value], (2, 1, 1, 3)) for value in range(256)),
        decipher=tuple(_column(INVERSE_BOX[value], (14, 9, 13, 11)) for value in range(256)),
        box=BOX,
        inverse_box=INVERSE_BOX,
    )


def encipher_keys(key: bytes) -> tuple[int, ...]:
    """Round keys of a key of 16 bytes (§5.2)."""
    words = [key[at : at + 4] for at in range(0, 16, 4)]
    constant = 1
    while len(words) < KEY_WORDS * (abi.AES_ROUNDS + 1):
        last = words[-1]
        if len(words) % KEY_WORDS == 0:
            turned = bytes(BOX[byte] for byte in last[1:] + last[:1])
            last = bytes([turned[0] ^ constant]) + turned[1:]
            constant = _double(constant)
        before = words[-KEY_WORDS]
        words.append(bytes(a ^ b for a, b in zip(before, last, strict=True)))
    return tuple(int.from_bytes(word, "little") for word in words)


def decipher_keys(key: bytes) -> tuple[int, ...]:
    """Those of the equivalent inverse cipher (§5.3.5): backwards, all but the outer two mixed."""
    keys = encipher_keys(key)
    rounds = [keys[at : at + 4] for at in range(0, len(keys), 4)][::-1]
    mixed = [tuple(map(_unmix, words)) for words in rounds[1:-1]]
    return tuple(word for words in (rounds[0], *mixed, rounds[-1]) for word in words)


def _unmix(word: int) -> int:
    column = 0
    for at, byte in enumerate(word.to_bytes(4, "little")):
        part = _column(byte, (14, 9, 13, 11))
        column ^= (part << 8 * at | part >> (32 - 8 * at)) & 0xFFFFFFFF
    return column
