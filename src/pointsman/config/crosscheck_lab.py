"""What a site's lab must fulfil: who is in which network, and names that it knows."""

from __future__ import annotations

from collections.abc import Iterator

from pointsman.config.findings import Finding, Path
from pointsman.config.model import Address, Lab, Router, Site

__all__ = ["lab_findings"]


def lab_findings(site: Site) -> Iterator[Finding]:
    if site.lab is None:
        return
    yield from _lan(site, site.lab)
    yield from _clients(site.lab)
    yield from _routers(site, site.lab)
    yield from _gateways(site, site.lab)
    yield from _applications(site, site.lab)
    yield from _members(site, site.lab)


def _lan(site: Site, lab: Lab) -> Iterator[Finding]:
    far = {router.node for router in lab.routers}
    nodes: list[tuple[Path, list[Address]]] = [
        (("units", i, "addresses"), unit.addresses) for i, unit in enumerate(site.units)
    ]
    nodes += [(("units", i, "tunnel"), unit.tunnel) for i, unit in enumerate(site.units)]
    nodes += [(("units", i, "nat"), unit.nat) for i, unit in enumerate(site.units)]
    nodes += [
        (("hosts", i, "addresses"), host.addresses)
        for i, host in enumerate(site.hosts)
        if host.name not in far
    ]
    nodes += [
        (("lab", "bystanders", i, "addresses"), b.addresses) for i, b in enumerate(lab.bystanders)
    ]
    for path, addresses in nodes:
        for address in addresses:
            own = lab.network.ipv4 if address.version == 4 else lab.network.ipv6
            if own is None:
                mend = f"add lab.network.ipv{address.version}"
                yield Finding(path, f"the lab has no network for {address}", mend)
            elif address not in own:
                yield Finding(
                    path, f"{address} is outside the lab's network", "widen `lab.network`"
                )


def _clients(lab: Lab) -> Iterator[Finding]:
    networks = {4: lab.network.ipv4, 6: lab.network.ipv6}
    for i, client in enumerate(lab.clients):
        for interface in client.addresses:
            network = networks[interface.version]
            if network is not None and network.overlaps(interface.network):
                yield Finding(
                    ("lab", "clients", i, "addresses"),
                    f"{interface} overlaps the lab's network",
                    "give clients networks of their own",
                )


def _routers(site: Site, lab: Lab) -> Iterator[Finding]:
    hosts = {host.name: i for i, host in enumerate(site.hosts)}
    clients = {client.name for client in lab.clients}
    behind: dict[str, str] = {}
    for i, router in enumerate(lab.routers):
        path = ("lab", "routers", i)
        if router.node in behind:
            what = f"{router.node} is behind router {behind[router.node]} already"
            yield Finding((*path, "node"), what, "name another node, or take one router out")
        behind.setdefault(router.node, router.name)
        if router.node in hosts:
            yield from _far_host(site, hosts[router.node], router)
            yield from _far_network((*path, "network"), lab, router)
        elif router.node not in clients:
            names = ", ".join(sorted([*hosts, *clients]))
            what = f"no client or host is named {router.node}"
            yield Finding((*path, "node"), what, f"name one of: {names}")
        elif router.network.ipv4 or router.network.ipv6:
            what = f"client {router.node} has networks by its addresses"
            yield Finding((*path, "network"), what, "take it out")


def _far_host(site: Site, number: int, router: Router) -> Iterator[Finding]:
    path = ("hosts", number, "addresses")
    for address in site.hosts[number].addresses:
        own = router.network.ipv4 if address.version == 4 else router.network.ipv6
        key = f"lab.routers, network.ipv{address.version}"
        if own is None:
            what = f"router {router.name} has no network for {address}"
            yield Finding(path, what, f"add it to {key}")
        elif address not in own:
            what = f"{address} is outside router {router.name}'s network"
            yield Finding(path, what, f"widen it in {key}")


def _far_network(path: Path, lab: Lab, router: Router) -> Iterator[Finding]:
    for own, lan in (
        (router.network.ipv4, lab.network.ipv4),
        (router.network.ipv6, lab.network.ipv6),
    ):
        if own is not None and lan is not None and own.overlaps(lan):
            what = f"{own} overlaps the lab's network"
            yield Finding(path, what, "give the host a network of its own")


def _gateways(site: Site, lab: Lab) -> Iterator[Finding]:
    units = {unit.name for unit in site.units}
    far = {router.node for router in lab.routers}
    near = {host.name for host in site.hosts} - far
    for host, unit in lab.gateways.items():
        path = ("lab", "gateways", host)
        if host not in near:
            what = f"no host of the lab's network is named {host}"
            yield Finding(path, what, f"name one of: {', '.join(sorted(near))}")
        if unit not in units:
            what = f"no unit is named {unit}"
            yield Finding(path, what, f"name one of: {', '.join(sorted(units))}")


def _applications(site: Site, lab: Lab) -> Iterator[Finding]:
    services = {service.name for service in site.services}
    for name in lab.applications:
        if name not in services:
            what = f"no service is named {name}"
            mend = f"name one of: {', '.join(sorted(services))}"
            yield Finding(("lab", "applications", name), what, mend)


def _members(site: Site, lab: Lab) -> Iterator[Finding]:
    """Addresses of endpoints are in the network of their host."""
    far = {router.node: router.network for router in lab.routers}
    for i, pool in enumerate(site.pools):
        for j, member in enumerate(pool.members):
            network = far.get(member.host, lab.network)
            for address in member.addresses:
                own = network.ipv4 if address.version == 4 else network.ipv6
                if own is None or address not in own:
                    path = ("pools", i, "members", j, "addresses")
                    what = f"{address} is outside the network of host {member.host}"
                    yield Finding(path, what, "take one of that network, or widen it")
