"""Ending processes that are known by number and start time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from pointsman.lab import processes
from pointsman.lab.processes import Process

DEAF = """
import signal, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf", flush=True)
signal.pause()
"""


@pytest.fixture
def sleeper() -> subprocess.Popen[bytes]:
    return subprocess.Popen(["sleep", "600"])


def known(child: subprocess.Popen[bytes]) -> Process:
    process = processes.identify(child.pid)
    assert process is not None
    return process


def test_stop_ends_it_at_the_first_asking(sleeper: subprocess.Popen[bytes]) -> None:
    processes.stop([known(sleeper)], grace_s=30)
    assert sleeper.wait(5) == -signal.SIGTERM


def test_stop_kills_the_deaf() -> None:
    with subprocess.Popen([sys.executable, "-c", DEAF], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"deaf\n"
        processes.stop([known(child)], grace_s=0.05)
        assert child.wait(5) == -signal.SIGKILL


def test_kill_sends_that_signal_and_waits(sleeper: subprocess.Popen[bytes]) -> None:
    process = known(sleeper)
    assert processes.is_alive(process)
    processes.kill(process, signal.SIGINT)
    assert not processes.is_alive(process)
    assert sleeper.wait(5) == -signal.SIGINT


def test_number_used_again_is_left_alone(sleeper: subprocess.Popen[bytes]) -> None:
    now = known(sleeper)
    before = Process(pid=now.pid, started=now.started - 1)
    assert not processes.is_alive(before)
    processes.stop([before], grace_s=0.0)
    processes.kill(before, signal.SIGKILL)
    assert sleeper.poll() is None
    sleeper.kill()
    sleeper.wait(5)


def test_gone_process_is_unknown(sleeper: subprocess.Popen[bytes]) -> None:
    sleeper.kill()
    sleeper.wait(5)
    assert processes.identify(sleeper.pid) is None


def test_program_name_with_brackets_and_spaces_does_not_shift_the_fields(
    tmp_path: os.PathLike[str],
) -> None:
    odd = os.path.join(tmp_path, "a) S 1 (b")
    os.symlink("/bin/sleep", odd)
    with subprocess.Popen([odd, "600"]) as child:
        with subprocess.Popen(["sleep", "600"]) as plain:
            assert 0 <= known(plain).started - known(child).started < 1000
            plain.kill()
        child.kill()
