"""Words for the network around us."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pointsman.config.model import Address

__all__ = ["Interface", "Neighbours", "Route"]

Neighbours = Mapping[tuple[int, Address], bytes]
"""(interface index, address) to 6-byte MAC, of those that can be used now."""


@dataclass(frozen=True)
class Interface:
    name: str
    index: int
    mac: bytes
    mtu: int


@dataclass(frozen=True)
class Route:
    """Where a packet leaves: by which interface, to which neighbour."""

    ifindex: int
    neighbour: Address
