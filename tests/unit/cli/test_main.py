"""The command line as people and scripts meet it: what it prints, and its exit status."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from site_edits import SITE

from pointsman import __version__

COMMANDS = ["check", "host", "keys", "lab", "status", "unit"]


def pointsman(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pointsman.cli.main", *arguments],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def test_version() -> None:
    done = pointsman("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{__version__}\n", "")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str) -> None:
    done = pointsman(command, "--help")
    assert done.returncode == 0
    assert command in done.stdout


def test_check_sums_the_site_up() -> None:
    done = pointsman("check", SITE)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        f"{SITE}: cluster demo can run",
        "  service web: 203.0.113.10, 2001:db8:10::10 tcp/80: 2 rules, else pool all",
        "  service plain: 203.0.113.10, 2001:db8:10::10 tcp/81: pool all",
        "  pool a: h1×1",
        "  pool b: h2×1, h3×1",
        "  pool all: h1×1, h2×1, h3×1",
        "  2 units, 3 hosts",
    ]


def test_check_refuses_with_one_line(tmp_path: Path) -> None:
    site = tmp_path / "site.yaml"
    site.write_text(SITE.read_text().replace("inspect:", "inspct:"))
    done = pointsman("check", site)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"pointsman: {site}:23: services[0].inspct: unknown key inspct; did you mean inspect?\n"
    )


def test_check_of_no_file(tmp_path: Path) -> None:
    done = pointsman("check", tmp_path / "none")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"pointsman: site file {tmp_path}/none: No such file or directory; name a readable file\n"
    )


def test_keys_make(tmp_path: Path) -> None:
    path = tmp_path / "demo.key"
    done = pointsman("keys", "make", path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{path}: written; copy it to every unit and host\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_keys_make_does_not_overwrite(tmp_path: Path) -> None:
    path = tmp_path / "demo.key"
    path.write_text("precious")
    done = pointsman("keys", "make", path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"pointsman: key file {path}: exists already; "
        "remove it first, if no unit or host needs it\n"
    )
    assert path.read_text() == "precious"


@pytest.mark.parametrize("arguments", [["chekc"], ["check"], ["check", "--no-such-option"]])
def test_wrong_usage(arguments: list[str]) -> None:
    done = pointsman(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Usage: " in done.stderr
    assert "Traceback" not in done.stderr


def test_interrupt(tmp_path: Path) -> None:
    """`check` waits for a file that somebody has yet to write; Ctrl-C ends it."""
    fifo = tmp_path / "site.yaml"
    os.mkfifo(fifo)
    command = [sys.executable, "-m", "pointsman.cli.main"]
    process = subprocess.Popen(
        # What is started in the background has SIGINT ignored, unless somebody says otherwise.
        ["env", "--default-signal=INT", *command, "check", fifo],
        stderr=subprocess.PIPE,
        text=True,
    )
    # Opening for writing waits until the command has opened for reading, so it runs by now.
    with fifo.open("wb"), process:
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in errors
