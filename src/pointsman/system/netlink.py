"""Interfaces, addresses, routes and neighbours of our network namespace, over rtnetlink."""

from __future__ import annotations

import errno
import socket
from ipaddress import ip_address
from types import TracebackType
from typing import Self

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from pointsman.config.model import Address
from pointsman.errors import SystemRefusal
from pointsman.system.network import Interface, Neighbours, Route

__all__ = ["Netlink", "open_watch"]

NUD_PERMANENT = 0x80
NUD_VALID = 0x02 | 0x04 | 0x08 | 0x10 | 0x40 | NUD_PERMANENT
"""REACHABLE, STALE, DELAY, PROBE, NOARP, PERMANENT: states with a link-layer address to use."""
NTF_EXT_MANAGED = 1
"""The kernel keeps resolving the neighbour by itself (Linux >= 5.16)."""
IFA_F_NODAD = 0x02
GROUPS = 0x1 | 0x4 | 0x40 | 0x400
"""RTMGRP_LINK, NEIGH, IPV4_ROUTE, IPV6_ROUTE."""


def _family(address: Address) -> int:
    return socket.AF_INET if address.version == 4 else socket.AF_INET6


class Netlink:
    """A request socket in the network namespace of the thread that made it."""

    def __init__(self) -> None:
        self._ipr = IPRoute()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._ipr.close()

    def interface(self, name: str) -> Interface:
        """Raises SystemRefusal if there is none of that name."""
        links = {link.get_attr("IFLA_IFNAME"): link for link in self._ipr.get_links()}
        link = links.get(name)
        if link is None:
            present = ", ".join(sorted(links)) or "none"
            raise SystemRefusal(
                f"interface {name}: there is none of that name",
                f"name one of those present ({present}) in the site file",
            )
        mac = link.get_attr("IFLA_ADDRESS") or "00:00:00:00:00:00"
        return Interface(
            name, link["index"], bytes.fromhex(mac.replace(":", "")), link.get_attr("IFLA_MTU")
        )

    def macs(self) -> dict[int, bytes]:
        """Interface index to 6-byte MAC, of the interfaces that are up."""
        return {
            link["index"]: bytes.fromhex(mac.replace(":", ""))
            for link in self._ipr.get_links()
            if (mac := link.get_attr("IFLA_ADDRESS")) and link["flags"] & 1 and len(mac) == 17
        }

    def carriers(self) -> dict[int, int]:
        """VLAN interface to the interface whose frames bear its tags."""
        below = {
            link["index"]: link.get_attr("IFLA_LINK")
            for link in self._ipr.get_links()
            if (info := link.get_attr("IFLA_LINKINFO"))
            and info.get_attr("IFLA_INFO_KIND") == "vlan"
        }
        return {index: below.get(lower, lower) for index, lower in below.items()}

    def add_address(self, ifindex: int, address: Address) -> bool:
        """Adds it as a host address; False if the interface has it already.

        Raises SystemRefusal if the interface takes none of its family.
        """
        try:
            self._ipr.addr(
                "add",
                index=ifindex,
                address=str(address),
                prefixlen=address.max_prefixlen,
                flags=IFA_F_NODAD if address.version == 6 else 0,
            )
        except NetlinkError as error:
            if error.code == errno.EEXIST:
                return False
            if error.code == errno.EACCES and address.version == 6:
                name = socket.if_indextoname(ifindex)
                raise SystemRefusal(
                    f"interface {name}: takes no IPv6 address, so not {address}",
                    f"sysctl -w net.ipv6.conf.{name.replace('.', '/')}.disable_ipv6=0",
                ) from None
            raise
        return True

    def remove_address(self, ifindex: int, address: Address) -> None:
        """It may be gone already."""
        try:
            self._ipr.addr(
                "del", index=ifindex, address=str(address), prefixlen=address.max_prefixlen
            )
        except NetlinkError as error:
            if error.code not in (errno.EADDRNOTAVAIL, errno.ENODEV):
                raise

    def route_to(self, address: Address) -> Route | None:
        """The kernel's present choice; None if it has no route."""
        try:
            found = self._ipr.route("get", family=_family(address), dst=str(address))
        except NetlinkError as error:
            if error.code in (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EINVAL, errno.EACCES):
                return None
            raise
        if not found or found[0].get_attr("RTA_OIF") is None:
            return None
        gateway = found[0].get_attr("RTA_GATEWAY")
        return Route(found[0].get_attr("RTA_OIF"), ip_address(gateway) if gateway else address)

    def default_route(self, version: int) -> Route | None:
        """That of the main table which the kernel likes best, the first of several next hops; None
        if no neighbour of ours is one."""
        family = socket.AF_INET if version == 4 else socket.AF_INET6
        found = self._ipr.get_default_routes(family=family)
        for route in sorted(found, key=lambda route: route.get_attr("RTA_PRIORITY") or 0):
            for hop in [route, *(route.get_attr("RTA_MULTIPATH") or [])]:
                gateway = hop.get_attr("RTA_GATEWAY")
                if gateway:
                    ifindex = route.get_attr("RTA_OIF") or hop["oif"]
                    return Route(ifindex, ip_address(gateway))
        return None

    def neighbours(self) -> Neighbours:
        """Those whose link-layer address can be used now."""
        return {
            (entry["ifindex"], ip_address(entry.get_attr("NDA_DST"))): bytes.fromhex(
                mac.replace(":", "")
            )
            for entry in self._ipr.get_neighbours()
            if entry["state"] & NUD_VALID
            and entry.get_attr("NDA_DST")
            and (mac := entry.get_attr("NDA_LLADDR"))
            and len(mac) == 17
        }

    def manage_neighbour(self, route: Route) -> None:
        """Has the kernel resolve it now and keep it resolved; static entries stay as they are."""
        address = route.neighbour
        for entry in self._ipr.get_neighbours(ifindex=route.ifindex, dst=str(address)):
            if entry["state"] & NUD_PERMANENT:
                return
        self._ipr.neigh(
            "replace",
            family=_family(address),
            dst=str(address),
            ifindex=route.ifindex,
            state=0,
            NDA_FLAGS_EXT=NTF_EXT_MANAGED,
        )

    def release_neighbour(self, route: Route) -> None:
        """Undoes manage_neighbour; it may be gone already."""
        address = route.neighbour
        for entry in self._ipr.get_neighbours(ifindex=route.ifindex, dst=str(address)):
            if entry["state"] & NUD_PERMANENT:
                return
        try:
            self._ipr.neigh("del", family=_family(address), dst=str(address), ifindex=route.ifindex)
        except NetlinkError as error:
            if error.code not in (errno.ENOENT, errno.ENODEV):
                raise


def open_watch() -> socket.socket:
    """A non-blocking socket that becomes readable when links, routes or neighbours change.

    What it carries is not worth parsing: whoever reads it asks for the present state instead.
    """
    watch = socket.socket(
        socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE
    )
    watch.bind((0, GROUPS))
    return watch
