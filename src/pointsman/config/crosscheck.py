"""What a site must fulfil beyond the shape of each part: references, clashes, families (R-A7)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from pointsman.config.crosscheck_endpoints import endpoint_findings
from pointsman.config.crosscheck_forward import forward_findings
from pointsman.config.crosscheck_lab import lab_findings
from pointsman.config.crosscheck_quic import quic_findings
from pointsman.config.crosscheck_rules import rule_findings
from pointsman.config.findings import Finding, Path
from pointsman.config.model import Address, Choose, Inspect, Member, Protocol, Role, Service, Site

__all__ = ["Finding", "Path", "crosscheck"]

MAX_MEMBERS = 16_384
"""Of one pool: more take long to lay out, and get too few places of a hash table."""
FAMILY = {4: "IPv4", 6: "IPv6"}


def crosscheck(site: Site) -> list[Finding]:
    """Everything wrong with a site whose parts are well formed; empty if it can run."""
    checks: list[Callable[[Site], Iterable[Finding]]] = [
        _names,
        _roles,
        _unicast,
        _one_address_a_family,
        _own_addresses,
        _services,
        _references,
        _families,
        rule_findings,
        endpoint_findings,
        forward_findings,
        quic_findings,
        lab_findings,
    ]
    return [finding for check in checks for finding in check(site)]


def _roles(site: Site) -> Iterator[Finding]:
    for i, unit in enumerate(site.units):
        if Role.FORWARDER not in unit.roles:
            yield Finding(
                ("units", i, "roles"),
                f"unit {unit.name} has no forwarder, and packets come to forwarders",
                "add `forwarder`",
            )


def _repeated(entries: Iterable[tuple[Path, str]], what: str) -> Iterator[Finding]:
    seen: dict[str, Path] = {}
    for path, name in entries:
        if name in seen:
            yield Finding(path, f"{what} {name} is there twice", "give each its own name")
        seen.setdefault(name, path)


def _names(site: Site) -> Iterator[Finding]:
    nodes: list[tuple[Path, str]] = [
        (("units", i, "name"), unit.name) for i, unit in enumerate(site.units)
    ]
    nodes += [(("hosts", i, "name"), host.name) for i, host in enumerate(site.hosts)]
    if site.lab:
        nodes += [(("lab", "clients", i, "name"), c.name) for i, c in enumerate(site.lab.clients)]
        nodes += [
            (("lab", "bystanders", i, "name"), b.name) for i, b in enumerate(site.lab.bystanders)
        ]
        nodes += [(("lab", "routers", i, "name"), r.name) for i, r in enumerate(site.lab.routers)]
        nodes.append((("lab",), "router"))
    yield from _repeated(nodes, "node")
    yield from _repeated(((("pools", i), p.name) for i, p in enumerate(site.pools)), "pool")
    yield from _repeated(
        ((("services", i), s.name) for i, s in enumerate(site.services)), "service"
    )


def _node_addresses(site: Site) -> Iterator[tuple[Path, Address, str]]:
    """Where an address stands, the address, whose it is."""
    for i, unit in enumerate(site.units):
        for address in unit.addresses:
            yield ("units", i, "addresses"), address, f"unit {unit.name}"
        for address in unit.tunnel:
            yield ("units", i, "tunnel"), address, f"the tunnel of unit {unit.name}"
        for address in unit.nat:
            yield ("units", i, "nat"), address, f"NAT of unit {unit.name}"
    for i, host in enumerate(site.hosts):
        for address in host.addresses:
            yield ("hosts", i, "addresses"), address, f"host {host.name}"


def _members(site: Site) -> Iterator[tuple[Path, Member]]:
    """Where a member's addresses stand, and the member."""
    for i, pool in enumerate(site.pools):
        for j, member in enumerate(pool.members):
            yield ("pools", i, "members", j, "addresses"), member


def _unicast(site: Site) -> Iterator[Finding]:
    """Packets for others than these reach no machine, or more than one."""
    entries = [(path, address) for path, address, _ in _node_addresses(site)]
    entries += [(path, a) for path, member in _members(site) for a in member.addresses]
    for i, service in enumerate(site.services):
        entries += [(("services", i, "addresses"), address) for address in service.addresses]
    for path, address in entries:
        if not _is_unicast(address):
            yield Finding(
                path, f"{address} is no address of one machine", "take one that routers forward"
            )


def _is_unicast(address: Address) -> bool:
    broadcast = address.version == 4 and address.is_reserved
    mapped = address.version == 6 and address.ipv4_mapped is not None
    local = address.is_loopback or address.is_link_local or address.is_unspecified
    return not (broadcast or mapped or local or address.is_multicast)


def _one_address_a_family(site: Site) -> Iterator[Finding]:
    lists: list[tuple[Path, list[Address]]] = []
    for i, unit in enumerate(site.units):
        lists.append((("units", i, "addresses"), unit.addresses))
        lists.append((("units", i, "tunnel"), unit.tunnel))
        lists.append((("units", i, "nat"), unit.nat))
    for i, host in enumerate(site.hosts):
        lists.append((("hosts", i, "addresses"), host.addresses))
    lists += [(path, member.addresses) for path, member in _members(site)]
    for path, addresses in lists:
        versions = [address.version for address in addresses]
        if len(set(versions)) != len(versions):
            family = FAMILY[versions[0]]
            yield Finding(path, f"two {family} addresses", "keep one of each family")


def _own_addresses(site: Site) -> Iterator[Finding]:
    """No address means two things: nodes, tunnels and VIPs are all different."""
    seen: dict[Address, str] = {}
    for path, address, owner in _node_addresses(site):
        if address in seen:
            yield Finding(
                path, f"{address} belongs to {seen[address]} already", f"give {owner} its own"
            )
        seen.setdefault(address, owner)
    for i, service in enumerate(site.services):
        for address in service.addresses:
            if address in seen:
                yield Finding(
                    ("services", i, "addresses"),
                    f"{address} belongs to {seen[address]}",
                    "take an address for services alone",
                )


def _services(site: Site) -> Iterator[Finding]:
    seen: dict[tuple[Address, Protocol], list[tuple[range, str]]] = {}
    for i, service in enumerate(site.services):
        yield from _listens(("services", i), service)
        yield from _group(("services", i), service, site)
        for address in service.addresses:
            for listen in service.listens:
                ports = range(listen.first, listen.last + 1)
                others = seen.setdefault((address, listen.protocol), [])
                for taken, owner in others:
                    if ports.start < taken.stop and taken.start < ports.stop:
                        yield Finding(
                            ("services", i, "addresses"),
                            f"{address} {listen} is service {owner} already",
                            "give one of them another address or port",
                        )
                others.append((ports, service.name))


def _group(path: Path, service: Service, site: Site) -> Iterator[Finding]:
    """Flows of one client, of which routers may send some to one unit and some to another."""
    if service.is_group and service.inspect is not Inspect.NONE:
        yield Finding(
            (*path, "inspect"),
            f"group {service.name} goes by the client alone",
            "inspect ports in services of their own",
        )
    pool = next((pool for pool in site.pools if pool.name == service.pool), None)
    if not service.is_group or pool is None or len(site.units) == 1 or len(pool.members) == 1:
        return
    if pool.choose is not Choose.CLIENT_IP:
        yield Finding(
            (*path, "pool"),
            f"units would choose different hosts of pool {pool.name} for flows of one client",
            f"add `choose: client-ip` to pool {pool.name}",
        )


def _listens(path: Path, service: Service) -> Iterator[Finding]:
    if service.listen and (service.port is not None or service.protocol is not Protocol.TCP):
        yield Finding((*path, "listen"), "stands beside port or protocol", "say it all in listen")
    if not service.listen and service.protocol.has_ports and service.port is None:
        yield Finding(path, f"service {service.name} has no port", "add `port`")
    if not service.protocol.has_ports and service.port is not None:
        yield Finding((*path, "port"), f"{service.protocol} has no ports", "leave it out")
    for j, listen in enumerate(service.listens):
        if (
            service.listen
            and listen.protocol.has_ports
            and not 0 < listen.first <= listen.last < 65536
        ):
            yield Finding(
                (*path, "listen", j),
                f"{service.listen[j]} is no port and no range of ports",
                "take ports from 1 to 65535, the lower one first",
            )


def _references(site: Site) -> Iterator[Finding]:
    hosts = {host.name for host in site.hosts}
    pools = {pool.name for pool in site.pools}
    for i, pool in enumerate(site.pools):
        for j, member in enumerate(pool.members):
            if member.host not in hosts:
                yield _unknown(("pools", i, "members", j, "host"), "host", member.host, hosts)
        yield from _repeated(
            ((("pools", i, "members", j), _endpoint_name(m)) for j, m in enumerate(pool.members)),
            "endpoint",
        )
        if len(pool.members) > MAX_MEMBERS:
            yield Finding(
                ("pools", i, "members"),
                f"more than {MAX_MEMBERS} members",
                "make it several pools",
            )
    for i, service in enumerate(site.services):
        if service.pool not in pools:
            yield _unknown(("services", i, "pool"), "pool", service.pool, pools)
        for j, rule in enumerate(service.rules):
            if rule.pool not in pools:
                yield _unknown(("services", i, "rules", j, "pool"), "pool", rule.pool, pools)


def _endpoint_name(member: Member) -> str:
    port = [f"port {member.port}"] if member.port else []
    return " ".join([member.host, *map(str, member.addresses), *port])


def _unknown(path: Path, kind: str, name: str, known: set[str]) -> Finding:
    names = ", ".join(sorted(known))
    return Finding(path, f"no {kind} is named {name}", f"name one of: {names}")


def _families(site: Site) -> Iterator[Finding]:
    """A VIP needs units with an address and a tunnel, and hosts with an address, of its family."""
    hosts = {host.name: {a.version for a in host.addresses} for host in site.hosts}
    pools = {pool.name: pool for pool in site.pools}
    for i, service in enumerate(site.services):
        for version in sorted({address.version for address in service.addresses}):
            family = FAMILY[version]
            for unit in site.units:
                for key, own in (("addresses", unit.addresses), ("tunnel", unit.tunnel)):
                    if version not in {address.version for address in own}:
                        yield Finding(
                            ("services", i, "addresses"),
                            f"unit {unit.name} has no {family} address under `{key}`",
                            "give it one, or take that family's address from the service",
                        )
            for name in dict.fromkeys([*(r.pool for r in service.rules), service.pool]):
                members = pools[name].members if name in pools else []
                for member in members:
                    if version not in hosts.get(member.host, {version}):
                        yield Finding(
                            ("services", i, "addresses"),
                            f"host {member.host} of pool {name} has no {family} address",
                            "give it one, or take that family's address from the service",
                        )
