"""The forwarder's Python half: keeps next hops true, and reads the counters."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from ipaddress import IPv4Address

import structlog

from pointsman.config.endpoints import Endpoint, destination, endpoint_id, endpoints
from pointsman.config.model import Address, Forward, Site, Unit
from pointsman.datapath.abi import Endpoint4, Endpoint6, EndpointFlag, ForwardMode, Peer
from pointsman.datapath.addresses import in6_key
from pointsman.datapath.unit import UnitDatapath
from pointsman.forwarder.next_hops import NextHop, Way, next_hops, ways
from pointsman.forwarder.peers import ANYWHERE, next_unit, successors
from pointsman.system.netlink import Netlink
from pointsman.system.network import Route
from pointsman.system.residue import Residue

__all__ = ["EndpointTable", "Forwarder", "PeerTable"]

log = structlog.get_logger()

MODES = {
    Forward.TUNNEL: ForwardMode.TUNNEL,
    Forward.HALF_NAT: ForwardMode.HALF_NAT,
    Forward.NAT: ForwardMode.NAT,
    Forward.L2: ForwardMode.L2,
}


class EndpointTable:
    """Owner of the endpoint maps of one unit."""

    def __init__(self, datapath: UnitDatapath, site: Site, unit: Unit) -> None:
        self._datapath = datapath
        self._hosts = site.hosts
        self._endpoints: dict[int, list[Endpoint]] = defaultdict(list)
        for endpoint in endpoints(site):
            self._endpoints[endpoint.host].append(endpoint)
        self._sources: dict[tuple[Forward, int], bytes] = {
            (Forward.TUNNEL, a.version): a.packed for a in unit.tunnel
        }
        self._sources |= {(Forward.NAT, a.version): a.packed for a in unit.nat}

    def write(self, way: Way, hop: NextHop, *, usable: bool) -> None:
        """Tells the program the next hop of all endpoints of a host."""
        index, address = way
        for endpoint in self._endpoints[index]:
            self._write_one(endpoint, address.version, hop, usable=usable)

    def _write_one(self, endpoint: Endpoint, version: int, hop: NextHop, *, usable: bool) -> None:
        host = self._hosts[endpoint.host]
        target = destination(endpoint, host, version)
        if target is None:
            return
        mode = endpoint.service.forward
        fields = (
            target.packed,
            self._sources.get((mode, version), bytes(len(target.packed))),
            hop.dmac,
            hop.smac,
            hop.ifindex,
            endpoint.host,
            endpoint_id(endpoint.member, host, version) if mode is Forward.TUNNEL else bytes(4),
            (endpoint.member.port or 0).to_bytes(2, "big"),
            MODES[mode],
            EndpointFlag.USABLE if usable else 0,
        )
        if version == 4:
            self._datapath.endpoints4.set(endpoint.number, Endpoint4(*fields))
        else:
            self._datapath.endpoints6.set(endpoint.number, Endpoint6(*fields))


class PeerTable:
    """Owner of the peer maps of one unit: the next unit, and the default route."""

    def __init__(self, datapath: UnitDatapath, site: Site, unit: Unit) -> None:
        self._datapath = datapath
        self._successors = {
            address.version: list(successors(site, unit, address.version))
            for address in unit.tunnel
        }

    def routes(self, netlink: Netlink) -> dict[Address, Route | None]:
        """The kernel's present routes to all of them."""
        found: dict[Address, Route | None] = {}
        for version, others in self._successors.items():
            found[ANYWHERE[version]] = netlink.default_route(version)
            found |= {address: netlink.route_to(address) for address in others}
        return found

    def write(self, hops: Mapping[Address, NextHop | None]) -> None:
        """Tells the program whom it can reach."""
        for version, others in self._successors.items():
            away = ANYWHERE[version]
            self._write_one(Peer.CLIENTS, away, hops.get(away))
            unit = next_unit(iter(others), hops)
            self._write_one(Peer.UNIT, *(unit or (away, None)))

    def report(self, hops: Mapping[Address, NextHop | None]) -> dict[str, object]:
        """Family to whether clients can be reached, and the unit that is handed errors to."""
        found: dict[str, object] = {}
        for version, others in self._successors.items():
            unit = next_unit(iter(others), hops)
            found[f"ipv{version}"] = {
                "clients": hops.get(ANYWHERE[version]) is not None,
                "unit": str(unit[0]) if unit else None,
            }
        return found

    def _write_one(self, peer: Peer, address: Address, hop: NextHop | None) -> None:
        known = hop or NextHop(0, bytes(6), bytes(6))
        nothing = bytes(len(address.packed))
        fields = (address.packed, nothing, known.dmac, known.smac, known.ifindex)
        flags = EndpointFlag.USABLE if hop else 0
        rest = (0, bytes(4), bytes(2), ForwardMode.TUNNEL, flags)
        if address.version == 4:
            self._datapath.peers4.set(peer, Endpoint4(*fields, *rest))
        else:
            self._datapath.peers6.set(peer, Endpoint6(*fields, *rest))


class Forwarder:
    """Owner of the host maps of one unit."""

    def __init__(
        self, datapath: UnitDatapath, netlink: Netlink, residue: Residue, site: Site, unit: Unit
    ) -> None:
        self._datapath = datapath
        self._netlink = netlink
        self._residue = residue
        self._site = site
        self._table = EndpointTable(datapath, site, unit)
        self._peers = PeerTable(datapath, site, unit)
        self._hops: dict[Way, NextHop | None] = {}
        self._peer_hops: dict[Address, NextHop | None] = {}
        self._managed: set[Route] = set()

    def fill(self) -> None:
        """Writes which host is whose number. Before the program is attached."""
        for index, address in ways(self._site.hosts):
            if isinstance(address, IPv4Address):
                self._datapath.host_numbers4.set(address.packed, index)
            else:
                self._datapath.host_numbers6.set(in6_key(address), index)

    def refresh(self) -> None:
        """Asks the kernel for routes and neighbours, and tells the program what has changed."""
        routes = {way: self._netlink.route_to(way[1]) for way in ways(self._site.hosts)}
        peers = self._peers.routes(self._netlink)
        self._manage({route for route in (*routes.values(), *peers.values()) if route})
        network = self._netlink.neighbours(), self._netlink.macs(), self._netlink.carriers()
        hops = next_hops(routes, *network)
        for way, hop in hops.items():
            if way not in self._hops or hop != self._hops[way]:
                self._write(way, hop)
        self._hops = hops
        peer_hops = next_hops(peers, *network)
        if peer_hops != self._peer_hops:
            self._peers.write(peer_hops)
        self._peer_hops = peer_hops

    def _manage(self, routes: set[Route]) -> None:
        for route in routes - self._managed:
            self._residue.manage_neighbour(route)
        for route in self._managed - routes:
            self._residue.release_neighbour(route)
        self._managed = routes

    def _write(self, way: Way, hop: NextHop | None) -> None:
        index, address = way
        # Without a next hop, the last one stays for the connections that the host has.
        known = hop or self._hops.get(way) or NextHop(0, bytes(6), bytes(6))
        self._table.write(way, known, usable=hop is not None)
        name = self._site.hosts[index].name
        log.info("host reachable" if hop else "host unreachable", host=name, address=str(address))

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

    def peers_report(self) -> dict[str, object]:
        """Where ICMP errors can be sent that are not for hosts."""
        return self._peers.report(self._peer_hops)

    def traffic_report(self) -> dict[str, dict[str, dict[str, int]]]:
        """Service and host to packets, bytes and connections, client to host, since the start."""
        report: dict[str, dict[str, Counter[str]]] = {
            service.name: {} for service in self._site.services
        }
        totals = self._datapath.traffic.totals()
        for endpoint in endpoints(self._site):
            total = totals[endpoint.number]
            host = self._site.hosts[endpoint.host].name
            report[endpoint.service.name].setdefault(host, Counter()).update(
                packets=total.packets, bytes=total.bytes, connections=total.connections
            )
        return {
            service: {host: dict(counts) for host, counts in hosts.items()}
            for service, hosts in report.items()
        }


def _hop_report(hop: NextHop | None) -> dict[str, object]:
    if hop is None:
        return {"usable": False}
    return {"usable": True, "mac": hop.dmac.hex(":"), "ifindex": hop.ifindex}
