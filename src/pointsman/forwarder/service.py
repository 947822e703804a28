"""The forwarder's Python half: keeps next hops true, and reads the counters."""

from __future__ import annotations

from ipaddress import IPv4Address

import structlog

from pointsman.config.model import Site, Unit
from pointsman.datapath.abi import Host4, Host6, HostFlag
from pointsman.datapath.addresses import in6_key
from pointsman.datapath.unit import UnitDatapath
from pointsman.forwarder.next_hops import NextHop, Way, next_hops, ways
from pointsman.system.netlink import Netlink
from pointsman.system.network import Route
from pointsman.system.residue import Residue

__all__ = ["Forwarder"]

log = structlog.get_logger()


class Forwarder:
    """Owner of the host maps of one unit."""

    def __init__(
        self, datapath: UnitDatapath, netlink: Netlink, residue: Residue, site: Site, unit: Unit
    ) -> None:
        self._datapath = datapath
        self._netlink = netlink
        self._residue = residue
        self._site = site
        self._tunnel = {address.version: address for address in unit.tunnel}
        self._hops: dict[Way, NextHop | None] = {}
        self._routes: dict[Way, Route | None] = {}

    def fill(self) -> None:
        """Writes which host is whose number. Before the program is attached."""
        for index, address in ways(self._site.hosts):
            if isinstance(address, IPv4Address):
                self._datapath.host_numbers4.set(address.packed, index)
            else:
                self._datapath.host_numbers6.set(in6_key(address), index)

    def refresh(self) -> None:
        """Asks the kernel for routes and neighbours, and tells the program what has changed."""
        self._manage({way: self._netlink.route_to(way[1]) for way in ways(self._site.hosts)})
        hops = next_hops(self._routes, self._netlink.neighbours(), self._netlink.macs())
        for way, hop in hops.items():
            if way not in self._hops or hop != self._hops[way]:
                self._write(way, hop)
        self._hops = hops

    def _manage(self, routes: dict[Way, Route | None]) -> None:
        before = {route for route in self._routes.values() if route}
        after = {route for route in routes.values() if route}
        for route in after - before:
            self._residue.manage_neighbour(route)
        for route in before - after:
            self._residue.release_neighbour(route)
        self._routes = routes

    def _write(self, way: Way, hop: NextHop | None) -> None:
        index, address = way
        host = self._site.hosts[index]
        tunnel = self._tunnel.get(address.version)
        if tunnel is None:
            return
        # Without a next hop, the last one stays for the connections that the host has.
        known = hop or self._hops.get(way) or NextHop(0, bytes(6), bytes(6))
        fields = (
            address.packed,
            tunnel.packed,
            known.dmac,
            known.smac,
            known.ifindex,
            HostFlag.USABLE if hop else 0,
        )
        if address.version == 4:
            self._datapath.hosts4.set(index, Host4(*fields))
        else:
            self._datapath.hosts6.set(index, Host6(*fields))
        log.info(
            "host reachable" if hop else "host unreachable", host=host.name, address=str(address)
        )

    def all_usable(self) -> bool:
        """Whether every host has a next hop, by every address."""
        return bool(self._hops) and all(self._hops.values())

    def hosts_report(self) -> dict[str, object]:
        """Host to what is known of its addresses."""
        return {
            host.name: {
                str(address): _hop_report(self._hops.get((index, address)))
                for address in host.addresses
            }
            for index, host in enumerate(self._site.hosts)
        }

    def traffic_report(self) -> dict[str, dict[str, dict[str, int]]]:
        """Service and host to packets, bytes and connections, client to host, since the start."""
        hosts = self._site.hosts
        totals = self._datapath.traffic.totals()
        return {
            service.name: {
                host.name: {
                    "packets": total.packets,
                    "bytes": total.bytes,
                    "connections": total.connections,
                }
                for host, total in zip(
                    hosts, totals[number * len(hosts) : (number + 1) * len(hosts)], strict=True
                )
            }
            for number, service in enumerate(self._site.services)
        }


def _hop_report(hop: NextHop | None) -> dict[str, object]:
    if hop is None:
        return {"usable": False}
    return {"usable": True, "mac": hop.dmac.hex(":"), "ifindex": hop.ifindex}
