"""What a lab consists of, worked out from the site alone: nodes, cables, addresses, routes.

    client ---- router ==== bridge `lan` ==== units, hosts, bystanders

Pure: nothing here touches the machine. `network.py` builds what a `Plan` says. What makes a site
wrong without a lab's own needs, `config/crosscheck.py` has refused before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from ipaddress import IPv6Address, IPv6Network, ip_interface
from itertools import combinations

from pointsman.config.model import Address, Client, Interface, Lab, Network, Site, XdpMode
from pointsman.errors import SiteError

__all__ = ["LAN", "ROUTER", "Kind", "Node", "Plan", "Route", "make_plan"]

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


@dataclass(frozen=True, slots=True)
class Node:
    """One namespace and its one cable to the router, where the port bears the node's name."""

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


@dataclass(frozen=True, slots=True)
class Route:
    """The router's way to a virtual address: every unit is an equal next hop."""

    destination: Address
    via: tuple[Address, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    nodes: tuple[Node, ...]
    """All but the router."""
    lan_addresses: tuple[Interface, ...]
    """The router's, on the bridge."""
    routes: tuple[Route, ...]


def make_plan(site: Site) -> Plan:
    """Raises SiteError if the site has no lab, or its addresses can't make one network."""
    if site.lab is None:
        raise SiteError(
            f"site of cluster {site.cluster.name}: lab: missing",
            "add a section `lab` with network and clients",
        )
    lan_addresses = tuple(_router_interfaces(site.lab.network))
    nodes = (*_lan_nodes(site, site.lab, lan_addresses), *map(_client_node, site.lab.clients))
    _check_names(nodes)
    _check_addresses(nodes, lan_addresses)
    return Plan(nodes, lan_addresses, tuple(_routes(site)))


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

    for unit in site.units:
        made = node(Kind.UNIT, unit.name, unit.interface, unit.addresses)
        yield replace(made, native_xdp=unit.xdp is XdpMode.NATIVE)
    for host in site.hosts:
        yield node(Kind.HOST, host.name, host.interface, host.addresses)
    for bystander in lab.bystanders:
        yield node(Kind.BYSTANDER, bystander.name, NODE_DEVICE, bystander.addresses)


def _client_node(client: Client) -> Node:
    router = tuple(dict.fromkeys(_first_address(client.name, own) for own in client.addresses))
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


def _first_address(client: str, interface: Interface) -> Interface:
    first = interface.network.network_address + 1
    if first == interface.ip or first not in interface.network:
        raise SiteError(
            f"client {client}: address {interface} leaves none for the router",
            "take a shorter prefix, and an address after its network's first",
        )
    return ip_interface((first, interface.network.prefixlen))


def _check_names(nodes: tuple[Node, ...]) -> None:
    for node in nodes:
        if node.name in RESERVED:
            raise SiteError(f"node {node.name}: the lab needs this name itself", "rename it")


def _check_addresses(nodes: tuple[Node, ...], lan: tuple[Interface, ...]) -> None:
    """Every address once, the router's and bystanders' among them; no networks that overlap."""
    addresses = [interface.ip for node in nodes for interface in node.addresses]
    for address, count in Counter([*addresses, *(interface.ip for interface in lan)]).items():
        if count > 1:
            raise SiteError(f"address {address}: more than one node has it", "change all but one")
    clients = [(node.name, interface) for node in nodes for interface in node.router_addresses]
    for (name, interface), (other, its) in combinations(clients, 2):
        if interface.version == its.version and interface.network.overlaps(its.network):
            raise SiteError(
                f"client {other}: network {its.network} overlaps that of {name}",
                "give each client a network of its own",
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
