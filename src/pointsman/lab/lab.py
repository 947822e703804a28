"""A lab: one site as network namespaces `pm-LAB-NODE` of this machine."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Iterable
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any

from pyroute2.netlink.exceptions import NetlinkError

from pointsman.config.load import load_site
from pointsman.config.model import Site
from pointsman.datapath.features import require_objects, require_root
from pointsman.errors import PointsmanError, SystemRefusal
from pointsman.lab import agents, applications, namespaces, network, processes
from pointsman.lab.cable import Cable
from pointsman.lab.jobs import jobs
from pointsman.lab.nginx import Nginx
from pointsman.lab.plan import LAN, ROUTER, Kind, Plan, make_plan
from pointsman.lab.state import LabRecord, LabState, LabStatus, NodeRecord, NodeStatus
from pointsman.lab.switch import SWITCH

__all__ = ["Lab"]

STOP_WITHIN_S = 10.0
"""Agents take their programs and addresses away on SIGTERM."""
CHUNK = 1 << 20
TOOLS = {"ip": "iproute2", "ethtool": "ethtool", "nsenter": "util-linux"}
"""Command, and the Debian package that has it."""


class Lab:
    """Its name is 1 to 10 characters of a-z, 0-9 and -.

    As a context manager it ends, with the block, what this object brought up.

    Agents and popen()ed commands are children of this process; whoever opens a lab that another
    process brought up (`Lab.find`) can do all the same to it.
    """

    def __init__(self, name: str, site_path: Path) -> None:
        self.name = name
        self.site_path = site_path.resolve()
        self.state = LabState(name)
        self._children: list[subprocess.Popen[Any]] = []
        self._brought_up = False

    @classmethod
    def find(cls, name: str) -> Lab:
        """One that is up. Raises PointsmanError if it is not."""
        return cls(name, LabState(name).read_record().site)

    @cached_property
    def site(self) -> Site:
        return load_site(self.site_path)

    @cached_property
    def plan(self) -> Plan:
        return make_plan(self.site)

    @property
    def files_dir(self) -> Path:
        """What every host's nginx serves below /files/."""
        return self.state.files

    def __enter__(self) -> Lab:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        if self._brought_up:
            self.down()

    # ---- up and down

    def up(self, *, agents: bool = True) -> None:
        """All of it or nothing. Raises PointsmanError.

        Without agents no unit balances and no host takes tunnelled packets: clients reach hosts
        at the hosts' own addresses.
        """
        self._check_machine()
        record = self._record()
        self._check_namespaces_free(record)
        self.state.create(record)
        self._brought_up = True
        try:
            self._bring_up(with_agents=agents)
        except NetlinkError as error:
            self.down()
            raise SystemRefusal(f"lab {self.name}: {error}", "see the kernel's log") from error
        except BaseException:
            self.down()
            raise

    def _check_machine(self) -> None:
        require_root()
        needed = dict(TOOLS)
        for job in jobs(self.site):
            needed |= applications.TOOLS[job.application]
        for tool, package in needed.items():
            if shutil.which(tool) is None:
                raise SystemRefusal(f"{tool}: not found", f"apt install {package}")
        require_objects([network.PASS, network.WIRE, SWITCH])

    def _record(self) -> LabRecord:
        nodes = [
            NodeRecord(
                name=node.name,
                kind=node.kind,
                netns=self.netns(node.name),
                device=node.device,
                addresses=[
                    str(address) for address in (*node.addresses, *self.plan.at_ports(node.name))
                ],
            )
            for node in self.plan.nodes
        ]
        own = (*self.plan.lan_addresses, *self.plan.at_ports(ROUTER))
        router = NodeRecord(
            name=ROUTER,
            kind=Kind.ROUTER,
            netns=self.netns(ROUTER),
            device=LAN,
            addresses=[str(address) for address in own],
        )
        return LabRecord(name=self.name, site=self.site_path, nodes=[router, *nodes])

    def _check_namespaces_free(self, record: LabRecord) -> None:
        """Those of a lab that is up are its own: creating its directory will say so."""
        for node in record.nodes:
            if namespaces.exists(node.netns) and not self.state.exists():
                raise PointsmanError(
                    f"network namespace {node.netns}: exists already, and no lab owns it",
                    f"ip netns delete {node.netns}, or take another name for the lab",
                )

    def _bring_up(self, *, with_agents: bool) -> None:
        self.state.key_file.touch(mode=0o600)
        self.state.key_file.write_text(secrets.token_hex(32) + "\n")
        for cable in network.build(self.name, self.plan):
            self._relay(cable)
        applications.start(jobs(self.site), self.state, self._launch)
        if with_agents:
            hosts = [host.name for host in self.site.hosts if host.agent]
            self._start_agents([*hosts, *(unit.name for unit in self.site.units)])

    def _relay(self, cable: Cable) -> None:
        try:
            self._launch(ROUTER, cable.command(), pass_fds=cable.ends)
        finally:
            cable.close()

    def down(self) -> None:
        """Takes away processes, namespaces, directory. Without such a lab, it does nothing."""
        if self.state.exists():
            record = self.state.read_record_if_any()
            names = [node.netns for node in record.nodes] if record else []
            self._stop_all(names)
            for name in names:
                namespaces.delete(name)
            self.state.remove()
        for child in self._children:
            child.wait()
        self._children.clear()
        self._brought_up = False

    def _stop_all(self, names: list[str]) -> None:
        """Whoever is in our namespaces is ours: agents, nginx and its workers, commands."""
        while pids := namespaces.members(names):
            found = (processes.identify(pid) for pid in pids)
            processes.stop((one for one in found if one is not None), STOP_WITHIN_S)

    # ---- commands

    def netns(self, node: str) -> str:
        """The name of its network namespace."""
        return network.netns_name(self.name, node)

    def enter_netns(self, node: str) -> AbstractContextManager[None]:
        """For sockets that this thread opens in the block."""
        return namespaces.enter(self.netns(node))

    def run(
        self,
        node: str,
        argv: list[str],
        *,
        timeout: float = 60.0,
        check: bool = True,
        input: str | None = None,  # noqa: A002 (subprocess.run's own name for it)
    ) -> subprocess.CompletedProcess[str]:
        """Runs a command on a node, as subprocess.run does, its output captured as text."""
        return subprocess.run(
            namespaces.inside(self.netns(node), argv),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=check,
            input=input,
        )

    def popen(self, node: str, argv: list[str], **options: Any) -> subprocess.Popen[Any]:
        """Starts a command on a node; `options` are Popen's. It ends with the lab."""
        argv = namespaces.inside(self.netns(node), argv)
        child: subprocess.Popen[Any] = subprocess.Popen(argv, **options)
        self._children.append(child)
        return child

    def _launch(
        self, node: str, argv: list[str], *, pass_fds: tuple[int, ...] = ()
    ) -> subprocess.Popen[Any]:
        """Something that outlives this process, its words in the node's log."""
        with self.state.log(node).open("a") as log:
            return self.popen(
                node,
                argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Ctrl-C at the terminal that brought the lab up must not end it.
                start_new_session=True,
                pass_fds=pass_fds,
            )

    # ---- hosts' applications

    def nginx(self, host: str) -> Nginx:
        """Of a host that runs one."""
        return Nginx(host, self.state.nginx(host), self.files_dir)

    def make_file(self, name: str, size: int) -> Path:
        """Random bytes that every host then serves as /files/NAME."""
        path = self.files_dir / name
        with path.open("wb") as file:
            for start in range(0, size, CHUNK):
                file.write(os.urandom(min(CHUNK, size - start)))
        return path

    # ---- agents

    def start_agent(self, node: str) -> None:
        """Returns when it is ready. Raises PointsmanError with its last words if it fails."""
        self._start_agents([node])

    def _start_agents(self, nodes: Iterable[str]) -> None:
        """All at once, for they take a moment each."""
        deadline = time.monotonic() + agents.READY_WITHIN_S
        started = [(node, self._launch_agent(node)) for node in nodes]
        for node, agent in started:
            agents.wait_ready(node, agent, self.state, deadline)

    def _launch_agent(self, node: str) -> subprocess.Popen[Any]:
        kind = self.state.read_record().node(node).kind
        if kind not in (Kind.UNIT, Kind.HOST):
            raise PointsmanError(f"node {node}: a {kind} has no agent", "name a unit or a host")
        if any(host.name == node and not host.agent for host in self.site.hosts):
            raise PointsmanError(f"node {node}: has no agent", "take out `agent: false`")
        running = self.state.read_agent(node)
        if running is not None and processes.is_alive(running):
            raise PointsmanError(f"node {node}: its agent runs already", "kill it first")
        argv = agents.command(kind, node, self.site_path, self.state)
        agent = self._launch(node, argv)
        process = processes.identify(agent.pid)
        if process is not None:
            self.state.write_agent(node, process)
        return agent

    def kill_agent(self, node: str, number: signal.Signals = signal.SIGTERM) -> None:
        """Returns when it has ended. Raises PointsmanError if it does not, or none runs."""
        process = self.state.read_agent(node)
        if process is None or not processes.is_alive(process):
            raise PointsmanError(f"node {node}: no agent runs", "start it first")
        processes.kill(process, number)
        for child in self._children:
            if child.pid == process.pid:
                child.wait()

    def status(self, node: str) -> dict[str, Any]:
        """What a node's agent says of itself. Raises PointsmanError if it does not answer."""
        try:
            return agents.ask(self.state.socket(node))
        except (OSError, ValueError) as error:
            raise PointsmanError(
                f"agent {node}: no answer: {error}", f"see {self.state.log(node)}"
            ) from error

    def overview(self) -> LabStatus:
        """Every node, what runs there, and what its agent says."""
        record = self.state.read_record()
        return LabStatus(
            name=record.name,
            site=record.site,
            nodes=[self._node_status(node) for node in record.nodes],
        )

    def _node_status(self, node: NodeRecord) -> NodeStatus:
        process = self.state.read_agent(node.name)
        alive = process is not None and processes.is_alive(process)
        nginx = self.nginx(node.name).pid() if node.kind is Kind.HOST else None
        said = None
        if alive:
            try:
                said = self.status(node.name)
            except PointsmanError:
                # The overview shows it as it is: running, and without an answer.
                said = None
        return NodeStatus(
            **node.model_dump(),
            agent_pid=process.pid if process is not None and alive else None,
            nginx_pid=nginx,
            agent=said,
        )
