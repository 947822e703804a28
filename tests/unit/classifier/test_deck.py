"""Dealing a deck in turn gives each host its share, without bursts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from math import gcd

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.classifier.deck import (
    SMALL_DECK,
    build_deck,
    linear_deck,
    most_tokens_first_deck,
    round_robin_deck,
)

Order = Callable[[list[tuple[int, int]], int], list[int]]
WEIGHTS = st.lists(st.integers(0, 99), max_size=40).map(lambda found: list(enumerate(found)))


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
    if sum(reduced.values()) <= SMALL_DECK:
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
    hosts = [(host, 99 if host else 1) for host in range(SMALL_DECK)]
    assert sorted(build_deck(hosts)) == list(range(SMALL_DECK))
    with pytest.raises(ValueError, match="1025 endpoints do not fit into a deck of 1024 cards"):
        build_deck([*hosts, (SMALL_DECK, 1)])


@given(weights=WEIGHTS)
def test_the_spread_is_smooth_weighted_round_robin(weights: list[tuple[int, int]]) -> None:
    """Card by card what comparing everybody gives, which is slow."""
    deck = build_deck(weights, max_cards=4000)
    count = Counter(deck)
    credit = dict.fromkeys((host for host, weight in weights if weight), 0)
    for card in deck:
        for host in credit:
            credit[host] += count[host]
        richest = max(credit, key=credit.__getitem__)
        assert card == richest
        credit[richest] -= len(deck)


@pytest.mark.parametrize(
    ("weights", "deck"),
    [([], []), ([(3, 0)], []), ([(3, 9), (1, 0), (2, 1)], [3, 2]), ([(5, 99)], [5])],
)
def test_round_robin_knows_no_weight_but_none(
    weights: list[tuple[int, int]], deck: list[int]
) -> None:
    assert round_robin_deck(weights) == deck


@pytest.mark.parametrize(
    ("weights", "deck"),
    [
        ([], []),
        ([(0, 0)], []),
        ([(0, 1), (1, 3), (2, 2)], [1, 1, 2, 0, 1, 2]),
        ([(0, 2), (1, 4)], [1, 0, 1]),
    ],
)
def test_most_tokens_first(weights: list[tuple[int, int]], deck: list[int]) -> None:
    assert most_tokens_first_deck(weights) == deck


@given(weights=WEIGHTS)
def test_most_tokens_first_never_passes_over_a_richer_one(weights: list[tuple[int, int]]) -> None:
    deck = most_tokens_first_deck(weights, max_cards=4000)
    left = Counter(deck)
    for card in deck:
        assert left[card] == max(left.values())
        left[card] -= 1


def test_tokens_of_the_first_are_used_up_before_the_next() -> None:
    assert linear_deck([(4, 3), (2, 0), (1, 2)]) == [4, 4, 4, 1, 1]
    assert linear_deck([]) == []


@given(weights=WEIGHTS, max_cards=st.integers(40, 200))
def test_orders_differ_in_order_alone(weights: list[tuple[int, int]], max_cards: int) -> None:
    """A token allotment of 40, 35 and 25 is 40, 35 and 25 connections, whoever comes first."""
    tokens = Counter(build_deck(weights, max_cards))
    assert Counter(most_tokens_first_deck(weights, max_cards)) == tokens
    assert Counter(linear_deck(weights, max_cards)) == tokens
    assert set(round_robin_deck(weights, max_cards)) == set(tokens)


@pytest.mark.parametrize("order", [round_robin_deck, most_tokens_first_deck, linear_deck])
def test_every_order_refuses_more_endpoints_than_cards(order: Order) -> None:
    with pytest.raises(ValueError, match="3 endpoints do not fit into a deck of 2 cards"):
        order([(1, 1), (2, 5), (3, 1)], 2)


def test_ten_thousand_endpoints_are_dealt_quickly() -> None:
    """Comparing everybody at each of 80,000 cards would take minutes."""
    weights = [(number, 1 + number % 99) for number in range(10_000)]
    assert len(set(build_deck(weights, 80_000))) == 10_000
