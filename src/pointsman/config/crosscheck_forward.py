"""What the ways of forwarding ask of units, hosts and services (R-A6)."""

from __future__ import annotations

from collections.abc import Iterator

from pointsman.config.findings import Finding, Path
from pointsman.config.model import Forward, Host, Pool, Protocol, Service, Site

__all__ = ["forward_findings"]

FAMILY = {4: "IPv4", 6: "IPv6"}
CARRIES = {
    Forward.TUNNEL: {Protocol.TCP, Protocol.UDP},
    Forward.HALF_NAT: {Protocol.TCP, Protocol.UDP, Protocol.GRE, Protocol.ESP},
    Forward.NAT: {Protocol.TCP, Protocol.UDP},
    Forward.L2: set(Protocol),
}
"""What has no ports can't carry a flow id, nor a port of ours; AH bears no change of addresses."""


def forward_findings(site: Site) -> Iterator[Finding]:
    """Everything wrong with how services reach their endpoints."""
    pools = {pool.name: pool for pool in site.pools}
    hosts = {host.name: host for host in site.hosts}
    for i, service in enumerate(site.services):
        path = ("services", i)
        yield from _protocols(path, service)
        names = dict.fromkeys([*(rule.pool for rule in service.rules), service.pool])
        for pool in [pools[name] for name in names if name in pools]:
            yield from _agents(path, service, pool, hosts)
            yield from _endpoints(path, service, pool)
        if service.forward is Forward.NAT:
            yield from _nat_addresses(path, service, site)
    for i, unit in enumerate(site.units):
        if unit.nat_ports.first > unit.nat_ports.last:
            yield Finding(
                ("units", i, "nat_ports"), "the range ends before it begins", "turn it round"
            )


def _protocols(path: Path, service: Service) -> Iterator[Finding]:
    for protocol in dict.fromkeys(listen.protocol for listen in service.listens):
        if protocol not in CARRIES[service.forward]:
            ways = ", ".join(way for way in Forward if protocol in CARRIES[way])
            yield Finding(
                (*path, "forward"), f"{service.forward} carries no {protocol}", f"take: {ways}"
            )


def _agents(path: Path, service: Service, pool: Pool, hosts: dict[str, Host]) -> Iterator[Finding]:
    upload = service.inspect.uploads
    if service.forward is not Forward.TUNNEL and not upload:
        return
    why = "the tunnel ends there" if service.forward is Forward.TUNNEL else "it uploads connections"
    for member in pool.members:
        host = hosts.get(member.host)
        if host is not None and not host.agent:
            yield Finding(
                (*path, "pool"),
                f"host {host.name} of pool {pool.name} has no agent, and {why}",
                "run `pointsman host` there, or take a way of forwarding that needs none, "
                "and no `inspect`",
            )


def _endpoints(path: Path, service: Service, pool: Pool) -> Iterator[Finding]:
    if service.forward is not Forward.L2:
        return
    for member in pool.members:
        if member.port is not None or member.addresses:
            yield Finding(
                (*path, "forward"),
                f"l2 rewrites nothing, and host {member.host} of pool {pool.name} has an endpoint "
                "of its own",
                "take another way of forwarding, or the endpoint's port and addresses away",
            )


def _nat_addresses(path: Path, service: Service, site: Site) -> Iterator[Finding]:
    for version in sorted({address.version for address in service.addresses}):
        for unit in site.units:
            if version not in {address.version for address in unit.nat}:
                yield Finding(
                    (*path, "forward"),
                    f"unit {unit.name} has no {FAMILY[version]} address under `nat`",
                    "give it one, or take another way of forwarding",
                )
