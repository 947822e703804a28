"""The site file's words as the host's program wants them."""

from __future__ import annotations

import secrets
from ipaddress import IPv4Address

from pointsman.config.model import Address, Host, Site
from pointsman.datapath import abi
from pointsman.datapath.addresses import in6_key
from pointsman.datapath.host import HostDatapath, HostSizes
from pointsman.tunnel.keys import tag_key

__all__ = ["fill_tunnels", "host_config", "host_sizes", "host_vips"]


def host_vips(site: Site, host: Host) -> list[Address]:
    """Addresses of the services that may send connections to this host."""
    pools = {
        pool.name for pool in site.pools if any(member.host == host.name for member in pool.members)
    }
    return sorted(
        {
            address
            for service in site.services
            if pools & {service.pool, *(rule.pool for rule in service.rules)}
            for address in service.addresses
        },
        key=lambda address: (address.version, address.packed),
    )


def host_sizes(site: Site, host: Host) -> HostSizes:
    """How large the maps must be."""
    return HostSizes(max_mappings=host.max_mappings, units=len(site.units))


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
