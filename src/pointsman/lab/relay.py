"""python -m pointsman.lab.relay DELAY_MS FD FD

A cable that takes its time: what is read from either of two TAP devices (cable.py) is written to
the other one DELAY_MS milliseconds later. Both are inherited, open and non-blocking.

Frames travel with their virtio header, so that one may be up to 64 KB of segments that nobody has
cut yet: that makes hundreds of megabytes a second possible here. Ends on SIGTERM.
"""

from __future__ import annotations

import os
import select
import sys
import time
from collections import deque

__all__ = ["Way", "main"]

FRAME = 1 << 17
"""More than any frame with its header, bytes."""
AT_ONCE = 64
"""Frames read before it looks whether others are due."""


class Way:
    """One direction."""

    def __init__(self, source: int, target: int, delay_s: float) -> None:
        self.source = source
        self.target = target
        self.delay_s = delay_s
        self._waiting: deque[tuple[float, bytes]] = deque()

    def take(self) -> None:
        """Reads what is there. Times are of time.monotonic()."""
        due = time.monotonic() + self.delay_s
        try:
            for _ in range(AT_ONCE):
                self._waiting.append((due, os.read(self.source, FRAME)))
        except BlockingIOError:
            return

    def give(self) -> float | None:
        """Writes what is due; the time when the next will be, None if nothing waits."""
        now = time.monotonic()
        while self._waiting:
            due, frame = self._waiting[0]
            if due > now:
                return due
            self._waiting.popleft()
            os.write(self.target, frame)
        return None


def relay(ways: list[Way]) -> None:
    by_source = {way.source: way for way in ways}
    while True:
        nexts = [due for way in ways if (due := way.give()) is not None]
        timeout = max(0.0, min(nexts) - time.monotonic()) if nexts else None
        # select() alone takes microseconds.
        for source in select.select(by_source, [], [], timeout)[0]:
            by_source[source].take()


def main() -> None:
    delay_s, one, other = float(sys.argv[1]) / 1000, int(sys.argv[2]), int(sys.argv[3])
    relay([Way(one, other, delay_s), Way(other, one, delay_s)])


if __name__ == "__main__":
    main()
