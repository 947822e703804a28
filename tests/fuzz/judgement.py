"""What a judge says."""

from __future__ import annotations

__all__ = ["Misbehaviour", "check"]


class Misbehaviour(AssertionError):
    """A packet that came out as none should."""


def check(right: bool, what: str) -> None:
    if not right:
        raise Misbehaviour(what)
