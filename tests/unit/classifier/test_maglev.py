"""Maglev tables: shares, agreement, and how little changes when endpoints go.

The experiment of the paper (Eisenbud et al., NSDI 2016, section 5.3 and figures 11 and 12): 1,000
endpoints, tables of 65,537 and 655,373 places. Figure 12 is a curve without numbers: those here are
this implementation's, which populates tables as the paper's pseudocode does (held below).
"""

from __future__ import annotations

import random
from collections import Counter
from functools import cache
from hashlib import blake2b

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointsman.classifier.maglev import SIZES, identity, maglev_table, table_size

ENDPOINTS = 1000
SMALL = 251
"""A prime, for tests that need many tables."""


def endpoint(number: int, weight: int = 1) -> tuple[int, int, bytes]:
    who = identity(f"h{number}", [f"10.0.{number >> 8}.{number & 255}"], 80)
    return number, weight, who


@cache
def whole_table(size: int) -> list[int]:
    return maglev_table([endpoint(number) for number in range(ENDPOINTS)], size)


def changed_by_failures(size: int, failed: int, seed: int) -> tuple[float, float]:
    """Shares of the table's entries that change at all, and that change without need."""
    gone = set(random.Random(seed).sample(range(ENDPOINTS), failed))
    left = [endpoint(number) for number in range(ENDPOINTS) if number not in gone]
    changes = [
        before in gone
        for before, after in zip(whole_table(size), maglev_table(left, size), strict=True)
        if before != after
    ]
    return len(changes) / size, changes.count(False) / size


@pytest.mark.parametrize(
    ("size", "failed", "changed"),
    [
        (65_537, 1, 0.0065),
        (65_537, 10, 0.033),
        (65_537, 20, 0.046),
        (65_537, 50, 0.081),
        (655_373, 1, 0.0043),
        (655_373, 10, 0.0158),
        (655_373, 20, 0.0272),
        (655_373, 50, 0.0592),
    ],
)
def test_disruption_by_concurrent_failures(size: int, failed: int, changed: float) -> None:
    """Figure 12: entries changed by concurrent failures, mean of several draws."""
    draws = 5 if size == SIZES[0] else 1
    found = [changed_by_failures(size, failed, seed) for seed in range(draws)]
    assert sum(total for total, _ in found) / draws == pytest.approx(changed, rel=0.1)


def test_a_larger_table_is_more_resilient() -> None:
    """Section 5.3: what is in a larger table moves less without need."""
    small, large = (changed_by_failures(size, 20, seed=1)[1] for size in SIZES)
    assert large < small / 3


@pytest.mark.parametrize(("size", "most"), [(65_537, 1.01), (655_373, 1.001)])
def test_load_is_even(size: int, most: float) -> None:
    """Figure 11: almost perfect, where rings of that size need 10 to 50 % more of each endpoint."""
    shares = Counter(whole_table(size)).values()
    mean = size / ENDPOINTS
    assert len(shares) == ENDPOINTS
    assert max(shares) / mean < most
    assert max(shares) - min(shares) <= 1


def populate(names: list[bytes], size: int) -> list[int]:
    """Pseudocode 1 of the paper, line by line."""
    permutation = []
    for name in names:
        digest = blake2b(name, digest_size=16, person=b"pointsman maglev").digest()
        offset = int.from_bytes(digest[:8], "little") % size
        skip = int.from_bytes(digest[8:], "little") % (size - 1) + 1
        permutation.append([(offset + j * skip) % size for j in range(size)])
    next_ = [0] * len(names)
    entry = [-1] * size
    n = 0
    while True:
        for i in range(len(names)):
            c = permutation[i][next_[i]]
            while entry[c] >= 0:
                next_[i] += 1
                c = permutation[i][next_[i]]
            entry[c] = i
            next_[i] += 1
            n += 1
            if n == size:
                return entry


@pytest.mark.parametrize("endpoints", [1, 2, 3, 10, 100, SMALL])
def test_tables_are_populated_as_in_the_paper(endpoints: int) -> None:
    """And seeded so in every version: units of one cluster must agree through an upgrade."""
    names = sorted(endpoint(number)[2] for number in range(endpoints))
    found = maglev_table([(i, 1, name) for i, name in enumerate(names)], SMALL)
    assert found == populate(names, SMALL)


@given(
    weights=st.lists(st.integers(0, 99), min_size=1, max_size=20), order=st.randoms(), by=st.data()
)
@settings(max_examples=50)
def test_a_table_depends_on_what_the_endpoints_are_alone(
    weights: list[int], order: random.Random, by: st.DataObject
) -> None:
    """Not on the order or the numbers that a site file gives them: units and restarts agree."""
    given_order = [endpoint(number, weight) for number, weight in enumerate(weights)]
    other = [(card + 1000, weight, who) for card, weight, who in given_order]
    order.shuffle(other)
    assert maglev_table(other, SMALL) == [card + 1000 for card in maglev_table(given_order, SMALL)]


@pytest.mark.parametrize(
    "weights", [[1, 1, 1], [3, 2, 1], [99, 1], [40, 35, 25], [0, 5, 0, 7]], ids=str
)
def test_places_are_shared_by_weight(weights: list[int]) -> None:
    size = SIZES[0]
    found = Counter(maglev_table([endpoint(i, weight) for i, weight in enumerate(weights)], size))
    for number, weight in enumerate(weights):
        assert abs(found[number] - size * weight / sum(weights)) <= 2


def test_without_weights_there_is_no_table() -> None:
    assert maglev_table([endpoint(1, 0), endpoint(2, 0)], SMALL) == []
    assert maglev_table([], SMALL) == []


def test_more_endpoints_than_places_fill_the_table() -> None:
    table = maglev_table([endpoint(number) for number in range(2 * SMALL)], SMALL)
    assert len(set(table)) == len(table) == SMALL


def test_the_same_host_twice_is_two_endpoints() -> None:
    twins = [(port, 1, identity("h1", ["10.0.0.1"], port)) for port in (80, 81)]
    assert set(maglev_table(twins, SMALL)) == {80, 81}


def test_an_identity_knows_no_order_of_addresses() -> None:
    assert identity("h", ["10.0.0.1", "fd00::1"], 80) == identity("h", ["fd00::1", "10.0.0.1"], 80)
    others = [
        ("g", ["10.0.0.1"], 80),
        ("h", ["10.0.0.2"], 80),
        ("h", ["10.0.0.1"], 8),
        ("h", [], 80),
    ]
    assert len({identity(*one) for one in [*others, ("h", ["10.0.0.1"], 80)]}) == 5


@pytest.mark.parametrize(
    ("endpoints", "size"), [(1, 65_537), (655, 65_537), (656, 655_373), (10_000, 655_373)]
)
def test_tables_have_room_for_a_hundred_places_each(endpoints: int, size: int) -> None:
    assert table_size(endpoints) == size


@pytest.mark.parametrize("size", [*SIZES, SMALL])
def test_sizes_are_prime(size: int) -> None:
    assert all(size % divisor for divisor in range(2, int(size**0.5) + 1))
