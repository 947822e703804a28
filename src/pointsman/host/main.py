"""`pointsman host`: makes the host own the virtual IPs, quietly, and attaches its program."""

from __future__ import annotations

import asyncio
import os
from contextlib import ExitStack
from pathlib import Path

import structlog

from pointsman import __version__
from pointsman.config.endpoints import own_places
from pointsman.config.model import Host, Site
from pointsman.daemon.report import reason_report
from pointsman.daemon.run import run_until_signal
from pointsman.daemon.rundir import exclusive
from pointsman.datapath import features
from pointsman.datapath.host import HostDatapath
from pointsman.datapath.reasons import Where
from pointsman.errors import SiteError
from pointsman.host.settings import fill_endpoints, fill_tunnels, host_config, host_sizes, host_vips
from pointsman.host.taps import harmful_taps
from pointsman.system import sysctl
from pointsman.system.netlink import Netlink
from pointsman.system.residue import Residue

__all__ = ["run_host"]

log = structlog.get_logger()

TAPS_EVERY_S = 10.0


def run_host(site: Site, name: str, run_dir: Path, cluster_key: bytes) -> None:
    """Runs as root until SIGTERM or SIGINT, then leaves the machine as it was.

    Raises PointsmanError, with nothing changed, if it can't begin.
    """
    host = _host_named(site, name)
    features.require_libbpf()
    features.require_objects(["host.bpf.o"])
    features.require_btf()
    features.require_kfunc("bpf_sk_assign_tcp_reqsk")
    features.require_syncookies()
    sysctl.require("net.ipv4.tcp_rfc1337", {"0"}, "TIME_WAIT could not be ended by a RST")
    with exclusive(run_dir, name), ExitStack() as stack:
        netlink = stack.enter_context(Netlink())
        residue = Residue(run_dir / f"{name}.residue.json", netlink)
        recovered = residue.recover()
        if recovered:
            log.warning("leftovers of a former run removed", things=recovered)
        interface = netlink.interface(host.interface)
        loopback = netlink.interface("lo")
        datapath = stack.enter_context(
            HostDatapath(host_sizes(site, host), host_config(site, cluster_key))
        )
        fill_tunnels(datapath, site)
        fill_endpoints(datapath, site, host)
        stack.callback(residue.undo)
        datapath.attach(interface.index, both_ways=bool(own_places(site, name)))
        # Answer no ARP for an address on lo, and ask with none (R-E11).
        for scope in ("all", interface.name.replace(".", "/")):
            residue.set_sysctl(f"net.ipv4.conf.{scope}.arp_ignore", "1")
            residue.set_sysctl(f"net.ipv4.conf.{scope}.arp_announce", "2")
        for vip in host_vips(site, host):
            residue.add_address(loopback.index, vip)
        asyncio.run(_run(name, host, datapath, run_dir / f"{name}.sock"))
        datapath.detach(interface.index)
    log.info("left", node=name)


async def _run(name: str, host: Host, datapath: HostDatapath, socket_path: Path) -> None:
    def report() -> dict[str, object]:
        return {
            "ready": True,
            "role": "host",
            "node": name,
            "version": __version__,
            "pid": os.getpid(),
            "reasons": reason_report(datapath, Where.HOST),
            "harmful_taps": harmful_taps(),
        }

    log.info("ready", node=name, interface=host.interface)
    await run_until_signal(socket_path, report, [_warn_of_taps()])


async def _warn_of_taps() -> None:
    known: list[str] = []
    while True:
        present = harmful_taps()
        for tap in present:
            if tap not in known:
                log.warning("uploads will be reset while this is open", socket=tap)
        known = present
        await asyncio.sleep(TAPS_EVERY_S)


def _host_named(site: Site, name: str) -> Host:
    for host in site.hosts:
        if host.name == name:
            return host
    names = ", ".join(host.name for host in site.hosts)
    raise SiteError(f"host {name}: the site file has none of that name", f"name one of: {names}")
