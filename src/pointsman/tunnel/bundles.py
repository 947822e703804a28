"""How much a bundle takes, and what that leaves for a segment (docs/wire/bundle.md)."""

from __future__ import annotations

__all__ = ["advertised_mss", "bundle_room"]

IP_HEADER = {4: 20, 6: 40}
UDP_HEADER = 8
BUNDLE_HEADER = 24
TCP_HEADER = 20
MAX_MSS = {4: 1460, 6: 1440}
"""What Ethernet carries: no client hears of more, for we do not know its path."""


def bundle_room(version: int) -> int:
    """Bytes that a bundle puts in front of the client's packet, by IP version."""
    return IP_HEADER[version] + UDP_HEADER + BUNDLE_HEADER


def advertised_mss(version: int, mtu: int) -> int:
    """The MSS for clients of inspected services, so that their first segment fits into a bundle.

    `mtu` is the largest IP packet between units and hosts, bytes. TCP options are the sender's to
    subtract (RFC 6691).
    """
    return min(MAX_MSS[version], mtu - bundle_room(version) - IP_HEADER[version] - TCP_HEADER)
