"""Maglev tables: cards that a client's hash picks from (Eisenbud et al., NSDI 2016, section 3.4).

Every endpoint has a list of its own of all places of the table, a permutation drawn from what it
is (its identity), not from where the site file names it. The endpoints take turns to claim the
next place of their lists that is still free. So units and restarts agree without a word, each
endpoint gets its share of the places to within a few, and when an endpoint goes, its places are
shared out while nearly all others stay as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

__all__ = ["SIZES", "identity", "maglev_table", "table_size"]

SIZES = (65_537, 655_373)
"""Of a table, places: the paper's two, both prime, so that any step visits all places."""
PLACES_EACH = 100
"""The paper's least number of places per endpoint: shares differ by 1 % at most."""
FREE = -1


def table_size(endpoints: int) -> int:
    """Places for so many endpoints. A change of size moves nearly every client, so it is rare."""
    return next((size for size in SIZES if size >= PLACES_EACH * endpoints), SIZES[-1])


def identity(host: str, addresses: Sequence[str], port: int) -> bytes:
    """What makes an endpoint the same one on every unit and after every restart."""
    return "\0".join((host, *sorted(addresses), str(port))).encode()


def maglev_table(endpoints: Sequence[tuple[int, int, bytes]], size: int) -> list[int]:
    """`size` (a prime) cards out of (card, weight ≥ 0, identity); empty if all weights are 0.

    The heaviest endpoint claims a place every turn, the others in proportion to their weights.
    """
    wanted = sorted(
        (who, card, weight) for card, weight, who in endpoints if weight > 0
    )  # turns, too, must not depend on where the site file names an endpoint
    if not wanted:
        return []
    walks = [_Walk(card, weight, who, size) for who, card, weight in wanted]
    heaviest = max(walk.weight for walk in walks)
    table = [FREE] * size
    free = size
    while True:
        for walk in walks:
            walk.credit += walk.weight
            if walk.credit < heaviest:
                continue
            walk.credit -= heaviest
            place, step = walk.place, walk.step
            while table[place] != FREE:
                place += step
                if place >= size:
                    place -= size
            table[place] = walk.card
            walk.place = place
            free -= 1
            if not free:
                return table


class _Walk:
    """One endpoint's way through its permutation: place, place + step, … modulo the size."""

    __slots__ = ("card", "credit", "place", "step", "weight")

    def __init__(self, card: int, weight: int, who: bytes, size: int) -> None:
        digest = blake2b(who, digest_size=16, person=b"pointsman maglev").digest()
        self.card = card
        self.weight = weight
        self.credit = 0
        self.place = int.from_bytes(digest[:8], "little") % size
        self.step = int.from_bytes(digest[8:], "little") % (size - 1) + 1
