"""Dealing a deck in turn gives each host its share, without bursts."""

from __future__ import annotations

from collections import Counter
from math import gcd

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.classifier.deck import MAX_CARDS, build_deck
from pointsman.config import crosscheck
from pointsman.datapath import abi

WEIGHTS = st.lists(st.integers(0, 99), max_size=40).map(lambda found: list(enumerate(found)))


def test_limits_are_the_packet_programs() -> None:
    assert MAX_CARDS == abi.MAX_DECK == crosscheck.MAX_DECK


@pytest.mark.parametrize(
    ("weights", "deck"),
    [
        ([], []),
        ([(0, 0), (1, 0)], []),
        ([(7, 5)], [7]),
        ([(4, 1), (2, 1)], [4, 2]),
        ([(0, 6), (1, 3)], [0, 1, 0]),
        ([(0, 2), (1, 0), (2, 1)], [0, 2, 0]),
        ([(0, 5), (1, 1), (2, 1)], [0, 0, 1, 0, 2, 0, 0]),  # nginx's own example
    ],
    ids=["empty", "all zero", "one", "equal", "reduced", "one drained", "smooth"],
)
def test_decks(weights: list[tuple[int, int]], deck: list[int]) -> None:
    assert build_deck(weights) == deck


@given(weights=WEIGHTS)
def test_shares_are_exact_when_they_fit(weights: list[tuple[int, int]]) -> None:
    given_weights = {host: weight for host, weight in weights if weight}
    divisor = gcd(*given_weights.values())
    reduced = {host: weight // divisor for host, weight in given_weights.items()}
    deck = build_deck(weights)
    if sum(reduced.values()) <= MAX_CARDS:
        assert Counter(deck) == reduced


@given(weights=WEIGHTS, max_cards=st.integers(40, 200))
def test_shares_that_do_not_fit_are_rounded(weights: list[tuple[int, int]], max_cards: int) -> None:
    given_weights = {host: weight for host, weight in weights if weight}
    cards = Counter(build_deck(weights, max_cards))
    assert set(cards) == set(given_weights)  # nobody loses the last card
    total = sum(given_weights.values())
    if total // (gcd(*given_weights.values()) or 1) > max_cards:
        assert cards.total() == max_cards
        spare = max_cards - len(given_weights)
        for host, weight in given_weights.items():
            assert abs(cards[host] - 1 - weight * spare / total) < 1


@given(weights=WEIGHTS.filter(lambda found: any(weight for _, weight in found)))
def test_no_run_of_cards_is_far_from_its_share(weights: list[tuple[int, int]]) -> None:
    """After any number of cards from the first, every host has had its share, give or take two."""
    deck = build_deck(weights)
    share = {host: count / len(deck) for host, count in Counter(deck).items()}
    dealt = Counter[int]()
    for number, card in enumerate(deck, start=1):
        dealt[card] += 1
        assert abs(dealt[card] - number * share[card]) < 2


def test_as_many_hosts_as_cards_and_no_more() -> None:
    hosts = [(host, 99 if host else 1) for host in range(MAX_CARDS)]
    assert sorted(build_deck(hosts)) == list(range(MAX_CARDS))
    with pytest.raises(ValueError, match="1025 hosts do not fit into a deck of 1024 cards"):
        build_deck([*hosts, (MAX_CARDS, 1)])
