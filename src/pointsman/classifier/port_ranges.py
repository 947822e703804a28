"""Ranges of ports as prefixes, the way the packet programs look them up."""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["PORT_BITS", "port_prefixes"]

PORT_BITS = 16


def port_prefixes(first: int, last: int) -> Iterator[tuple[int, int]]:
    """The fewest (port, bits) that cover just first to last: ports whose first bits are the port's.

    At most 30 for any range. Raises ValueError for no range of ports.
    """
    if not 0 <= first <= last < 1 << PORT_BITS:
        raise ValueError(f"{first} to {last} is no range of ports")
    while first <= last:
        # The largest block that begins here, and ends in the range.
        size = first & -first or 1 << PORT_BITS
        while first + size - 1 > last:
            size >>= 1
        yield first, PORT_BITS - size.bit_length() + 1
        first += size
