"""Decks: choosing an endpoint is dealing the next card (R-B11, R-B12).

A card is one token of an endpoint; the deck is the order in which tokens are used up. After the
last card the first follows.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from math import gcd

__all__ = [
    "SMALL_DECK",
    "Weights",
    "build_deck",
    "linear_deck",
    "most_tokens_first_deck",
    "round_robin_deck",
]

SMALL_DECK = 1024
"""Cards that every pool has room for: the shares of a few endpoints are exact."""

Weights = Sequence[tuple[int, int]]
"""Cards (numbers of endpoints) and how often, relative to each other, each is wanted (≥ 0)."""


def build_deck(weights: Weights, max_cards: int = SMALL_DECK) -> list[int]:
    """Cards so that dealing them in turn gives each endpoint its share.

    An endpoint's cards lie as far apart as they can (smooth weighted round robin), so that none
    gets a burst. Shares are exact whenever the reduced weights fit into `max_cards`; otherwise
    they are rounded, and no endpoint with a weight loses its last card. Empty if all weights are 0.

    Raises ValueError, as the others do, if more endpoints have a weight than there are cards.
    """
    return _spread(_tokens(weights, max_cards))


def round_robin_deck(weights: Weights, max_cards: int = SMALL_DECK) -> list[int]:
    """One card each, whatever the weight; none for weight 0."""
    return [card for card, _ in _tokens([(card, min(w, 1)) for card, w in weights], max_cards)]


def most_tokens_first_deck(weights: Weights, max_cards: int = SMALL_DECK) -> list[int]:
    """Always a card of the endpoint that has most left; of several, the first named."""
    tokens = _tokens(weights, max_cards)
    levels = range(max((count for _, count in tokens), default=0), 0, -1)
    return [card for level in levels for card, count in tokens if count >= level]


def linear_deck(weights: Weights, max_cards: int = SMALL_DECK) -> list[int]:
    """All cards of the first endpoint, then all of the second, and so on."""
    return [card for card, count in _tokens(weights, max_cards) for _ in range(count)]


def _tokens(weights: Weights, max_cards: int) -> list[tuple[int, int]]:
    """How many cards each endpoint with a weight gets."""
    wanted = [(card, weight) for card, weight in weights if weight > 0]
    if len(wanted) > max_cards:
        raise ValueError(f"{len(wanted)} endpoints do not fit into a deck of {max_cards} cards")
    divisor = gcd(*(weight for _, weight in wanted)) if wanted else 1
    reduced = [(card, weight // divisor) for card, weight in wanted]
    total = sum(weight for _, weight in reduced)
    if total <= max_cards:
        return reduced
    # Largest remainder, over what is left once everybody has one card.
    spare = max_cards - len(reduced)
    exact = [weight * spare / total for _, weight in reduced]
    counts = [1 + int(share) for share in exact]
    by_remainder = sorted(range(len(exact)), key=lambda i: int(exact[i]) - exact[i])
    for i in by_remainder[: max_cards - sum(counts)]:
        counts[i] += 1
    return [(card, count) for (card, _), count in zip(reduced, counts, strict=True)]


def _spread(tokens: list[tuple[int, int]]) -> list[int]:
    """Smooth weighted round robin: each step everybody earns his count, the richest pays for all.

    Those with equal counts take turns among themselves, so that only the next of each such group
    need be compared: thousands of endpoints rarely have more than a handful of weights.
    """
    total = sum(count for _, count in tokens)
    groups: dict[int, deque[tuple[int, int]]] = {}  # count -> (cards paid for, place in tokens)
    for place, (_, count) in enumerate(tokens):
        groups.setdefault(count, deque()).append((0, place))
    deck = []
    for step in range(1, total + 1):
        richest = max(groups, key=lambda c: (c * step - total * groups[c][0][0], -groups[c][0][1]))
        paid, place = groups[richest].popleft()
        groups[richest].append((paid + 1, place))
        deck.append(tokens[place][0])
    return deck
