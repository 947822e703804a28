"""The site file's words as the host's program wants them."""

from __future__ import annotations

import secrets
from ipaddress import IPv4Address

from pointsman.config.endpoints import Endpoint, endpoints, own_place, own_places
from pointsman.config.model import Address, Forward, Host, Site
from pointsman.datapath import abi
from pointsman.datapath.addresses import in6_key, pack_port
from pointsman.datapath.host import HostDatapath, HostSizes
from pointsman.tunnel.keys import tag_key

__all__ = ["fill_endpoints", "fill_tunnels", "host_config", "host_sizes", "host_vips"]


def host_vips(site: Site, host: Host) -> list[Address]:
    """Virtual IPs that packets for this host's applications still bear when its stack gets them."""
    return sorted(
        {
            address
            for endpoint in endpoints(site)
            if site.hosts[endpoint.host] == host
            for address in endpoint.service.addresses
            if _bears_vip(endpoint, host, address.version)
        },
        key=lambda address: (address.version, address.packed),
    )


def _bears_vip(endpoint: Endpoint, host: Host, version: int) -> bool:
    forward = endpoint.service.forward
    if forward is Forward.TUNNEL:
        return own_place(endpoint.member, host, version) is None
    return forward is Forward.L2


def host_sizes(site: Site, host: Host) -> HostSizes:
    """How large the maps must be."""
    return HostSizes(
        mappings={v: host.max_mappings if v in site.versions else 1 for v in (4, 6)},
        max_fragments=host.max_fragments,
        units=len(site.units),
        endpoints=len(own_places(site, host.name)),
    )


def host_config(site: Site, cluster_key: bytes) -> abi.HostConfig:
    """What the program is told before it is loaded; draws a new nonce."""
    return abi.HostConfig(
        tag_key=abi.SiphashKey.unpack(tag_key(cluster_key)),
        nonce=secrets.token_bytes(8),
        bundle_port=site.tunnel.port.to_bytes(2, "big"),
        # A tick more than asked for: the present one has only begun.
        datagram_life=(site.timeouts.datagram_s * 10**9 >> abi.TICK_SHIFT) + 1,
    )


def fill_tunnels(datapath: HostDatapath, site: Site) -> None:
    """Writes whose packets are believed. Before the program is attached."""
    for number, unit in enumerate(site.units):
        for address in unit.tunnel:
            if isinstance(address, IPv4Address):
                datapath.tunnels4.set(address.packed, number)
            else:
                datapath.tunnels6.set(in6_key(address), number)


def fill_endpoints(datapath: HostDatapath, site: Site, host: Host) -> None:
    """Writes where applications listen that have a place of their own."""
    for number, (address, port) in own_places(site, host.name).items():
        if isinstance(address, IPv4Address):
            own4 = abi.OwnEndpoint4(address.packed, pack_port(port))
            datapath.endpoints4.set(number, own4)
        else:
            own6 = abi.OwnEndpoint6(address.packed, pack_port(port))
            datapath.endpoints6.set(number, own6)
