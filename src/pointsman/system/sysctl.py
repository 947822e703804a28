"""Kernel settings of our network namespace, by dotted name with `/` where a name has a dot."""

from __future__ import annotations

from pathlib import Path

from pointsman.errors import SystemRefusal

__all__ = ["read", "require", "restore", "write"]


def _path(name: str) -> Path:
    return Path("/proc/sys") / name.replace(".", "\0").replace("/", ".").replace("\0", "/")


def read(name: str) -> str:
    return _path(name).read_text().strip()


def write(name: str, value: str) -> None:
    _path(name).write_text(value)


def restore(name: str, value: str) -> None:
    """As write, but an interface that is gone has nothing to restore."""
    if _path(name).exists():
        write(name, value)


def require(name: str, accepted: set[str], why: str) -> None:
    """Raises SystemRefusal if the setting is none of the accepted values."""
    value = read(name)
    if value not in accepted:
        wanted = sorted(accepted)[0]
        raise SystemRefusal(
            f"sysctl {name} is {value}: {why}", f"set it: sysctl -w {name}={wanted}"
        )
