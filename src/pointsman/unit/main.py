"""`pointsman unit`: loads the programs, fills their maps, attaches, and keeps them true."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import structlog

from pointsman import __version__
from pointsman.classifier.secrets import next_epoch_s
from pointsman.classifier.service import Classifier, compiled_services
from pointsman.config.model import Site, Unit, XdpMode
from pointsman.daemon.report import reason_report
from pointsman.daemon.run import run_until_signal
from pointsman.daemon.rundir import exclusive
from pointsman.datapath import features
from pointsman.datapath.links import require_no_xdp
from pointsman.datapath.reasons import Where
from pointsman.datapath.unit import UnitDatapath
from pointsman.errors import SiteError
from pointsman.forwarder.service import Forwarder
from pointsman.system.netlink import Netlink, open_watch
from pointsman.system.residue import Residue
from pointsman.unit.recounts import keep_recounting
from pointsman.unit.settings import client_mss, unit_config, unit_sizes

__all__ = ["UnitKeys", "run_unit"]

log = structlog.get_logger()

REFRESH_LIMIT_S = 0.05
"""Least time between two looks at the neighbours, however many events there are."""
REFRESH_ANYWAY_S = 10.0
RESOLVE_S = 1.0
"""How long a start waits for hosts to answer, before it goes on with those that did."""


@dataclass(frozen=True, slots=True)
class UnitKeys:
    """The cluster's, and by service and configuration those of QUIC's connection ids."""

    cluster: bytes
    quic: Mapping[tuple[str, int], bytes]


def run_unit(site: Site, name: str, run_dir: Path, keys: UnitKeys) -> None:
    """Runs as root until SIGTERM or SIGINT, then leaves the machine as it was.

    Raises PointsmanError, with nothing changed, if it can't begin.
    """
    unit = _unit_named(site, name)
    features.require_libbpf()
    features.require_objects(["unit.bpf.o"])
    features.require_btf()
    with exclusive(run_dir, name), ExitStack() as stack:
        netlink = stack.enter_context(Netlink())
        residue = Residue(run_dir / f"{name}.residue.json", netlink)
        recovered = residue.recover()
        if recovered:
            log.warning("leftovers of a former run removed", things=recovered)
        interface = netlink.interface(unit.interface)
        require_no_xdp(interface.index)
        compiled = compiled_services(site)
        datapath = stack.enter_context(
            UnitDatapath(unit_sizes(site, unit, compiled), unit_config(site, unit, keys.cluster))
        )
        stack.callback(residue.undo)
        daemon = _Daemon(site, unit, datapath, netlink, residue, keys)
        daemon.classifier.fill(compiled, time.time())
        daemon.forwarder.fill()
        for address in (*unit.tunnel, *unit.nat):
            residue.add_address(interface.index, address)
        asyncio.run(daemon.run(interface.index, run_dir / f"{name}.sock"))
    log.info("left", node=name)


def _unit_named(site: Site, name: str) -> Unit:
    for unit in site.units:
        if unit.name == name:
            return unit
    names = ", ".join(unit.name for unit in site.units)
    raise SiteError(f"unit {name}: the site file has none of that name", f"name one of: {names}")


class _Daemon:
    def __init__(
        self,
        site: Site,
        unit: Unit,
        datapath: UnitDatapath,
        netlink: Netlink,
        residue: Residue,
        keys: UnitKeys,
    ) -> None:
        self._unit = unit
        self._datapath = datapath
        self.forwarder = Forwarder(datapath, netlink, residue, site, unit)
        self.classifier = Classifier(datapath, site, keys.cluster, client_mss(site), keys.quic)
        self._watch = open_watch()
        self._changed = asyncio.Event()

    async def run(self, ifindex: int, socket_path: Path) -> None:
        asyncio.get_running_loop().add_reader(self._watch, self._drain_watch)
        await self._resolve_hosts()
        self._datapath.attach(ifindex, generic=self._unit.xdp is XdpMode.GENERIC)
        log.info("ready", node=self._unit.name, interface=self._unit.interface)
        try:
            await run_until_signal(
                socket_path,
                self.report,
                [
                    self._keep_next_hops(),
                    self._rotate_secrets(),
                    keep_recounting(self.classifier.live),
                ],
            )
        finally:
            asyncio.get_running_loop().remove_reader(self._watch)
            self._watch.close()
            self._datapath.detach(ifindex)

    def report(self) -> dict[str, object]:
        """The status document (docs/operations/status.md)."""
        return {
            "ready": True,
            "role": "unit",
            "node": self._unit.name,
            "version": __version__,
            "pid": os.getpid(),
            "hosts": self.forwarder.hosts_report(),
            "peers": self.forwarder.peers_report(),
            "traffic": self.forwarder.traffic_report(),
            "live": self.classifier.live_report(),
            "undecided": self.classifier.undecided_report(),
            "evicted": self._datapath.evicted.total(0),
            "reasons": reason_report(self._datapath, Where.UNIT),
        }

    def _drain_watch(self) -> None:
        try:
            while self._watch.recv(65536):
                pass
        except BlockingIOError:
            pass
        except OSError as error:  # ENOBUFS: events were lost, and all of them mean the same
            log.info("netlink events lost", error=error.strerror)
        self._changed.set()

    async def _changed_or(self, timeout_s: float) -> None:
        try:
            await asyncio.wait_for(self._changed.wait(), timeout_s)
        except TimeoutError:
            return
        self._changed.clear()

    async def _refresh(self) -> None:
        # pyroute2 runs a loop of its own, so it needs a thread without one.
        await asyncio.to_thread(self.forwarder.refresh)

    async def _resolve_hosts(self) -> None:
        deadline = time.monotonic() + RESOLVE_S
        await self._refresh()
        while not self.forwarder.all_usable() and time.monotonic() < deadline:
            await self._changed_or(deadline - time.monotonic())
            await self._refresh()

    async def _keep_next_hops(self) -> None:
        while True:
            await self._changed_or(REFRESH_ANYWAY_S)
            await self._refresh()
            await asyncio.sleep(REFRESH_LIMIT_S)

    async def _rotate_secrets(self) -> None:
        while True:
            await asyncio.sleep(next_epoch_s(time.time()))
            self.classifier.rotate(time.time())
