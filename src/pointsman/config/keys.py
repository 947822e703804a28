"""The cluster's key: what units and hosts share and nobody else may know."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from pointsman.config.model import Site
from pointsman.errors import SystemRefusal

__all__ = ["KEY_BYTES", "key_path", "load_key", "load_quic_keys", "make_key_file"]

KEY_BYTES = 16
OTHERS = 0o077


def key_path(site: Site, site_file: Path) -> Path:
    """Where the site keeps its key."""
    if site.cluster.key_file is None:
        return Path("/etc/pointsman") / f"{site.cluster.name}.key"
    return site_file.parent / site.cluster.key_file


def load_quic_keys(site: Site, site_file: Path) -> dict[tuple[str, int], bytes]:
    """Service and configuration to its key, of all that have one. SystemRefusal as load_key()."""
    return {
        (service.name, each.id): load_key(site_file.parent / each.key_file)
        for service in site.services
        if service.quic is not None
        for each in service.quic.configurations
        if each.key_file is not None
    }


def load_key(path: Path) -> bytes:
    """The first 16 bytes of a file of hexadecimal digits that only its owner may read.

    Raises SystemRefusal if there is no such file, others may read it, or it holds anything else.
    """
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="ascii")
    except FileNotFoundError:
        raise SystemRefusal(
            f"key file {path}: there is none", f"make one: pointsman keys make {path}"
        ) from None
    except UnicodeError:
        text = ""
    except OSError as error:
        raise SystemRefusal(
            f"key file {path}: {error.strerror}", "name another with --key-file"
        ) from error
    if mode & OTHERS:
        raise SystemRefusal(
            f"key file {path}: others than its owner may use it", f"chmod 600 {path}"
        )
    try:
        key = bytes.fromhex(text.strip())
    except ValueError:
        key = b""
    if len(key) < KEY_BYTES:
        raise SystemRefusal(
            f"key file {path}: is not {2 * KEY_BYTES} hexadecimal digits or more",
            f"make a new one: pointsman keys make {path}",
        )
    return key[:KEY_BYTES]


def make_key_file(path: Path) -> None:
    """Writes a new key, for its owner alone. Raises SystemRefusal rather than overwrite one."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise SystemRefusal(
            f"key file {path}: exists already", "remove it first, if no unit or host needs it"
        ) from None
    except OSError as error:
        raise SystemRefusal(f"key file {path}: {error.strerror}", "name another path") from error
    with os.fdopen(fd, "w") as file:
        file.write(secrets.token_hex(KEY_BYTES) + "\n")
