"""A daemon's own directory: one run at a time, and nobody else may look."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pointsman.errors import SystemRefusal

__all__ = ["exclusive"]

SOCKET_PATH = 107
"""Bytes of a UNIX socket's path (unix(7))."""


@contextmanager
def exclusive(run_dir: Path, node: str) -> Iterator[None]:
    """Holds the node's lock; the kernel drops it however the process ends.

    Raises SystemRefusal if another process runs this node, or the directory can't be made or is
    too deep for the status socket.
    """
    if len(os.fsencode(run_dir / f"{node}.sock")) > SOCKET_PATH:
        raise SystemRefusal(
            f"run directory {run_dir}: too long for a socket's path",
            "name a shorter one with --run-dir",
        )
    try:
        run_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(run_dir / f"{node}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise SystemRefusal(
            f"run directory {run_dir}: {error.strerror}", "name another with --run-dir"
        ) from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise SystemRefusal(
            f"node {node}: another process runs it from {run_dir}", "stop that one first"
        ) from None
    else:
        yield
    finally:
        os.close(fd)
