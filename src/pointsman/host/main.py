"""`pointsman host`: makes the host own the virtual IPs, quietly, and attaches its program."""

from __future__ import annotations

import asyncio
import os
import secrets
from contextlib import ExitStack
from pathlib import Path

import structlog

from pointsman import __version__
from pointsman.config.model import Address, Host, Site
from pointsman.daemon.rundir import exclusive
from pointsman.daemon.run import run_until_signal
from pointsman.datapath import abi, features
from pointsman.datapath.host import HostDatapath, HostSizes
from pointsman.errors import SiteError
from pointsman.system import sysctl
from pointsman.system.netlink import Netlink
from pointsman.system.residue import Residue
from pointsman.tunnel.keys import tag_key

__all__ = ["run_host"]

log = structlog.get_logger()


def run_host(site: Site, name: str, run_dir: Path, cluster_key: bytes) -> None:
    """Runs until SIGTERM or SIGINT, then leaves the machine as it was.

    Raises PointsmanError, with nothing changed, if it can't begin.
    """
    host = _host_named(site, name)
    features.require_host()
    sysctl.require(
        "net.ipv4.tcp_syncookies", {"1", "2"}, "connections are uploaded as the end of a handshake"
    )
    sysctl.require("net.ipv4.tcp_rfc1337", {"0"}, "TIME_WAIT could not be ended by a RST")
    with exclusive(run_dir, name), ExitStack() as stack:
        netlink = stack.enter_context(Netlink())
        residue = Residue(run_dir / f"{name}.residue.json", netlink)
        recovered = residue.recover()
        if recovered:
            log.warning("leftovers of a former run removed", things=recovered)
        interface = netlink.interface(host.interface)
        loopback = netlink.interface("lo")
        datapath = stack.enter_context(HostDatapath(_sizes(site, host), _config(site, cluster_key)))
        _fill(datapath, site)
        stack.callback(residue.undo)
        datapath.attach(interface.index)
        # Answer no ARP for an address on lo, and ask with none (R-E11).
        for scope in ("all", interface.name.replace(".", "/")):
            residue.set_sysctl(f"net.ipv4.conf.{scope}.arp_ignore", "1")
            residue.set_sysctl(f"net.ipv4.conf.{scope}.arp_announce", "2")
        for vip in _vips(site, host):
            residue.add_address(loopback.index, vip)
        asyncio.run(_run(name, host, datapath, run_dir / f"{name}.sock"))
        datapath.detach()
    log.info("left", node=name)


async def _run(name: str, host: Host, datapath: HostDatapath, socket_path: Path) -> None:
    def report() -> dict[str, object]:
        return {
            "ready": True,
            "role": "host",
            "node": name,
            "version": __version__,
            "pid": os.getpid(),
            "reasons": datapath.reason_counts(),
        }

    log.info("ready", node=name, interface=host.interface)
    await run_until_signal(socket_path, report, [])


def _host_named(site: Site, name: str) -> Host:
    for host in site.hosts:
        if host.name == name:
            return host
    names = ", ".join(host.name for host in site.hosts)
    raise SiteError(f"host {name}: the site file has none of that name", f"name one of: {names}")


def _vips(site: Site, host: Host) -> list[Address]:
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


def _sizes(site: Site, host: Host) -> HostSizes:
    return HostSizes(max_mappings=host.max_mappings, tunnels=len(site.units))


def _config(site: Site, cluster_key: bytes) -> abi.HostConfig:
    return abi.HostConfig(
        tag_key=abi.SiphashKey.unpack(tag_key(cluster_key)),
        nonce=secrets.randbits(64),
        bundle_port=site.tunnel.port.to_bytes(2, "big"),
        reserved=0,
        reserved2=0,
    )


def _fill(datapath: HostDatapath, site: Site) -> None:
    for number, unit in enumerate(site.units):
        for address in unit.tunnel:
            tunnels = datapath.tunnels4 if address.version == 4 else datapath.tunnels6
            tunnels.set(address.packed, number)
