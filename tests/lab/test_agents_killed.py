"""SIGKILL under load: the machine is clean, service returns, the others are unharmed."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from http_clients import VIP, ask, connections_of, url
from lab_names import lab_name
from tcx import tcx_programs

from pointsman.lab.lab import Lab

pytestmark = pytest.mark.lab

VIPS = ("203.0.113.10", "2001:db8:10::10")
PORTS = range(42000, 42024)


@pytest.fixture(scope="module")
def lab(demo_site: Path) -> Iterator[Lab]:
    with Lab(lab_name(), demo_site) as made:
        made.up()
        yield made


@contextmanager
def load(lab: Lab) -> Iterator[subprocess.Popen[str]]:
    """wrk from c2, a connection a request. Over before the test is, or counters still move."""
    argv = ["wrk", "-t1", "-c20", "-d60", "-H", "Connection: close", url(4, "/b")]
    process = lab.popen("c2", argv, stdout=subprocess.PIPE, text=True)
    try:
        until(lambda: sum(connections_of(lab, unit).total() for unit in ("u1", "u2")) > 100)
        yield process
    finally:
        process.terminate()
        process.communicate()


def until(holds: object, seconds: float = 10) -> None:
    """Asks until it holds; the lab's daemons tell their state but don't call back."""
    assert callable(holds)
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "not within the time"
        time.sleep(0.02)


def unit_of_ports(lab: Lab) -> dict[int, str]:
    """Which unit ECMP leads each source port of c1 to."""
    found = {}
    for port in PORTS:
        totals = {unit: plain_connections(lab, unit) for unit in ("u1", "u2")}
        ask(lab, 4, port=81, source_port=port)
        (unit,) = [u for u in ("u1", "u2") if plain_connections(lab, u) > totals[u]]
        found[port] = unit
    return found


def plain_connections(lab: Lab, unit: str) -> int:
    counts = connections_of(lab, unit)
    return sum(count for (service, _), count in counts.items() if service == "plain")


def xdp_programs(lab: Lab, node: str) -> list[str]:
    out = lab.run(node, ["ip", "-o", "link", "show", "dev", "e0"]).stdout
    return re.findall(r"prog/xdp id \d+", out)


def addresses(lab: Lab, node: str, device: str) -> str:
    return lab.run(node, ["ip", "-o", "address", "show", "dev", device]).stdout


def test_a_killed_unit_leaves_no_program_and_comes_back(lab: Lab) -> None:
    units = unit_of_ports(lab)
    others = [port for port, unit in units.items() if unit == "u2"]
    its_own = [port for port, unit in units.items() if unit == "u1"]
    assert others
    assert its_own

    with load(lab) as wrk:
        assert xdp_programs(lab, "u1")
        lab.kill_agent("u1", signal.SIGKILL)
        assert xdp_programs(lab, "u1") == []

        # The other unit's new connections are unharmed, both kinds.
        for port in others:
            assert ask(lab, 4, port=81, source_port=port, timeout=2) in ("h1", "h2", "h3")

        lab.start_agent("u1")
        assert len(xdp_programs(lab, "u1")) == 1
        for port in its_own:
            assert ask(lab, 4, port=81, source_port=port, timeout=2) in ("h1", "h2", "h3")
        assert wrk.poll() is None
        for version in (4, 6):
            assert ask(lab, version, "/a", timeout=2) == "h1"


def test_a_killed_unit_restarted_has_its_addresses_once(lab: Lab) -> None:
    before = addresses(lab, "u1", "e0")
    lab.kill_agent("u1", signal.SIGKILL)
    lab.start_agent("u1")
    assert sorted(addresses(lab, "u1", "e0").split()) == sorted(before.split())


def test_a_killed_host_agent_comes_back_and_live_connections_go_on(lab: Lab) -> None:
    """Its mappings are lost; a notice makes the units teach them again."""
    with load(lab) as wrk:
        with lab.enter_netns("c1"), socket.create_connection((VIP[4], 80), timeout=10) as live:
            host = _outlive_its_host_agent(lab, live)
        assert lab.status(host)["reasons"]["host_taught"] > 0
        assert wrk.poll() is None
        answered = {ask(lab, 4, "/b", timeout=3) for _ in range(8)}
        assert answered == {"h2", "h3"}


def _outlive_its_host_agent(lab: Lab, live: socket.socket) -> str:
    """The host whose agent was killed and started again between two answers."""
    request = b"GET /b HTTP/1.1\r\nHost: x\r\n\r\n"
    live.sendall(request)
    host = live.recv(4096).split(b"\r\n\r\nhost ")[1].split()[0].decode()
    assert tcx_programs(lab, host) == 1

    lab.kill_agent(host, signal.SIGKILL)
    assert tcx_programs(lab, host) == 0
    live.sendall(request)
    lab.start_agent(host)
    assert tcx_programs(lab, host) == 1
    assert live.recv(4096).endswith(b"GET /b\n")
    live.sendall(request)
    assert live.recv(4096).endswith(b"GET /b\n")
    return host


def test_sigterm_leaves_nothing_behind(lab: Lab) -> None:
    arp = [
        f"net.ipv4.conf.{name}.{kind}"
        for name in ("all", "e0")
        for kind in ("arp_ignore", "arp_announce")
    ]
    lab.kill_agent("u1", signal.SIGTERM)
    lab.kill_agent("h1", signal.SIGTERM)
    try:
        assert xdp_programs(lab, "u1") == []
        assert "10.1.1.1" not in addresses(lab, "u1", "e0")
        assert "fd00:1::1:1" not in addresses(lab, "u1", "e0")
        assert "managed" not in lab.run("u1", ["ip", "neigh"]).stdout
        assert tcx_programs(lab, "h1") == 0
        assert not [vip for vip in VIPS if vip in addresses(lab, "h1", "lo")]
        values = lab.run("h1", ["sysctl", "-n", *arp]).stdout.split()
        assert values == ["0"] * 4
        assert "qdisc clsact" not in lab.run("h1", ["tc", "qdisc", "show"]).stdout
    finally:
        lab.start_agent("u1")
        lab.start_agent("h1")
    assert ask(lab, 4, "/a") == "h1"


def test_a_sigkills_leftovers_are_removed_by_the_next_start(lab: Lab) -> None:
    lab.kill_agent("h1", signal.SIGKILL)
    assert all(vip in addresses(lab, "h1", "lo") for vip in VIPS)
    lab.start_agent("h1")
    lab.kill_agent("h1", signal.SIGTERM)
    try:
        assert not [vip for vip in VIPS if vip in addresses(lab, "h1", "lo")]
        values = lab.run("h1", ["sysctl", "-n", "net.ipv4.conf.all.arp_ignore"]).stdout.split()
        assert values == ["0"]
    finally:
        lab.start_agent("h1")


def test_a_second_agent_for_the_same_node_is_refused(lab: Lab) -> None:
    argv = [
        *(
            sys.executable,
            "-m",
            "pointsman.cli.main",
            "unit",
            "--site",
            str(lab.site_path),
            "--node",
            "u1",
        ),
        *("--run-dir", str(lab.state.socket("u1").parent), "--key-file", str(lab.state.key_file)),
    ]
    done = lab.run("u1", argv, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "node u1: another process runs it" in done.stderr
    assert lab.status("u1")["ready"] is True
