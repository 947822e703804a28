"""Whom a unit sends packets to besides endpoints: the next unit, and clients by the default route.

ICMP errors go there: those about connections that another unit may know, and those that clients
must learn of.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address, IPv6Address

from pointsman.config.model import Address, Site, Unit
from pointsman.forwarder.next_hops import NextHop

__all__ = ["ANYWHERE", "next_unit", "successors"]

ANYWHERE: dict[int, Address] = {4: IPv4Address(0), 6: IPv6Address(0)}
"""IP version to the address that stands for the default route."""


def successors(site: Site, unit: Unit, version: int) -> Iterator[Address]:
    """Tunnel addresses of the other units, from the one after this on, and round."""
    place = site.units.index(unit)
    for other in [*site.units[place + 1 :], *site.units[:place]]:
        yield from (address for address in other.tunnel if address.version == version)


def next_unit(
    candidates: Iterator[Address], hops: Mapping[Address, NextHop | None]
) -> tuple[Address, NextHop] | None:
    """The first that can be reached."""
    for address in candidates:
        hop = hops.get(address)
        if hop is not None:
            return address, hop
    return None
