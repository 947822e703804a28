"""The main job, before your eyes: real clients, two units behind ECMP, three hosts with nginx.

    make demo

Exit status 0 only if all of it happened.
"""

from __future__ import annotations

import hashlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from pointsman.errors import PointsmanError
from pointsman.lab.faults import Direction, drop
from pointsman.lab.lab import Lab

SITE = Path(__file__).resolve().parent.parent / "examples" / "demo.yaml"
VIP = {"IPv4": "203.0.113.10", "IPv6": "[2001:db8:10::10]"}
CLIENT = {"IPv4": "198.51.100.2", "IPv6": "2001:db8:1::2"}
UNITS = ("u1", "u2")
SIZE = 50_000_000

Step = Callable[[Lab], str]
console = Console(highlight=False)


class Missed(Exception):
    """Something the demo promised did not happen."""


def expect(holds: object, what: str) -> None:
    if not holds:
        raise Missed(what)


def curl(lab: Lab, url: str, *options: str) -> str:
    argv = ["curl", "--silent", "--show-error", "--fail", "--max-time", "30", *options, url]
    return lab.run("c1", argv).stdout


def hosts_asked(lab: Lab, family: str, path: str) -> set[str]:
    return {curl(lab, f"http://{VIP[family]}{path}").split()[1] for _ in range(9)}


def units_total(lab: Lab, *keys: str) -> int:
    """Of both units: one figure of every service and host, summed."""
    return sum(
        total[key]
        for unit in UNITS
        for hosts in lab.status(unit)["traffic"].values()
        for total in hosts.values()
        for key in keys
    )


def routes_by_path(lab: Lab) -> str:
    """`curl` asks one address for /a… and /b…; the request itself chooses the pool."""
    for family in VIP:
        found = {path: hosts_asked(lab, family, path) for path in ("/a/x", "/b/x")}
        expect(found == {"/a/x": {"h1"}, "/b/x": {"h2", "h3"}}, f"{family}: {found}")
    return "/a… → h1, /b… → h2, h3, over IPv4 and IPv6"


def clients_own_address(lab: Lab) -> str:
    """An unmodified nginx accepted these connections as its own. Whom does its log name?"""
    for family, address in CLIENT.items():
        curl(lab, f"http://{VIP[family]}/a/who-{family}")
        lines = [
            line
            for line in lab.nginx("h1").access_log.read_text().splitlines()
            if f"/a/who-{family}" in line
        ]
        expect(lines and lines[-1].split()[0] == address, f"the log says {lines}")
        console.print(f"    [dim]{lines[-1]}[/dim]")
    return "nginx logs " + " and ".join(CLIENT.values())


def answers_go_direct(lab: Lab) -> str:
    """A download through the inspected service. What did the units carry of it?"""
    source = lab.make_file("big", SIZE)
    before = units_total(lab, "bytes")
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "big"
        curl(lab, f"http://{VIP['IPv4']}/a/files/big", "--output", str(target))
        received = digest(target)
    expect(received == digest(source), "the download arrived damaged")
    carried = units_total(lab, "bytes") - before
    expect(carried < SIZE / 20, f"the units carried {carried:,} bytes")
    return f"{SIZE:,} bytes arrived intact; the units carried {carried:,}: requests and ACKs"


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def survives_losses(lab: Lab) -> str:
    """One packet in a hundred is now lost on the client's side, both ways, and we upload."""
    with (
        drop(lab, "c1", Direction.INGRESS, 10) as down,
        drop(lab, "c1", Direction.EGRESS, 10) as up,
    ):
        source = lab.files_dir / "big"
        curl(lab, f"http://{VIP['IPv6']}/a/upload/big", "--upload-file", str(source))
    arrived = lab.nginx("h1").uploads / "big"
    expect(digest(arrived) == digest(source), "the upload arrived damaged")
    expect(up.dropped + down.dropped > 100, "hardly anything was lost")
    return f"{SIZE:,} bytes arrived intact, {up.dropped + down.dropped:,} packets lost on the way"


def many_connections(lab: Lab) -> str:
    """1,000 connections at a time from one address, one request each, for five seconds."""
    before = units_total(lab, "connections")
    url = f"http://{VIP['IPv4']}/b"
    argv = ["wrk", "-t2", "-c1000", "-d5s", "--timeout", "5s", "-H", "Connection: close", url]
    out = lab.run("c1", argv).stdout
    requests = re.search(r"(\d+) requests in", out)
    expect(requests and "Socket errors" not in out and "Non-2xx" not in out, out)
    bound = units_total(lab, "connections") - before
    by_unit = {unit: lab.status(unit)["reasons"]["bundled_data"] for unit in UNITS}
    expect(all(by_unit.values()), f"one unit did nothing: {by_unit}")
    return f"{bound:,} connections, none refused, reset or timed out; both units worked"


def comes_back(lab: Lab) -> str:
    """A host's agent dies by SIGKILL in mid-connection. A new one knows nothing of it."""
    argv = ["wrk", "-t1", "-c10", "-d4s", "--timeout", "4s", f"http://{VIP['IPv4']}/a"]
    load = lab.popen("c1", argv, stdout=subprocess.PIPE, text=True)
    while lab.run("h1", ["ss", "-Htn", "state", "established"]).stdout.count("\n") < 10:
        expect(load.poll() is None, "the load ended")
    lab.kill_agent("h1", signal.SIGKILL)
    began = time.monotonic()
    lab.start_agent("h1")
    away = time.monotonic() - began
    out, _ = load.communicate()
    expect("Socket errors" not in out, out)
    taught = lab.status("h1")["reasons"]["host_taught"]
    expect(taught > 0, "nothing was taught again")
    return f"agent away {away:.1f} s; 10 live connections went on, taught again by bundles"


def leaves_nothing(lab: Lab) -> str:
    """SIGTERM to a unit and a host: what is left of us?"""
    lab.kill_agent("u1")
    lab.kill_agent("h1")
    link = lab.run("u1", ["ip", "-d", "link", "show", "dev", "e0"]).stdout
    expect("prog/xdp" not in link, "the XDP program stayed")
    for node, device in (("u1", "e0"), ("h1", "lo")):
        shown = lab.run(node, ["ip", "-o", "address", "show", "dev", device]).stdout
        expect("10.1.1.1" not in shown, f"the tunnel address stayed on {node}")
        expect("203.0.113.10" not in shown, f"the virtual IP stayed on {node}")
    return "no program, no address"


STEPS: tuple[tuple[str, Step], ...] = (
    ("Routed by what they ask for", routes_by_path),
    ("The host sees the client itself", clients_own_address),
    ("Answers pass no unit", answers_go_direct),
    ("Losses cost nothing but time", survives_losses),
    ("Many connections", many_connections),
    ("A killed agent comes back", comes_back),
    ("Leaves nothing behind", leaves_nothing),
)


def perform(lab: Lab, table: Table) -> bool:
    """Every step in turn; whether all of them happened."""
    happened = True
    for number, (title, step) in enumerate(STEPS, 1):
        console.print(f"\n[bold]{number}. {title}[/bold]\n   {step.__doc__}")
        try:
            evidence = step(lab)
            mark = "[green]yes[/green]"
        except (Missed, PointsmanError, subprocess.SubprocessError) as error:
            evidence, mark, happened = f"{type(error).__name__}: {error}", "[red]NO[/red]", False
        console.print(f"   → {evidence}")
        table.add_row(title, mark, evidence)
    return happened


def main() -> int:
    console.print(
        "[bold]Pointsman[/bold]: a client c1, a router that spreads over units u1 and u2 (ECMP),\n"
        "hosts h1, h2, h3 with Debian's nginx; every one a network namespace of this machine."
    )
    table = Table("what", "happened", "evidence", title="The main job")
    with Lab(f"d{os.getpid():x}", SITE) as lab:
        lab.up()
        happened = perform(lab, table)
    console.print()
    console.print(table)
    return 0 if happened else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except PointsmanError as refusal:
        console.print(f"pointsman: {refusal}")
        sys.exit(2)
