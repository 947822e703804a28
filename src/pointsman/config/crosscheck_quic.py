"""What QUIC services ask of their pools, so that each connection id has one meaning (R-E12)."""

from __future__ import annotations

from collections.abc import Iterator

from pointsman.config.findings import Finding, Path
from pointsman.config.model import Inspect, Pool, Protocol, Quic, Service, Site

__all__ = ["quic_findings"]

MAX_TOTAL = 19
"""Server id and nonce: a connection id of QUIC version 1 has 20 bytes at most."""


def quic_findings(site: Site) -> Iterator[Finding]:
    """Everything wrong with services that go by connection id, and with their members' ids."""
    pools = {pool.name: (i, pool) for i, pool in enumerate(site.pools)}
    for i, service in enumerate(site.services):
        path: Path = ("services", i)
        yield from _needs(path, service)
        if service.quic is None:
            continue
        yield from _configurations((*path, "quic", "configurations"), service.quic)
        if service.pool in pools:
            yield from _lengths(service, service.quic, *pools[service.pool])
    for i, pool in enumerate(site.pools):
        yield from _twice(i, pool)


def _needs(path: Path, service: Service) -> Iterator[Finding]:
    if service.inspect is not Inspect.QUIC:
        if service.quic is not None:
            yield Finding(
                (*path, "quic"),
                f"service {service.name} does not go by connection ids",
                "add `inspect: quic`, or take `quic` away",
            )
        return
    if service.quic is None:
        yield Finding(
            (*path, "inspect"),
            f"service {service.name} does not say how its servers make connection ids",
            "add `quic` with `configurations`",
        )
    if any(listen.protocol is not Protocol.UDP for listen in service.listens):
        yield Finding((*path, "inspect"), "QUIC is carried by UDP alone", "add `protocol: udp`")


def _configurations(path: Path, quic: Quic) -> Iterator[Finding]:
    seen: set[int] = set()
    for j, each in enumerate(quic.configurations):
        if each.id in seen:
            yield Finding(
                (*path, j, "id"),
                f"configuration {each.id} is there twice",
                "give each an id of its own, 0 to 6",
            )
        seen.add(each.id)
        total = each.server_id_bytes + each.nonce_bytes
        if total > MAX_TOTAL:
            yield Finding(
                (*path, j, "nonce_bytes"),
                f"server id and nonce have {total} bytes together, and {MAX_TOTAL} fit",
                "shorten the nonce, to 4 bytes at least, or the server ids",
            )


def _lengths(service: Service, quic: Quic, number: int, pool: Pool) -> Iterator[Finding]:
    for j, member in enumerate(pool.members):
        path: Path = ("pools", number, "members", j)
        if member.quic_server_id is None:
            yield Finding(
                path,
                f"host {member.host} has no `quic_server_id`, for service {service.name}",
                "give it one",
            )
            continue
        length = len(member.quic_server_id) // 2
        for each in quic.configurations:
            if length != each.server_id_bytes:
                yield Finding(
                    (*path, "quic_server_id"),
                    f"has {length} bytes, and {each.server_id_bytes} in configuration {each.id} "
                    f"of service {service.name}",
                    "make all equally long",
                )


def _twice(number: int, pool: Pool) -> Iterator[Finding]:
    seen: dict[str, str] = {}
    for j, member in enumerate(pool.members):
        if member.quic_server_id is None:
            continue
        server_id = member.quic_server_id.lower()
        if server_id in seen:
            yield Finding(
                ("pools", number, "members", j, "quic_server_id"),
                f"{server_id} is the server id of host {seen[server_id]} already",
                f"give host {member.host} its own",
            )
        seen.setdefault(server_id, member.host)
