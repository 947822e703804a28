"""Tells a daemon's state: whoever may open the UNIX socket gets one JSON document."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Callable
from pathlib import Path

from pointsman.errors import SystemRefusal

__all__ = ["Report", "read_status", "serve_status"]

Report = Callable[[], dict[str, object]]


async def serve_status(path: Path, report: Report) -> asyncio.Server:
    """Serves `report()` at `path`, for the owner alone (mode 0600)."""

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(json.dumps(report()).encode() + b"\n")
        writer.close()
        await writer.wait_closed()

    path.unlink(missing_ok=True)
    old_mask = os.umask(0o177)
    try:
        return await asyncio.start_unix_server(answer, path)
    finally:
        os.umask(old_mask)


def read_status(path: Path, timeout_s: float = 5.0) -> dict[str, object]:
    """The state of the daemon that serves `path`. Raises SystemRefusal if none does."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(timeout_s)
        try:
            client.connect(str(path))
            with client.makefile("rb") as stream:
                document: dict[str, object] = json.loads(stream.read())
        except FileNotFoundError:
            raise SystemRefusal(
                f"status socket {path}: there is none", "start the daemon, or name its --run-dir"
            ) from None
        except PermissionError:
            raise SystemRefusal(
                f"status socket {path}: not yours to ask", "run as root, for instance by sudo"
            ) from None
        except (OSError, ValueError) as error:
            raise SystemRefusal(
                f"status socket {path}: no daemon answers ({error})", "start it, or look at its log"
            ) from error
    return document
