"""Decks: choosing a host is dealing the next card (R-B11, R-B12)."""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd

__all__ = ["MAX_CARDS", "build_deck"]

MAX_CARDS = 1024
"""MAX_DECK of the packet programs."""


def build_deck(weights: Sequence[tuple[int, int]], max_cards: int = MAX_CARDS) -> list[int]:
    """Cards (host indexes) so that dealing them in turn gives each host its share.

    `weights` are (host index, weight ≥ 0). A host's cards lie as far apart as they can (smooth
    weighted round robin), so that no host gets a burst. Shares are exact whenever the reduced
    weights fit into `max_cards`; otherwise they are rounded, and no host with a weight loses its
    last card. Empty if all weights are 0.

    Raises ValueError if there are more hosts with a weight than cards.
    """
    wanted = [(host, weight) for host, weight in weights if weight > 0]
    if len(wanted) > max_cards:
        raise ValueError(f"{len(wanted)} hosts do not fit into a deck of {max_cards} cards")
    return _spread(_reduce(wanted, max_cards))


def _reduce(weights: list[tuple[int, int]], max_cards: int) -> list[tuple[int, int]]:
    divisor = gcd(*(weight for _, weight in weights)) if weights else 1
    reduced = [(host, weight // divisor) for host, weight in weights]
    total = sum(weight for _, weight in reduced)
    if total <= max_cards:
        return reduced
    # Largest remainder, over what is left once everybody has one card.
    spare = max_cards - len(reduced)
    exact = [weight * spare / total for _, weight in reduced]
    cards = [1 + int(share) for share in exact]
    by_remainder = sorted(range(len(exact)), key=lambda i: int(exact[i]) - exact[i])
    for i in by_remainder[: max_cards - sum(cards)]:
        cards[i] += 1
    return [(host, count) for (host, _), count in zip(reduced, cards, strict=True)]


def _spread(counts: list[tuple[int, int]]) -> list[int]:
    total = sum(count for _, count in counts)
    credit = [0] * len(counts)
    deck = []
    for _ in range(total):
        for i, (_, count) in enumerate(counts):
            credit[i] += count
        chosen = max(range(len(counts)), key=credit.__getitem__)
        credit[chosen] -= total
        deck.append(counts[chosen][0])
    return deck
