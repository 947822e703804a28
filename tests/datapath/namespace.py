"""A network namespace that goes with the test, for what changes addresses and settings."""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["new_namespace", "run"]

CLONE_NEWNET = 0x40000000


@contextmanager
def new_namespace() -> Iterator[None]:
    """This thread and the processes that it starts live in a new one until the end."""
    libc = ctypes.CDLL(None, use_errno=True)
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        assert libc.unshare(CLONE_NEWNET) == 0
        try:
            yield
        finally:
            assert libc.setns(before, CLONE_NEWNET) == 0
    finally:
        os.close(before)


def run(*command: str) -> str:
    """What a command prints. CalledProcessError if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout
