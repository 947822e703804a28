"""What a daemon can't begin with: one line with the mend, status 2, and the node as it was."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import build_bpf
import pytest
from nobody import AS_NOBODY
from site_edits import SITE
from tcx import tcx_programs

from pointsman.datapath.features import OBJECTS
from pointsman.lab.lab import Lab

pytestmark = pytest.mark.lab

POINTSMAN = [sys.executable, "-m", "pointsman.cli.main"]
NODES = {"unit": "u1", "host": "h1"}
WRONG_SITES = {
    "wrong key": (
        ("inspect: http", "inspct: http"),
        ":23: services[0].inspct: unknown key inspct; did you mean inspect?",
    ),
    "VIP and port twice": (
        ("port: 81", "port: 80"),
        (
            ":29: services[1].addresses: 203.0.113.10 tcp/80 is service web already; "
            "give one of them another address or port (and 1 more)"
        ),
    ),
    "unknown pool": (
        ("pool: b}", "pool: bb}"),
        ":26: services[0].rules[1].pool: no pool is named bb; name one of: a, all, b",
    ),
    "host without address": (
        (
            '{name: h1, interface: e0, addresses: [10.1.0.11, "fd00:1::11"]}',
            "{name: h1, interface: e0}",
        ),
        ":10: hosts[0]: key addresses is missing; add it",
    ),
    "host without addresses": (
        ('addresses: [10.1.0.11, "fd00:1::11"]}', "addresses: []}"),
        (":10: hosts[0].addresses: the value should have at least 1 item, not 0; change it"),
    ),
}


@dataclass
class Bench:
    """A node of a lab without agents, and what a daemon needs to begin there."""

    lab: Lab
    run_dir: Path
    site: Path
    key: Path

    def command(self, kind: str, node: str | None = None) -> list[str]:
        return [
            *POINTSMAN,
            *(kind, "--site", str(self.site), "--node", node or NODES[kind]),
            *("--run-dir", str(self.run_dir), "--key-file", str(self.key)),
        ]

    def refusal(self, kind: str, command: list[str] | None = None) -> str:
        """The one line that a start on the node ends with; the node is as it was before."""
        before = self.traces(kind)
        done = self.lab.run(NODES[kind], command or self.command(kind), check=False)
        assert done.returncode == 2, done.stderr
        assert self.traces(kind) == before
        return one_line(done)

    def traces(self, kind: str) -> dict[str, object]:
        """All that a daemon changes of a machine, as it is now."""
        node = NODES[kind]
        show = ["ip", "-o", "address", "show"]
        names = [
            f"net.ipv4.conf.{i}.arp_{k}" for i in ("all", "e0") for k in ("ignore", "announce")
        ]
        link = json.loads(self.lab.run(node, ["ip", "-j", "link", "show", "dev", "e0"]).stdout)
        return {
            "xdp": link[0].get("xdp"),
            "tcx": tcx_programs(self.lab, node),
            "addresses": sorted(self.lab.run(node, show).stdout.splitlines()),
            "managed": "managed" in self.lab.run(node, ["ip", "neigh", "show"]).stdout,
            "sysctls": self.lab.run(node, ["sysctl", "-n", *names]).stdout,
            "files": {p.name for p in self.run_dir.glob("*") if p.suffix != ".lock"},
        }


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    """Standard error, without its end and the program's name."""
    assert done.stdout == ""
    assert done.stderr.startswith("pointsman: ")
    assert done.stderr.endswith("\n")
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr.removeprefix("pointsman: ").rstrip("\n")


@pytest.fixture
def bench(bare_lab: Lab, tmp_path: Path) -> Bench:
    site = tmp_path / "site.yaml"
    shutil.copy(SITE, site)
    # Its own: a loose mode must not meet the lab's.
    key = tmp_path / "key"
    shutil.copy(bare_lab.state.key_file, key)
    key.chmod(0o600)
    return Bench(bare_lab, tmp_path / "run", site, key)


def edit(site: Path, old: str, new: str) -> None:
    text = site.read_text()
    assert old in text
    site.write_text(text.replace(old, new, 1))


def hiding(mount: str, command: list[str]) -> list[str]:
    """The command, in a mount namespace of its own where `mount` was done."""
    return ["unshare", "--mount", "sh", "-c", f'{mount} && exec "$@"', "sh", *command]


KINDS = pytest.mark.parametrize("kind", ["unit", "host"])


@KINDS
def test_not_root(bench: Bench, kind: str) -> None:
    line = bench.refusal(kind, [*AS_NOBODY, *bench.command(kind)])
    assert line == "not root (user id 65534); run as root, for instance by sudo"


@KINDS
def test_not_root_is_said_before_the_key_is_asked_for(bench: Bench, kind: str) -> None:
    bench.key.unlink()
    line = bench.refusal(kind, [*AS_NOBODY, *bench.command(kind)])
    assert line.startswith("not root")


@KINDS
def test_kernel_without_btf(bench: Bench, kind: str) -> None:
    mount = "mount -t tmpfs none /sys/kernel/btf"
    line = bench.refusal(kind, hiding(mount, bench.command(kind)))
    assert line == (
        "/sys/kernel/btf/vmlinux: missing, so the kernel has no BTF; "
        "use a kernel with CONFIG_DEBUG_INFO_BTF=y, as Debian's, 6.8 or newer"
    )


def test_kernel_without_the_kfunc(bench: Bench) -> None:
    """Types of another program stand in for those of a kernel that lacks it."""
    mount = f"mount --bind {OBJECTS / 'pass.bpf.o'} /sys/kernel/btf/vmlinux"
    line = bench.refusal("host", hiding(mount, bench.command("host")))
    assert line == (
        f"kernel {os.uname().release}: has no bpf_sk_assign_tcp_reqsk(); "
        "use Linux 6.8 or newer, built with CONFIG_SYN_COOKIES=y"
    )


def test_unreadable_btf(bench: Bench) -> None:
    mount = f"mount --bind {bench.key} /sys/kernel/btf/vmlinux"
    line = bench.refusal("host", hiding(mount, bench.command("host")))
    assert line.startswith("/sys/kernel/btf/vmlinux: cannot be read as BTF: ")
    assert line.endswith("; use Linux 6.8 or newer")


def test_no_clang(tmp_path: Path) -> None:
    tool = tmp_path / "tools" / "build_bpf.py"
    tool.parent.mkdir()
    shutil.copy(build_bpf.__file__, tool)
    sources = tmp_path / build_bpf.BPF.relative_to(Path(build_bpf.__file__).parents[1])
    shutil.copytree(build_bpf.BPF, sources, ignore=shutil.ignore_patterns("*.o"))
    done = subprocess.run(
        [sys.executable, tool],
        env={**os.environ, "CLANG": "/nonexistent"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert one_line(done) == "/nonexistent: not found; apt install clang, or set CLANG"
    assert list(tmp_path.rglob("*.o")) == []


@pytest.mark.parametrize("wrong", WRONG_SITES)
@pytest.mark.parametrize("kind", ["check", "unit", "host"])
def test_wrong_site(bench: Bench, kind: str, wrong: str) -> None:
    (old, new), words = WRONG_SITES[wrong]
    edit(bench.site, old, new)
    if kind == "check":
        command = [*POINTSMAN, "check", str(bench.site)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 2
        line = one_line(done)
    else:
        line = bench.refusal(kind)
    assert line == f"{bench.site}{words}"


@KINDS
def test_missing_interface(bench: Bench, kind: str) -> None:
    name = NODES[kind]
    edit(bench.site, f"name: {name}, interface: e0", f"name: {name}, interface: e9")
    assert bench.refusal(kind) == (
        "interface e9: there is none of that name; "
        "name one of those present (e0, lo) in the site file"
    )


@KINDS
def test_unknown_node(bench: Bench, kind: str) -> None:
    line = bench.refusal(kind, bench.command(kind, "nosuch"))
    names = {"unit": "u1, u2", "host": "h1, h2, h3"}[kind]
    assert line == f"{kind} nosuch: the site file has none of that name; name one of: {names}"


@KINDS
def test_no_key(bench: Bench, kind: str) -> None:
    bench.key.unlink()
    assert bench.refusal(kind) == (
        f"key file {bench.key}: there is none; make one: pointsman keys make {bench.key}"
    )


@KINDS
def test_key_that_others_may_read(bench: Bench, kind: str) -> None:
    bench.key.chmod(0o644)
    assert bench.refusal(kind) == (
        f"key file {bench.key}: others than its owner may use it; chmod 600 {bench.key}"
    )


@pytest.fixture(params=["xdpdrv", "xdpgeneric"])
def occupied(bench: Bench, request: pytest.FixtureRequest) -> Iterator[None]:
    """Somebody else's program on the unit's interface."""
    change = ["ip", "link", "set", "dev", "e0", request.param]
    bench.lab.run("u1", [*change, "object", str(OBJECTS / "pass.bpf.o"), "section", "xdp.frags"])
    yield
    bench.lab.run("u1", [*change, "off"])


@pytest.mark.usefixtures("occupied")
def test_another_xdp_program(bench: Bench) -> None:
    what, _, mend = bench.refusal("unit").partition("; ")
    assert what.startswith("interface e0: another XDP program is already attached (id ")
    assert mend == "detach it: ip link set dev e0 xdp off, or stop the process that attached it"


def test_what_was_done_before_a_late_refusal_is_undone(bench: Bench) -> None:
    """Only attaching tells that a driver lacks XDP; by then the unit has its addresses."""
    edit(bench.site, "name: u1, interface: e0", "name: u1, interface: lo")
    before = bench.traces("unit")
    done = bench.lab.run("u1", bench.command("unit"), check=False)
    assert done.returncode == 2
    assert bench.traces("unit") == before
    *logged, last = done.stderr.splitlines()
    assert all(json.loads(line)["event"].startswith("host ") for line in logged)
    assert last == (
        "pointsman: interface lo: its driver has no native XDP; "
        "set xdp: generic for this unit in the site file"
    )


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        (
            "net.ipv4.tcp_syncookies",
            "0",
            "/proc/sys/net/ipv4/tcp_syncookies: is 0; sysctl -w net.ipv4.tcp_syncookies=1",
        ),
        (
            "net.ipv4.tcp_rfc1337",
            "1",
            (
                "sysctl net.ipv4.tcp_rfc1337 is 1: TIME_WAIT could not be ended by a RST; "
                "set it: sysctl -w net.ipv4.tcp_rfc1337=0"
            ),
        ),
    ],
)
def test_host_that_takes_no_connections(bench: Bench, name: str, value: str, words: str) -> None:
    before = bench.lab.run("h1", ["sysctl", "-n", name]).stdout.strip()
    bench.lab.run("h1", ["sysctl", "-w", f"{name}={value}"])
    try:
        assert bench.refusal("host") == words
    finally:
        bench.lab.run("h1", ["sysctl", "-w", f"{name}={before}"])
