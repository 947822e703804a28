"""Where the site file lets packets go, worked out from it alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_address

from bench import host_mac

from pointsman.config.model import Forward, Service, Site

__all__ = ["GATEWAY_MAC", "PEER_MAC", "Places", "Served"]

GATEWAY_MAC, PEER_MAC = bytes([2, 0, 0, 9, 0, 1]), bytes([2, 0, 0, 9, 0, 2])
"""Of the default route's next hop, and of the next unit."""

NUMBERS = {"tcp": 6, "udp": 17, "gre": 47, "esp": 50, "ah": 51}


@dataclass
class Served:
    """What a service's packets may have as destination: addresses by family, ports, MACs."""

    forward: Forward
    addresses: dict[int, set[bytes]] = field(default_factory=lambda: {4: set(), 6: set()})
    ports: set[int] = field(default_factory=set)
    """Empty: the port stays."""
    macs: set[bytes] = field(default_factory=set)


class Places:
    """`own`: addresses and ports of the endpoints that a host has of its own."""

    def __init__(self, site: Site) -> None:
        self._exact: dict[tuple[int, int], Served] = {}
        self._ranges: list[tuple[int, int, int, Served]] = []
        self.all: list[Served] = []
        self.own: set[tuple[bytes, int]] = set()
        self.hosts = {a.packed for host in site.hosts for a in host.addresses}
        self.tunnels = {a.packed for unit in site.units for a in unit.tunnel}
        self.nat = {a.packed for unit in site.units for a in unit.nat}
        self.bundle_port = site.tunnel.port
        self.vips = {a.packed for service in site.services for a in service.addresses}
        for service in site.services:
            served = self._served(site, service)
            self.all.append(served)
            for listen in service.listens:
                number = NUMBERS[listen.protocol]
                self._ranges.append((number, listen.first, listen.last, served))

    def _served(self, site: Site, service: Service) -> Served:
        served = Served(service.forward)
        pools = {pool.name: pool for pool in site.pools}
        hosts = {host.name: (index, host) for index, host in enumerate(site.hosts)}
        for name in {service.pool, *(rule.pool for rule in service.rules)}:
            for member in pools[name].members:
                index, host = hosts[member.host]
                served.macs.add(host_mac(index))
                tunnel = service.forward == Forward.TUNNEL
                listening = host.addresses if tunnel or not member.addresses else member.addresses
                for address in listening:
                    served.addresses[address.version].add(ip_address(str(address)).packed)
                if member.port:
                    if not tunnel:
                        served.ports.add(member.port)
                    self.own |= {
                        (a.packed, member.port) for a in member.addresses or host.addresses
                    }
        return served

    def served(self, proto: int, port: int) -> Served | None:
        """The service of a protocol's port (0 of those without); None if there is none."""
        key = (proto, port)
        if key not in self._exact:
            for number, first, last, served in self._ranges:
                if number == proto and first <= port <= last:
                    self._exact[key] = served
                    break
            else:
                return None
        return self._exact[key]
