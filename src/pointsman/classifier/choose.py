"""A pool's policy as cards on the table (R-B12): which, how many, in what order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from pointsman.classifier.deck import (
    SMALL_DECK,
    Weights,
    build_deck,
    linear_deck,
    most_tokens_first_deck,
    round_robin_deck,
)
from pointsman.classifier.maglev import maglev_table, table_size
from pointsman.config.model import Choose

__all__ = ["Candidate", "cards_for", "choosing_key", "room_for"]

ROOM_EACH = 8
"""Cards for each endpoint of a large one: shares are exact to a twelfth or so."""
HASHED = (Choose.CLIENT_IP, Choose.MAGLEV)
DECKS: dict[Choose, Callable[[Weights, int], list[int]]] = {
    Choose.WEIGHTED: build_deck,
    Choose.ROUND_ROBIN: round_robin_deck,
    Choose.MOST_TOKENS_FIRST: most_tokens_first_deck,
    Choose.LINEAR: linear_deck,
    Choose.TWO_CHOICES: build_deck,  # the heavier must be drawn more often to get its share
}


@dataclass(frozen=True, slots=True)
class Candidate:
    """An endpoint as a pool has it."""

    number: int
    weight: int
    identity: bytes
    """What it is, whatever its number (maglev.identity)."""


def room_for(choose: Choose, endpoints: int) -> int:
    """Most cards that a pool of so many endpoints may need, whatever their weights become."""
    if choose in HASHED:
        return table_size(endpoints)
    if choose is Choose.ROUND_ROBIN:
        return endpoints
    return max(SMALL_DECK, ROOM_EACH * endpoints)


def cards_for(choose: Choose, candidates: Sequence[Candidate]) -> list[int]:
    """Numbers of endpoints, as they shall lie; empty if none has a weight."""
    room = room_for(choose, len(candidates))
    if choose in HASHED:
        return maglev_table([(c.number, c.weight, c.identity) for c in candidates], room)
    return DECKS[choose]([(c.number, c.weight) for c in candidates], room)


def choosing_key(cluster_key: bytes) -> bytes:
    """The 16-byte SipHash key of the hashes that choose: nobody can aim at one endpoint."""
    return blake2b(digest_size=16, key=cluster_key, person=b"pointsman choose").digest()
