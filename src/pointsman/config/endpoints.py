"""Endpoints: each member of each pool, as each service that uses the pool reaches it (R-A6).

Forwarder and classifier number them alike, and so do their maps: an endpoint's number implies its
service, its pool and its host.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b

from pointsman.config.model import Address, Choose, Forward, Host, Member, Service, Site

__all__ = [
    "Deck",
    "Endpoint",
    "bundled",
    "decks",
    "destination",
    "endpoint_id",
    "endpoints",
    "own_address",
    "own_place",
    "own_places",
    "place_id",
]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`number` and `host` are what the packet programs call it and its host by."""

    number: int
    service: Service
    member: Member
    host: int


@dataclass(frozen=True, slots=True)
class Deck:
    """A pool as one service uses it; `number` is that of the packet programs' pool."""

    number: int
    service: str
    pool: str
    choose: Choose
    endpoints: tuple[Endpoint, ...]


def decks(site: Site) -> list[Deck]:
    """In the order of services, rules and members."""
    hosts = {host.name: index for index, host in enumerate(site.hosts)}
    pools = {pool.name: pool for pool in site.pools}
    found: list[Deck] = []
    count = 0
    for service in site.services:
        for name in _pool_names(service):
            members = [
                Endpoint(count + place, service, member, hosts[member.host])
                for place, member in enumerate(pools[name].members)
            ]
            found.append(Deck(len(found), service.name, name, pools[name].choose, tuple(members)))
            count += len(members)
    return found


def _pool_names(service: Service) -> Iterable[str]:
    """Each once."""
    return dict.fromkeys([*(rule.pool for rule in service.rules), service.pool])


def endpoints(site: Site) -> Iterator[Endpoint]:
    """By number."""
    for deck in decks(site):
        yield from deck.endpoints


def own_address(host: Host, version: int) -> Address | None:
    """The host's address of a family (4 or 6)."""
    return next((a for a in host.addresses if a.version == version), None)


def destination(endpoint: Endpoint, host: Host, version: int) -> Address | None:
    """Where packets for the endpoint are addressed to on the way from the unit.

    The tunnel and layer 2 lead to the host, whatever its applications' addresses are.
    """
    if endpoint.service.forward in (Forward.HALF_NAT, Forward.NAT):
        for address in endpoint.member.addresses:
            if address.version == version:
                return address
    return own_address(host, version)


def own_place(member: Member, host: Host, version: int) -> tuple[Address, int] | None:
    """Address and port where an endpoint of its own listens; port 0: the one that the client named.

    None if the member is none, but listens where clients connect to; or for want of an address.
    """
    if member.port is None and not member.addresses:
        return None
    named = [a for a in member.addresses if a.version == version]
    address = named[0] if named else own_address(host, version)
    return None if address is None else (address, member.port or 0)


def endpoint_id(member: Member, host: Host, version: int) -> bytes:
    """4 bytes by which a bundle tells the host which of its endpoints is meant, zeros for none.

    A hash of address and port, so that nodes need not agree on numbers.
    """
    place = own_place(member, host, version)
    return bytes(4) if place is None else place_id(*place)


def place_id(address: Address, port: int) -> bytes:
    """The id of an endpoint of its own there."""
    packed = address.packed + port.to_bytes(2, "big")
    return blake2b(packed, digest_size=4, person=b"pointsman end").digest()


def bundled(service: Service) -> bool:
    """Whether the agents of its hosts get bundles."""
    return service.forward is Forward.TUNNEL or service.inspect.uploads


def own_places(site: Site, name: str) -> dict[bytes, tuple[Address, int]]:
    """The endpoints of its own that a host has, by id, for services that reach them by bundles."""
    found: dict[bytes, tuple[Address, int]] = {}
    for endpoint in endpoints(site):
        host = site.hosts[endpoint.host]
        if host.name != name or not bundled(endpoint.service):
            continue
        for version in {address.version for address in endpoint.service.addresses}:
            place = own_place(endpoint.member, host, version)
            if place is not None:
                found[place_id(*place)] = place
    return found
