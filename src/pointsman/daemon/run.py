"""The foreground loop: until SIGTERM or SIGINT, tasks run and the status socket answers."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine, Sequence
from pathlib import Path

from pointsman.daemon.status import Report, serve_status

__all__ = ["Task", "run_until_signal"]

Task = Coroutine[object, object, None]


async def run_until_signal(socket_path: Path, report: Report, tasks: Sequence[Task]) -> None:
    """Returns after SIGTERM or SIGINT. A task that ends or fails ends all; its error is raised."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    server = await serve_status(socket_path, report)
    running = [asyncio.ensure_future(task) for task in tasks]
    stopped = asyncio.ensure_future(stop.wait())
    try:
        done, _ = await asyncio.wait([*running, stopped], return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        server.close()
        socket_path.unlink(missing_ok=True)
        for task in [*running, stopped]:
            task.cancel()
        await asyncio.gather(*running, stopped, return_exceptions=True)
