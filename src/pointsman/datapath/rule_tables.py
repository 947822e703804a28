"""Compiled rules, written into the maps in which the packet program looks texts up (R-E1).

A text's rules are words of 64 in `rule_words`, without those that are 0, and the same set is
written once however many texts have it: so memory grows with the rules, not with their square.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from pointsman.datapath import abi
from pointsman.datapath.unit import UnitDatapath

__all__ = ["RuleTables", "words_needed"]

WORD_BITS = 64
Texts = Mapping[tuple[int, bytes], int]
"""Class of condition and text to the set of rules, bit by bit, that the text satisfies."""


class Rules(Protocol):
    """The compiled rules of one service (classifier/rules.py)."""

    @property
    def rules(self) -> int: ...
    @property
    def classes(self) -> int: ...
    @property
    def indifferent(self) -> tuple[int, ...]: ...
    @property
    def matches(self) -> Texts: ...
    @property
    def prefixes(self) -> Texts: ...
    @property
    def wildcards(self) -> bool: ...


def words_needed(compiled: Sequence[Rules]) -> int:
    """How many words of `rule_words` these rule sets take."""
    return sum(len(_words(bits)) for bits in _different_sets(compiled))


class RuleTables:
    """Writes rule sets one after the other; each has the number of its service."""

    def __init__(self, datapath: UnitDatapath) -> None:
        self._datapath = datapath
        self._sets: dict[int, abi.RuleSet] = {}
        self._words = 0
        self._pools = 0

    def write(self, number: int, rules: Rules, pools: Sequence[int], flags: int) -> None:
        """`pools`: index of the pool of every rule; `flags`: abi.RulesetFlag besides its own."""
        datapath = self._datapath
        for (match_class, text), bits in rules.matches.items():
            datapath.matches.set(_match_key(number, match_class, text), self._rule_set(bits))
        for (match_class, text), bits in rules.prefixes.items():
            datapath.prefixes.set(_prefix_key(number, match_class, text), self._rule_set(bits))
        datapath.rule_pools.set_many(self._pools, pools)
        if rules.wildcards:
            flags |= abi.RulesetFlag.WILDCARDS
        indifferent = tuple(_dense(bits) for bits in rules.indifferent)
        datapath.rulesets.set(
            number,
            abi.Ruleset(
                rules.classes, rules.rules, self._pools, flags, _lengths(rules.matches), indifferent
            ),
        )
        self._pools += len(pools)

    def _rule_set(self, bits: int) -> abi.RuleSet:
        if bits not in self._sets:
            words = _words(bits)
            self._datapath.rule_words.set_many(self._words, list(words.values()))
            self._sets[bits] = abi.RuleSet(sum(1 << place for place in words), self._words)
            self._words += len(words)
        return self._sets[bits]


def _different_sets(compiled: Sequence[Rules]) -> Iterable[int]:
    return {
        bits
        for rules in compiled
        for texts in (rules.matches, rules.prefixes)
        for bits in texts.values()
    }


def _words(bits: int) -> dict[int, int]:
    """Words of a set that are not 0, by their place, in its order."""
    mask = (1 << WORD_BITS) - 1
    words = ((place, bits >> WORD_BITS * place & mask) for place in range(abi.RULE_WORDS))
    return {place: word for place, word in words if word}


def _lengths(matches: Texts) -> tuple[abi.TextLengths, ...]:
    """Of the exact texts of each class."""
    found = [0] * abi.MATCH_CLASSES
    for match_class, text in matches:
        found[match_class] |= 1 << len(text)
    mask = (1 << WORD_BITS) - 1
    return tuple(abi.TextLengths((bits & mask, bits >> WORD_BITS)) for bits in found)


def _dense(bits: int) -> abi.RuleBits:
    words = _words(bits)
    return abi.RuleBits(
        sum(1 << place for place in words),
        tuple(words.get(place, 0) for place in range(abi.RULE_WORDS)),
    )


def _match_key(number: int, match_class: int, text: bytes) -> abi.MatchKey:
    return abi.MatchKey(number, match_class, len(text), text.ljust(abi.MATCH_TEXT, b"\0"))


def _prefix_key(number: int, match_class: int, text: bytes) -> abi.PrefixKey:
    # The length counts bits from the rule set's number on.
    bits = 8 * (4 + len(text))
    return abi.PrefixKey(bits, number, match_class, text.ljust(abi.MATCH_TEXT, b"\0"))
