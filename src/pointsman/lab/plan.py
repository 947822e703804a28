"""What a lab consists of, worked out from the site alone: nodes, cables, addresses, routes.

    client ---- router ==== bridge `lan` ==== units, hosts, bystanders
                  |
                  +---- second router ---- client or host

Pure: nothing here touches the machine. `network.py` builds what a `Plan` says. What makes a site
wrong without a lab's own needs, `config/crosscheck.py` has refused before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_interface
from itertools import combinations

from pointsman.config.model import (
    Address,
    Client,
    Host,
    Interface,
    Lab,
    Network,
    Router,
    Site,
    XdpMode,
)
from pointsman.errors import SiteError
from pointsman.lab.jobs import loopback_addresses, own_addresses

__all__ = ["LAN", "ROUTER", "FarNetwork", "Kind", "Node", "Plan", "Route", "make_plan"]

ROUTER = "router"
LAN = "lan"
"""The bridge in the router's namespace that units, hosts and bystanders are plugged into."""

RESERVED = frozenset({ROUTER, LAN, "lo", "all", "default"})
"""A node's name is also its port's on the router: these are taken there, or mean all to sysctl."""

NODE_DEVICE = "e0"
"""Interface of those nodes whose interface the site does not name."""


class Kind(StrEnum):
    ROUTER = "router"
    UNIT = "unit"
    HOST = "host"
    CLIENT = "client"
    BYSTANDER = "bystander"


TRANSIT = ("169.254.{}.1/30", "fe80::1/64"), ("169.254.{}.2/30", "fe80::2/64")
"""Of the link between two routers: the first's addresses, the second's."""


@dataclass(frozen=True, slots=True)
class Node:
    """One namespace and its one cable to a router, where the port bears the node's name."""

    name: str
    kind: Kind
    device: str
    """The interface's name in the node's own namespace."""
    addresses: tuple[Interface, ...]
    gateways: tuple[Address, ...]
    """Default routes, at most one of each family."""
    router_addresses: tuple[Interface, ...] = ()
    """Of the router's port; without any, the port belongs to the bridge."""
    native_xdp: bool = False
    """Its programs run in the driver, which on veth takes one at the other end too."""
    behind: str = ROUTER
    """The router at the other end of its cable."""
    mtu: int = 1500
    """Of the cable, bytes."""
    queues: int = 1
    """Of both interfaces, each way."""
    delay_ms: float = 0
    """Of the cable, each way."""
    forwards: bool = False
    """Its own stack does, too."""
    loopback: tuple[Address, ...] = ()
    """Virtual addresses that it takes packets for, and tells nobody."""

    @property
    def on_lan(self) -> bool:
        return not self.router_addresses


@dataclass(frozen=True, slots=True)
class Route:
    """The router's way to a virtual address: every unit is an equal next hop."""

    destination: Address
    via: tuple[Address, ...]


@dataclass(frozen=True, slots=True)
class FarNetwork:
    """The router's way to what is behind a second one."""

    network: IPv4Network | IPv6Network
    via: Address
    device: str
    """The router's port, for `via` may be of that link only."""


@dataclass(frozen=True, slots=True)
class Plan:
    nodes: tuple[Node, ...]
    """All but the first router; a second one stands before the node behind it."""
    lan_addresses: tuple[Interface, ...]
    """The router's, on the bridge."""
    routes: tuple[Route, ...]
    far_networks: tuple[FarNetwork, ...]

    def node(self, name: str) -> Node:
        """KeyError if there is none of that name."""
        return {node.name: node for node in self.nodes}[name]

    def at_ports(self, router: str) -> Iterable[Interface]:
        """A router's addresses towards the nodes behind it."""
        for node in self.nodes:
            if node.behind == router:
                yield from node.router_addresses


def make_plan(site: Site) -> Plan:
    """Raises SiteError if the site has no lab, or its addresses can't make one network."""
    if site.lab is None:
        raise SiteError(
            f"site of cluster {site.cluster.name}: lab: missing",
            "add a section `lab` with network and clients",
        )
    lan_addresses = tuple(_router_interfaces(site.lab.network))
    ends = (*_lan_nodes(site, site.lab, lan_addresses), *map(_client_node, site.lab.clients))
    cabled = (replace(end, mtu=site.lab.mtu, queues=site.lab.queues) for end in ends)
    nodes = tuple(_with_routers(cabled, site.lab.routers))
    _check_names(nodes)
    _check_addresses(nodes, lan_addresses)
    return Plan(nodes, lan_addresses, tuple(_routes(site)), tuple(_far_networks(nodes)))


def _router_interfaces(network: Network) -> Iterable[Interface]:
    if network.ipv4 is not None:
        yield ip_interface((network.ipv4.broadcast_address - 1, network.ipv4.prefixlen))
    if network.ipv6 is not None:
        yield ip_interface((_ffff(network.ipv6), network.ipv6.prefixlen))


def _ffff(network: IPv6Network) -> IPv6Address:
    return IPv6Address(int(network.network_address) | 0xFFFF)


def _lan_nodes(site: Site, lab: Lab, router: tuple[Interface, ...]) -> Iterable[Node]:
    def node(kind: Kind, name: str, device: str, addresses: Iterable[Address]) -> Node:
        own = {interface.version: interface for interface in router}
        return Node(
            name,
            kind,
            device,
            tuple(ip_interface((a, own[a.version].network.prefixlen)) for a in addresses),
            _one_of_a_family(own[a.version].ip for a in addresses),
        )

    far = {router.node: router.network for router in lab.routers}
    units = {unit.name: unit for unit in site.units}
    for unit in site.units:
        made = node(Kind.UNIT, unit.name, unit.interface, unit.addresses)
        forwards = unit.name in lab.gateways.values()
        yield replace(made, native_xdp=unit.xdp is XdpMode.NATIVE, forwards=forwards)
    for host in site.hosts:
        if host.name in far:
            yield _far_host(site, host, far[host.name])
            continue
        made = node(Kind.HOST, host.name, host.interface, own_addresses(site, host.name))
        made = replace(made, loopback=tuple(loopback_addresses(site, host.name)))
        if host.name in lab.gateways:
            unit = units[lab.gateways[host.name]]
            families = {address.version for address in host.addresses}
            made = replace(made, gateways=tuple(a for a in unit.addresses if a.version in families))
        yield made
    for bystander in lab.bystanders:
        yield node(Kind.BYSTANDER, bystander.name, NODE_DEVICE, bystander.addresses)


def _far_host(site: Site, host: Host, network: Network) -> Node:
    """Behind a second router, whose port has its network's first addresses."""
    networks = {n.version: n for n in (network.ipv4, network.ipv6) if n is not None}
    addresses = own_addresses(site, host.name)
    own = tuple(ip_interface((a, networks[a.version].prefixlen)) for a in addresses)
    first = (_first_address(f"host {host.name}", interface) for interface in own)
    router = tuple(dict.fromkeys(first))
    gateways = _one_of_a_family(interface.ip for interface in router)
    return Node(host.name, Kind.HOST, host.interface, own, gateways, router)


def _with_routers(nodes: Iterable[Node], routers: list[Router]) -> Iterable[Node]:
    numbered = {router.node: (number, router) for number, router in enumerate(routers)}
    for node in nodes:
        if node.name not in numbered:
            yield node
            continue
        number, router = numbered[node.name]
        first, second = (tuple(ip_interface(a.format(number)) for a in end) for end in TRANSIT)
        yield Node(
            router.name,
            Kind.ROUTER,
            NODE_DEVICE,
            second,
            tuple(interface.ip for interface in first),
            first,
            mtu=router.mtu,
            delay_ms=router.delay_ms,
            forwards=True,
        )
        yield replace(node, behind=router.name)


def _far_networks(nodes: tuple[Node, ...]) -> Iterable[FarNetwork]:
    routers = {node.name: node for node in nodes if node.kind is Kind.ROUTER}
    for node in nodes:
        if node.behind in routers:
            via = {own.version: own.ip for own in routers[node.behind].addresses}
            for interface in node.router_addresses:
                yield FarNetwork(interface.network, via[interface.version], node.behind)


def _client_node(client: Client) -> Node:
    router = tuple(
        dict.fromkeys(_first_address(f"client {client.name}", own) for own in client.addresses)
    )
    return Node(
        client.name,
        Kind.CLIENT,
        NODE_DEVICE,
        tuple(client.addresses),
        _one_of_a_family(interface.ip for interface in router),
        router,
    )


def _one_of_a_family(gateways: Iterable[Address]) -> tuple[Address, ...]:
    """The first: a second default route would be refused."""
    first: dict[int, Address] = {}
    for gateway in gateways:
        first.setdefault(gateway.version, gateway)
    return tuple(first.values())


def _first_address(node: str, interface: Interface) -> Interface:
    first = interface.network.network_address + 1
    if first == interface.ip or first not in interface.network:
        raise SiteError(
            f"{node}: address {interface} leaves none for the router",
            "take a shorter prefix, and an address after its network's first",
        )
    return ip_interface((first, interface.network.prefixlen))


def _check_names(nodes: tuple[Node, ...]) -> None:
    for node in nodes:
        if node.name in RESERVED:
            raise SiteError(f"node {node.name}: the lab needs this name itself", "rename it")


def _check_addresses(nodes: tuple[Node, ...], lan: tuple[Interface, ...]) -> None:
    """Every address once, the router's and bystanders' among them; no networks that overlap."""
    nodes = tuple(node for node in nodes if node.kind is not Kind.ROUTER)
    addresses = [interface.ip for node in nodes for interface in node.addresses]
    for address, count in Counter([*addresses, *(interface.ip for interface in lan)]).items():
        if count > 1:
            raise SiteError(f"address {address}: more than one node has it", "change all but one")
    apart = [(node, interface) for node in nodes for interface in node.router_addresses]
    for (node, interface), (other, its) in combinations(apart, 2):
        if interface.version == its.version and interface.network.overlaps(its.network):
            raise SiteError(
                f"{other.kind} {other.name}: network {its.network} overlaps that of {node.name}",
                "give each a network of its own",
            )


def _routes(site: Site) -> Iterable[Route]:
    for address in dict.fromkeys(a for service in site.services for a in service.addresses):
        via = tuple(
            own for unit in site.units for own in unit.addresses if own.version == address.version
        )
        if not via:
            raise SiteError(
                f"address {address} of a service: no unit has an IPv{address.version} address",
                "give one to the units, or take it out of the service",
            )
        yield Route(address, via)
