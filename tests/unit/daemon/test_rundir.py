"""One run of a node at a time, out of a directory that nobody else may look into."""

from __future__ import annotations

import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from pointsman.daemon.rundir import exclusive
from pointsman.errors import SystemRefusal

HOLD = """
import sys
from pathlib import Path
from pointsman.daemon.rundir import exclusive
with exclusive(Path(sys.argv[1]), "u1"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_directory_is_its_owners_alone(tmp_path: Path) -> None:
    run_dir = tmp_path / "some" / "where"
    with exclusive(run_dir, "u1"):
        assert stat.S_IMODE(run_dir.stat().st_mode) == 0o700
        assert stat.S_IMODE((run_dir / "u1.lock").stat().st_mode) == 0o600


def test_second_run_of_a_node_is_refused(tmp_path: Path) -> None:
    with exclusive(tmp_path, "u1"):
        with pytest.raises(SystemRefusal) as caught, exclusive(tmp_path, "u1"):
            pass
        assert caught.value.what == f"node u1: another process runs it from {tmp_path}"
        assert caught.value.mend == "stop that one first"
        with exclusive(tmp_path, "u2"):
            pass
    with exclusive(tmp_path, "u1"):
        pass


def test_error_inside_lets_go(tmp_path: Path) -> None:
    def fail() -> None:
        with exclusive(tmp_path, "u1"):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with exclusive(tmp_path, "u1"):
        pass


def test_killed_process_lets_go(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(SystemRefusal), exclusive(tmp_path, "u1"):
            pass
        holder.kill()
        holder.wait(timeout=10)
        with exclusive(tmp_path, "u1"):
            pass


def test_directory_too_deep_for_a_socket(tmp_path: Path) -> None:
    fits = tmp_path / ("d" * (107 - len(f"{tmp_path}/") - len("/u1.sock")))
    with exclusive(fits, "u1"), socket.socket(socket.AF_UNIX) as status:
        status.bind(str(fits / "u1.sock"))
    deeper = fits.with_name(fits.name + "d")
    with pytest.raises(SystemRefusal) as caught, exclusive(deeper, "u1"):
        pass
    assert caught.value.what == f"run directory {deeper}: too long for a socket's path"
    assert caught.value.mend == "name a shorter one with --run-dir"
    assert not deeper.exists()


def test_directory_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SystemRefusal) as caught, exclusive(tmp_path / "file" / "run", "u1"):
        pass
    assert caught.value.what == f"run directory {tmp_path}/file/run: Not a directory"
    assert caught.value.mend == "name another with --run-dir"
