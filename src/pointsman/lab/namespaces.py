"""Named network namespaces: making, removing, entering, and who is inside."""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from pointsman.errors import SystemRefusal

__all__ = ["create", "delete", "enter", "exists", "inside", "members", "set_sysctls"]

CLONE_NEWNET = 0x40000000
DIRECTORY = Path("/run/netns")

_libc = ctypes.CDLL(None, use_errno=True)


def exists(name: str) -> bool:
    return (DIRECTORY / name).exists()


def create(name: str) -> None:
    """Raises SystemRefusal if the kernel or `ip` refuses."""
    done = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemRefusal(
            f"network namespace {name}: {done.stderr.strip()}",
            "see that you are root and that the name is free (ip netns)",
        )


def delete(name: str) -> None:
    """It may be gone already. Raises SystemRefusal if it stays."""
    done = subprocess.run(
        ["ip", "netns", "delete", name], capture_output=True, text=True, check=False
    )
    if done.returncode != 0 and exists(name):
        raise SystemRefusal(
            f"network namespace {name}: {done.stderr.strip()}", f"try: ip netns delete {name}"
        )


def inside(name: str, argv: list[str]) -> list[str]:
    """The command line that runs `argv` in the namespace, as the very process it starts.

    Unlike `ip netns exec`, it leaves mounts alone: /sys/fs/bpf stays visible.
    """
    return ["nsenter", f"--net={DIRECTORY / name}", "--", *argv]


@contextmanager
def enter(name: str) -> Iterator[None]:
    """This thread opens sockets, and reads /proc/sys/net, in the namespace until the end."""
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        target = os.open(DIRECTORY / name, os.O_RDONLY)
        try:
            _setns(target)
        finally:
            os.close(target)
        try:
            yield
        finally:
            _setns(before)
    finally:
        os.close(before)


def _setns(fd: int) -> None:
    if _libc.setns(fd, CLONE_NEWNET) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"setns: {os.strerror(error)}")


def set_sysctls(name: str, values: Mapping[str, int]) -> None:
    """Keys are paths below /proc/sys/net, as `ipv4/ip_forward`."""
    with enter(name):
        for key, value in values.items():
            Path("/proc/sys/net", key).write_text(str(value))


def members(names: list[str]) -> list[int]:
    """Processes in the namespaces, but for this one, which may be there for a moment only."""
    wanted = set()
    for name in names:
        with suppress(FileNotFoundError):
            wanted.add(_identity(DIRECTORY / name))
    found = []
    for entry in os.scandir("/proc"):
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            # It may end while we look; what even root may not look at is none of ours.
            with suppress(FileNotFoundError, ProcessLookupError, PermissionError):
                if _identity(Path(entry.path, "ns/net")) in wanted:
                    found.append(int(entry.name))
    return found


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino
