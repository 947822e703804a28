"""Tables and round keys of AES, against FIPS 197; tests/datapath has the ciphers themselves."""

from __future__ import annotations

from pointsman.datapath.aes import decipher_keys, encipher_keys, tables

KEY = bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c")
LAST = "d014f9a8c9ee2589e13f0cc8b6630ca6"


def text(words: tuple[int, ...]) -> str:
    return b"".join(word.to_bytes(4, "little") for word in words).hex()


def test_round_keys() -> None:
    """Appendix A.1."""
    keys = encipher_keys(KEY)
    assert len(keys) == 44
    assert text(keys[:4]) == KEY.hex()
    assert text(keys[-4:]) == LAST


def test_round_keys_backwards() -> None:
    keys = decipher_keys(KEY)
    assert len(keys) == 44
    assert text(keys[:4]) == LAST
    assert text(keys[-4:]) == KEY.hex()


def test_boxes() -> None:
    """Figures 7 and 14."""
    made = tables()
    assert made.box[:4].hex() == "637c777b"
    assert made.box[0x53] == 0xED
    assert bytes(made.inverse_box[value] for value in made.box) == bytes(range(256))
    assert sorted(made.box) == list(range(256))
