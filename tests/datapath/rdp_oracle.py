"""What an RDP connection request means to the rules, said a second way: by a pattern."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pointsman.config.model import Rule

__all__ = ["UNDECIDED", "judge", "request"]

UNDECIDED = "undecided"
COOKIE = b"Cookie: mstshash="
FIXED = 11


def request(user_data: bytes) -> bytes:
    """TPKT and X.224 connection request with this behind the fixed part."""
    size = FIXED + len(user_data)
    return b"\3\0" + size.to_bytes(2, "big") + bytes([size - 5, 0xE0, 0, 0, 0, 0, 0]) + user_data


def judge(rules: Sequence[Rule], data: bytes) -> int | str | None:
    """The number of the first rule that holds, None if none does, or UNDECIDED."""
    size = int.from_bytes(data[2:4], "big")
    fixed = data[:FIXED]
    if len(fixed) < FIXED or not FIXED <= size <= 259:
        return UNDECIDED
    if (fixed[0], fixed[4], fixed[5]) != (3, size - 5, 0xE0):
        return UNDECIDED
    user_data = data[FIXED:size]
    if len(user_data) < len(COOKIE):
        return UNDECIDED if len(data) < size else None
    if not user_data.startswith(COOKIE):
        return None
    named = re.match(rb"([^\r]*)\r\n", user_data[len(COOKIE) :])
    if not named:
        return UNDECIDED
    name = named[1].lower()
    wanted = [(rule.mstshash or "").encode().lower() for rule in rules]
    return wanted.index(name) if name in wanted else None
