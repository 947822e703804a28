"""Policies become cards, within the room that the packet programs have for them."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointsman.classifier.choose import Candidate, cards_for, choosing_key, room_for
from pointsman.config.crosscheck import MAX_MEMBERS
from pointsman.config.model import Choose
from pointsman.datapath import abi


def candidates(weights: list[int]) -> list[Candidate]:
    return [Candidate(10 + i, weight, b"h%d" % i) for i, weight in enumerate(weights)]


@pytest.mark.parametrize(
    ("choose", "cards"),
    [
        (Choose.WEIGHTED, [10, 11, 10]),
        (Choose.ROUND_ROBIN, [10, 11]),
        (Choose.MOST_TOKENS_FIRST, [10, 10, 11]),
        (Choose.LINEAR, [10, 10, 11]),
        (Choose.TWO_CHOICES, [10, 11, 10]),
    ],
)
def test_decks(choose: Choose, cards: list[int]) -> None:
    assert cards_for(choose, candidates([4, 2, 0])) == cards


@pytest.mark.parametrize("choose", [Choose.CLIENT_IP, Choose.MAGLEV])
def test_tables(choose: Choose) -> None:
    cards = Counter(cards_for(choose, candidates([4, 2, 0])))
    assert cards.total() == 65_537
    assert cards[10] == pytest.approx(2 * cards[11], abs=4)
    assert set(cards) == {10, 11}


@pytest.mark.parametrize("choose", Choose)
@given(weights=st.lists(st.integers(0, 99), min_size=1, max_size=200))
@settings(max_examples=20)
def test_cards_fit_into_the_room_whatever_the_weights(choose: Choose, weights: list[int]) -> None:
    if choose in (Choose.CLIENT_IP, Choose.MAGLEV):
        weights = weights[:3]  # their room does not depend on the weights
    cards = cards_for(choose, candidates(weights))
    assert len(cards) <= room_for(choose, len(weights))
    assert set(cards) == {10 + i for i, weight in enumerate(weights) if weight}


@pytest.mark.parametrize("choose", Choose)
def test_the_largest_pool_fits_into_a_decks_size(choose: Choose) -> None:
    assert MAX_MEMBERS <= room_for(choose, MAX_MEMBERS) < 1 << abi.POOL_SIZE_BITS


def test_hashes_have_a_key_of_their_own() -> None:
    key = choosing_key(bytes(16))
    assert len(key) == 16
    assert key not in (bytes(16), choosing_key(bytes([1] * 16)))
    assert choosing_key(bytes(16)) == key
