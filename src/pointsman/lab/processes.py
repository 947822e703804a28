"""Processes known by number and start time, so that a number used again is never mistaken.

Signals go through a pidfd that was opened before the start time was compared.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from pointsman.errors import SystemRefusal

__all__ = ["Process", "identify", "is_alive", "kill", "stop"]

KILLED_WITHIN_S = 10.0


class Process(BaseModel):
    model_config = ConfigDict(frozen=True)

    pid: int
    started: int
    """Clock ticks from boot to its start."""


def identify(pid: int) -> Process | None:
    """None if there is no such process."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The second field is the program's name in brackets and may hold anything.
    return Process(pid=pid, started=int(status.rpartition(")")[2].split()[19]))


def is_alive(process: Process) -> bool:
    """A process that has ended but was not waited for is not alive."""
    with ExitStack() as stack:
        fd = _open(process, stack)
        return fd is not None and not _ended([fd], 0)


def kill(process: Process, number: signal.Signals) -> None:
    """Sends the signal and waits until it has ended. Raises SystemRefusal if it does not."""
    with ExitStack() as stack:
        fd = _open(process, stack)
        if fd is None:
            return
        signal.pidfd_send_signal(fd, number)
        if not _ended([fd], KILLED_WITHIN_S):
            raise SystemRefusal(
                f"process {process.pid}: still there {KILLED_WITHIN_S:.0f} s after {number.name}",
                f"look at it, then: kill -KILL {process.pid}",
            )


def stop(processes: Iterable[Process], grace_s: float) -> None:
    """SIGTERM to all; SIGKILL to those who are still there after `grace_s` seconds."""
    with ExitStack() as stack:
        fds = {fd: process for process in processes if (fd := _open(process, stack)) is not None}
        for fd in fds:
            _send(fd, signal.SIGTERM)
        left = set(fds) - _ended(fds, grace_s)
        for fd in left:
            _send(fd, signal.SIGKILL)
        stuck = left - _ended(left, KILLED_WITHIN_S)
    if stuck:
        pids = " ".join(str(fds[fd].pid) for fd in stuck)
        raise SystemRefusal(
            f"processes {pids}: still there after SIGKILL", "look at /proc/PID/stack"
        )


def _open(process: Process, stack: ExitStack) -> int | None:
    try:
        fd = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return None
    stack.callback(os.close, fd)
    return fd if identify(process.pid) == process else None


def _send(fd: int, number: signal.Signals) -> None:
    try:
        signal.pidfd_send_signal(fd, number)
    except ProcessLookupError:
        return


def _ended(fds: Iterable[int], within_s: float) -> set[int]:
    """Those whose process ended in that time; returns as soon as all have."""
    poll = select.poll()
    waiting = set(fds)
    for fd in waiting:
        poll.register(fd, select.POLLIN)
    ended: set[int] = set()
    deadline = time.monotonic() + within_s
    while waiting:
        ready = {fd for fd, _ in poll.poll(max(0.0, deadline - time.monotonic()) * 1000)}
        if not ready:
            break
        for fd in ready:
            poll.unregister(fd)
        waiting -= ready
        ended |= ready
    return ended
