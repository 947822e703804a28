"""Compiles the rules of an inspected service into what the packet program looks up (R-E1).

Each class of condition (method, host, path, prefix, header, cookie) becomes a table from the text a
request may have to the set of rules that text satisfies. The program ors what it finds, class by
class, adds the rules that ask nothing of the class, ands the classes; the lowest bit is the rule.
A set of rules is an int here: bit i is rule i.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from pointsman.config.model import Rule

__all__ = ["Compiled", "MatchClass", "compile_rules", "conditions"]


class MatchClass(IntEnum):
    """enum match_class of the packet programs."""

    METHOD = 0
    HOST = 1
    PATH = 2
    PREFIX = 3
    HEADER = 4
    COOKIE = 5


@dataclass(frozen=True)
class Compiled:
    """One service's rules."""

    rules: int
    """How many."""
    classes: int
    """Bit c: some rule has a condition of class c."""
    indifferent: tuple[int, ...]
    """Per class: rules that ask nothing of it."""
    matches: dict[tuple[MatchClass, bytes], int] = field(default_factory=dict)
    """Exact texts. Of headers: lower-case name, NUL, value; of cookies: name=value."""
    prefixes: dict[bytes, int] = field(default_factory=dict)
    """Path prefixes; the longest that fits a path speaks for the shorter ones, too."""


def conditions(rule: Rule) -> Iterable[tuple[MatchClass, bytes]]:
    """What the rule asks, as texts that the packet program builds out of a request."""
    if rule.method is not None:
        yield MatchClass.METHOD, rule.method.encode()
    if rule.host is not None:
        yield MatchClass.HOST, rule.host.lower().encode()
    if rule.path is not None:
        yield MatchClass.PATH, rule.path.encode()
    if rule.path_prefix is not None:
        yield MatchClass.PREFIX, rule.path_prefix.encode()
    for name, value in (rule.header or {}).items():
        yield MatchClass.HEADER, name.lower().encode() + b"\0" + value.encode()
    for name, value in (rule.cookie or {}).items():
        yield MatchClass.COOKIE, f"{name}={value}".encode()


def compile_rules(rules: Sequence[Rule]) -> Compiled:
    """The tables for these rules, the first of which takes precedence."""
    everyone = (1 << len(rules)) - 1
    indifferent = [everyone] * len(MatchClass)
    matches: dict[tuple[MatchClass, bytes], int] = {}
    prefixes: dict[bytes, int] = {}
    for number, rule in enumerate(rules):
        for match_class, text in conditions(rule):
            indifferent[match_class] &= ~(1 << number)
            if match_class is MatchClass.PREFIX:
                prefixes[text] = prefixes.get(text, 0) | 1 << number
            else:
                key = (match_class, text)
                matches[key] = matches.get(key, 0) | 1 << number
    classes = sum(1 << c for c in MatchClass if indifferent[c] != everyone)
    return Compiled(len(rules), classes, tuple(indifferent), matches, _inherit(prefixes))


def _inherit(prefixes: dict[bytes, int]) -> dict[bytes, int]:
    """Gives every prefix the rules of the shorter ones that it begins with."""
    return {
        text: _union(bits for other, bits in prefixes.items() if text.startswith(other))
        for text in prefixes
    }


def _union(sets: Iterable[int]) -> int:
    union = 0
    for one in sets:
        union |= one
    return union
