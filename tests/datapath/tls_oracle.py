"""What a ClientHello means to the rules, said a second way: taken apart into lists, then asked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from http_oracle import name_fits

from pointsman.config.model import Rule

__all__ = ["UNDECIDED", "judge"]

UNDECIDED = "undecided"


class NotTold(Exception):
    """Cut off, or wrong."""


@dataclass
class Extension:
    number: int
    body: bytes
    whole: bool


def judge(rules: Sequence[Rule], data: bytes) -> int | str | None:
    """The number of the first rule that holds, None if none does, or UNDECIDED."""
    asked = {0 for rule in rules if rule.sni} | {16 for rule in rules if rule.alpn}
    try:
        said = _asked_for(data, asked)
    except NotTold:
        return UNDECIDED
    name = _name(said[0]) if 0 in said else b""
    protocols = _protocols(said[16]) if 16 in said else []
    for number, rule in enumerate(rules):
        sni = rule.sni is None or name_fits(rule.sni, name)
        if sni and (rule.alpn is None or rule.alpn.encode() in protocols):
            return number
    return None


def _asked_for(data: bytes, asked: set[int]) -> dict[int, bytes]:
    """Extensions that the rules ask for; NotTold if they may be elsewhere, or are wrong."""
    found: dict[int, bytes] = {}
    for extension in _extensions(_hello(data)):
        if extension.number not in asked:
            continue
        if not extension.whole or extension.number in found:
            raise NotTold
        found[extension.number] = extension.body
        _name(extension.body) if extension.number == 0 else _protocols(extension.body)
        if set(found) == asked:
            break
    return found


def _hello(data: bytes) -> tuple[bytes, int]:
    """Of the handshake's body, what the first record and the segment have, and its whole size."""
    if len(data) < 9 or data[0] != 22 or data[1] != 3 or data[5] != 1:
        raise NotTold
    record, size = int.from_bytes(data[3:5], "big"), int.from_bytes(data[6:9], "big")
    if not 4 <= record <= 1 << 14 or size >= 1 << 16:
        raise NotTold
    return data[5:][:record][4:][:size], size


def _piece(data: bytes, at: int, length_bytes: int) -> tuple[bytes, int]:
    """What a length is in front of, and where that ends."""
    start = at + length_bytes
    end = start + int.from_bytes(data[at:start], "big")
    if end > len(data) or start > len(data):
        raise NotTold
    return data[start:end], end


def _extensions(hello: tuple[bytes, int]) -> Iterator[Extension]:
    """One by one; NotTold where the next can't be told."""
    body, size = hello
    if len(body) < 34 or body[0] != 3:
        raise NotTold
    session, at = _piece(body, 34, 1)
    suites, at = _piece(body, at, 2)
    compressions, at = _piece(body, at, 1)
    if len(session) > 32 or not suites or len(suites) % 2 or not compressions:
        raise NotTold
    if at == size:
        return
    if at + 2 > len(body) or at + 2 + int.from_bytes(body[at : at + 2], "big") != size:
        raise NotTold
    at += 2
    while at < size:
        head = body[at : at + 4]
        end = at + 4 + int.from_bytes(head[2:], "big")
        if len(head) < 4 or end > size:
            raise NotTold
        yield Extension(int.from_bytes(head[:2], "big"), body[at + 4 : end], end <= len(body))
        at = end


def _name(body: bytes) -> bytes:
    entries, end = _piece(body, 0, 2)
    if end != len(body) or not entries or entries[0] != 0:
        raise NotTold
    name, _ = _piece(entries, 1, 2)
    if not name:
        raise NotTold
    lower = name.lower()
    return lower[:-1] if lower.endswith(b".") else lower


def _protocols(body: bytes) -> list[bytes]:
    entries, end = _piece(body, 0, 2)
    if end != len(body) or not entries:
        raise NotTold
    found, at = [], 0
    while at < len(entries):
        name, at = _piece(entries, at, 1)
        if not name:
            raise NotTold
        found.append(name)
    return found
