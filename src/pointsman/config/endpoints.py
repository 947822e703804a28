"""Endpoints: each member of each pool, as each service that uses the pool reaches it (R-A6).

Forwarder and classifier number them alike, and so do their maps: an endpoint's number implies its
service, its pool and its host.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b

from pointsman.config.model import Address, Choose, Forward, Host, Member, Service, Site

__all__ = ["Deck", "Endpoint", "decks", "destination", "endpoint_id", "endpoints", "own_address"]


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


def endpoint_id(member: Member, host: Host, version: int) -> bytes:
    """4 bytes by which a bundle tells the host which of its endpoints is meant, zeros for none.

    A hash of address and port, so that nodes need not agree on numbers.
    """
    if member.port is None and not member.addresses:
        return bytes(4)
    named = [a for a in member.addresses if a.version == version]
    address = named[0] if named else own_address(host, version)
    if address is None:
        return bytes(4)
    port = (member.port or 0).to_bytes(2, "big")
    return blake2b(address.packed + port, digest_size=4, person=b"pointsman end").digest()
