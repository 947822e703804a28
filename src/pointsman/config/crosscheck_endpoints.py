"""What endpoints of their own must fulfil: a place each, and nobody else's address."""

from __future__ import annotations

from collections.abc import Iterator

from pointsman.config.endpoints import own_place, place_id
from pointsman.config.findings import Finding, Path
from pointsman.config.model import Address, Site

__all__ = ["endpoint_findings"]

Place = tuple[Address, int]


def endpoint_findings(site: Site) -> Iterator[Finding]:
    """Members' addresses that are others', places given twice, ids that mean two places."""
    yield from _others_addresses(site)
    yield from _places(site)


def _others_addresses(site: Site) -> Iterator[Finding]:
    """What packets to an address of its own would reach, if it were not the member's host."""
    owners: dict[Address, str] = {}
    for unit in site.units:
        owners |= dict.fromkeys([*unit.addresses, *unit.tunnel, *unit.nat], f"unit {unit.name}")
    for host in site.hosts:
        owners |= dict.fromkeys(host.addresses, f"host {host.name}")
    for service in site.services:
        owners |= dict.fromkeys(service.addresses, f"service {service.name}")
    for i, pool in enumerate(site.pools):
        for j, member in enumerate(pool.members):
            mine = f"host {member.host}"
            for address in member.addresses:
                if owners.setdefault(address, mine) != mine:
                    yield Finding(
                        ("pools", i, "members", j, "addresses"),
                        f"{address} belongs to {owners[address]}",
                        f"name one that only {mine} has",
                    )


def _places(site: Site) -> Iterator[Finding]:
    hosts = {host.name: host for host in site.hosts}
    known: dict[tuple[str, bytes], Place] = {}
    for i, pool in enumerate(site.pools):
        seen: set[Place] = set()
        for j, member in enumerate(pool.members):
            host = hosts.get(member.host)
            for version in (4, 6):
                place = own_place(member, host, version) if host else None
                if place is None:
                    continue
                path: Path = ("pools", i, "members", j)
                if place in seen:
                    yield Finding(
                        path, f"{_text(place)} is there twice", "keep one, and give it more weight"
                    )
                seen.add(place)
                other = known.setdefault((member.host, place_id(*place)), place)
                if other != place:
                    yield Finding(
                        path,
                        f"{_text(place)} and {_text(other)} have the same id",
                        "take another port for one of them",
                    )


def _text(place: Place) -> str:
    address, port = place
    return f"endpoint {address} port {port}" if port else f"endpoint {address}"
