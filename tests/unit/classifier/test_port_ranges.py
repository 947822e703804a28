"""Ranges of ports as prefixes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.classifier.port_ranges import PORT_BITS, port_prefixes

PORTS = st.integers(0, 65535)


def block(port: int, bits: int) -> range:
    size = 1 << PORT_BITS - bits
    assert port % size == 0
    return range(port, port + size)


@given(PORTS, PORTS)
def test_blocks_cover_just_the_range(one: int, other: int) -> None:
    first, last = sorted((one, other))
    found = list(port_prefixes(first, last))
    assert len(found) <= 30
    assert [port for blocks in found for port in block(*blocks)] == list(range(first, last + 1))


@pytest.mark.parametrize(
    ("first", "last", "prefixes"),
    [
        (0, 65535, [(0, 0)]),
        (80, 80, [(80, 16)]),
        (16384, 32767, [(16384, 2)]),
        (10000, 10003, [(10000, 14)]),
        (65535, 65535, [(65535, 16)]),
    ],
)
def test_well_known_ranges(first: int, last: int, prefixes: list[tuple[int, int]]) -> None:
    assert list(port_prefixes(first, last)) == prefixes


@pytest.mark.parametrize(("first", "last"), [(-1, 5), (5, 4), (0, 65536)])
def test_what_is_no_range(first: int, last: int) -> None:
    with pytest.raises(ValueError, match="no range"):
        list(port_prefixes(first, last))
