"""Compiles the rules of an inspected service into what the packet program looks up (R-E1).

Each class of condition (method, host, path, prefix, header, cookie …) becomes a table from the text
a request may have to the set of rules that text satisfies. The program ors what it finds, class by
class, adds the rules that ask nothing of the class, ands the classes; the lowest bit is the rule.
A set of rules is an int here: bit i is rule i.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from pointsman.config.model import Rule

__all__ = ["WILDCARD", "Compiled", "MatchClass", "Table", "compile_rules", "conditions"]

WILDCARD = "*."
"""What a host begins with that stands for all names below it."""


class MatchClass(IntEnum):
    """enum match_class of the packet programs."""

    METHOD = 0
    HOST = 1
    PATH = 2
    PREFIX = 3
    HEADER = 4
    COOKIE = 5
    HEADER_PREFIX = 6
    QUERY = 7
    ALPN = 8
    MSTSHASH = 9


class Table(IntEnum):
    """How a text is found."""

    EXACT = 0
    PREFIX = 1
    """By the longest one that a text begins with, which speaks for the shorter ones, too."""


Texts = dict[tuple[int, bytes], int]
"""MatchClass and text to the rules that the text satisfies."""
Condition = tuple[Table, MatchClass, bytes]


@dataclass(frozen=True)
class Compiled:
    """One service's rules."""

    rules: int
    """How many."""
    classes: int
    """Bit c: some rule has a condition of class c."""
    indifferent: tuple[int, ...]
    """Per class: rules that ask nothing of it."""
    matches: Texts = field(default_factory=dict)
    """Exact texts. Of headers: lower-case name, NUL, value; of cookies and queries: name=value."""
    prefixes: Texts = field(default_factory=dict)
    """What texts begin with; wildcards among them, their names read backwards."""

    @property
    def wildcards(self) -> bool:
        """Whether a host of some rule begins with one."""
        return any(match_class is MatchClass.HOST for match_class, _ in self.prefixes)


def conditions(rule: Rule) -> Iterable[Condition]:
    """What the rule asks, as texts that the packet program builds out of a request."""
    single = (
        (Table.EXACT, MatchClass.METHOD, rule.method),
        (Table.EXACT, MatchClass.PATH, rule.path),
        (Table.PREFIX, MatchClass.PREFIX, rule.path_prefix),
        (Table.EXACT, MatchClass.ALPN, rule.alpn),
        (Table.EXACT, MatchClass.MSTSHASH, rule.mstshash and _lower(rule.mstshash)),
    )
    named = (
        (Table.EXACT, MatchClass.HEADER, rule.header, "\0"),
        (Table.PREFIX, MatchClass.HEADER_PREFIX, rule.header_prefix, "\0"),
        (Table.EXACT, MatchClass.COOKIE, rule.cookie, "="),
        (Table.EXACT, MatchClass.QUERY, rule.query, "="),
    )
    for name in (rule.host, rule.sni):
        if name is not None:
            yield _host(name.lower())
    for table, match_class, text in single:
        if text is not None:
            yield table, match_class, text.encode()
    for table, match_class, pairs, between in named:
        for name, value in (pairs or {}).items():
            known = name.lower() if between == "\0" else name
            yield table, match_class, f"{known}{between}{value}".encode()


def _host(name: str) -> Condition:
    if name.startswith(WILDCARD):
        return Table.PREFIX, MatchClass.HOST, name[1:].encode()[::-1]
    return Table.EXACT, MatchClass.HOST, name.encode()


def _lower(text: str) -> str:
    """As the packet programs do: ASCII letters only."""
    return text.encode().lower().decode()


def compile_rules(rules: Sequence[Rule]) -> Compiled:
    """The tables for these rules, the first of which takes precedence."""
    everyone = (1 << len(rules)) - 1
    indifferent = [everyone] * len(MatchClass)
    tables: tuple[Texts, Texts] = ({}, {})
    for number, rule in enumerate(rules):
        for table, match_class, text in conditions(rule):
            indifferent[match_class] &= ~(1 << number)
            key = (match_class, text)
            tables[table][key] = tables[table].get(key, 0) | 1 << number
    classes = sum(1 << c for c in MatchClass if indifferent[c] != everyone)
    matches, prefixes = tables
    return Compiled(len(rules), classes, tuple(indifferent), matches, _inherit(prefixes))


def _inherit(prefixes: Texts) -> Texts:
    """Gives every prefix the rules of the shorter ones that it begins with."""
    full: Texts = {}
    for match_class, text in prefixes:
        bits = 0
        for size in range(len(text) + 1):
            bits |= prefixes.get((match_class, text[:size]), 0)
        full[match_class, text] = bits
    return full
