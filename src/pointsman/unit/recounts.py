"""Sets the counts of live connections right, now and then, without holding up the daemon's loop."""

from __future__ import annotations

import asyncio

from pointsman.datapath.live import LiveCounts

__all__ = ["keep_recounting"]

EVERY_S = 30.0
PAUSE_S = 0.02
"""Between two batches of routes: a million take some six seconds, and one of a CPU."""


async def keep_recounting(
    live: LiveCounts, every_s: float = EVERY_S, pause_s: float = PAUSE_S
) -> None:
    """Never returns. Reading is done in threads, a few milliseconds at a time."""
    while True:
        await asyncio.sleep(every_s)
        recount = live.begin()
        while await asyncio.to_thread(recount.step):
            await asyncio.sleep(pause_s)
        recount.settle()
