"""Which next hop leads to each host: worked out from routes, neighbours and interfaces."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from pointsman.config.model import Address, Host
from pointsman.system.network import Neighbours, Route

__all__ = ["NextHop", "Way", "next_hops", "ways"]

W = TypeVar("W")

Way = tuple[int, Address]
"""(host index, one of the host's addresses)"""


@dataclass(frozen=True)
class NextHop:
    """How a frame for a host is addressed."""

    ifindex: int
    dmac: bytes
    smac: bytes


def ways(hosts: list[Host]) -> Iterator[Way]:
    """Every address of every host."""
    for index, host in enumerate(hosts):
        for address in host.addresses:
            yield index, address


def next_hops(
    routes: Mapping[W, Route | None],
    neighbours: Neighbours,
    macs: Mapping[int, bytes],
    carriers: Mapping[int, int],
) -> dict[W, NextHop | None]:
    """The next hop of each way, whatever names it; None where there is no route or no answer.

    `carriers`: VLAN interface to the one that frames leave by; the program puts the tags on.
    """
    found: dict[W, NextHop | None] = {}
    for way, route in routes.items():
        found[way] = None
        if route is None or route.ifindex not in macs:
            continue
        dmac = neighbours.get((route.ifindex, route.neighbour))
        if dmac is not None:
            ifindex = carriers.get(route.ifindex, route.ifindex)
            found[way] = NextHop(ifindex, dmac, macs[route.ifindex])
    return found
