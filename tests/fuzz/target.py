"""A loaded program that takes one frame after the other, at the cost of a system call or two."""

from __future__ import annotations

from typing import NamedTuple

from ledger import Ledger

from pointsman.datapath.capi import ffi, library, options
from pointsman.datapath.loaded import Loaded
from pointsman.datapath.reasons import Reason

__all__ = ["FRAME_MAX", "FRAME_MIN", "Result", "Target"]

FRAME_MIN, FRAME_MAX = 15, 9014
"""What BPF_PROG_TEST_RUN takes of XDP programs; more than a page is in several pieces."""
ROOM = 4096
MOST_WAITING = 64


class Result(NamedTuple):
    """The program's verdict (signed), the frame after it, and the reason.

    `reason` is None of a verdict that says all, which is found to be counted later.
    """

    verdict: int
    frame: bytes
    reason: Reason | None


class Target:
    """One entry of an object. The thread must stay on one CPU."""

    def __init__(self, loaded: Loaded, entry: str, ledger: Ledger, *silent: int) -> None:
        self.name = entry
        self.runs = 0
        self.ledger = ledger
        self._silent = silent
        self._fd = loaded.program_fd(entry)
        self._in = ffi.new("char[]", FRAME_MAX)
        self._out = ffi.new("char[]", FRAME_MAX + ROOM)
        self._run = options("bpf_test_run_opts")
        self._run.data_in, self._run.data_out = self._in, self._out
        self._run.repeat = 1

    def send(self, frame: bytes) -> Result:
        """OSError if the kernel takes no such frame; Uncounted."""
        run = self._run
        ffi.memmove(self._in, frame, len(frame))
        run.data_size_in, run.data_size_out = len(frame), FRAME_MAX + ROOM
        code = library().bpf_prog_test_run_opts(self._fd, run)
        if code:
            raise OSError(-code, f"test run of {len(frame)} bytes refused")
        self.runs += 1
        verdict = int(ffi.cast("int32_t", run.retval))
        reason = None
        if verdict in self._silent:
            self.ledger.put(verdict)
            if self.ledger.waiting >= MOST_WAITING:
                self.ledger.settle()
        else:
            reason = self.ledger.settle(verdict)
        return Result(verdict, bytes(ffi.buffer(self._out, run.data_size_out)), reason)
