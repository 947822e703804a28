"""What a packet costs a program, measured on packets that are made new at each repetition.

The restorer (bpf/restorer.bpf.c) writes the packet, then tail-calls the program under test; the
same before a bare verdict is the floor to subtract.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from pointsman.datapath import testrun
from pointsman.datapath.capi import ffi, library, options
from pointsman.datapath.codecs import Raw
from pointsman.datapath.libbpf import BpfObject
from pointsman.datapath.maps import Array, Hash, ProgArray

__all__ = ["MAX_TEMPLATES", "Clients", "Harness", "Run"]

RESTORER = Path(__file__).resolve().parent / "bpf" / "restorer.bpf.o"
FRAME_MAX = 2044
TEMPLATE = struct.Struct(f"<I{FRAME_MAX}s")
STATE = struct.Struct("<QQIIIIII")
MAX_TEMPLATES = 4096
BATCH = 256
FLOOR_KEY_END = b"\x06\0\0\0"
"""TCP, and padding."""
FLOOR_VALUE_BYTES = 40
LIVE_FRAMES, LIVE_BATCH = 1 << 1, 64
"""BPF_F_TEST_XDP_LIVE_FRAMES, and packets sent at once."""


@dataclass
class Clients:
    """Which client each repetition's packet is from: numbers from `next` on, modulo `count`.

    `step`: odd, from one number to the next; `count`: a power of two.
    """

    next: int = 0
    step: int = 1
    count: int = 1 << 31

    def taken(self, repeat: int) -> None:
        self.next = (self.next + repeat * self.step) % (1 << 32)


class Run(NamedTuple):
    """One measurement; `ns` is the mean. The kernel stops its clock while others have the CPU."""

    ns: float
    verdict: int
    frame: bytes
    """As the last repetition left it."""


class Harness:
    """The restorer, loaded. Close it, or use it as a context manager."""

    def __init__(self) -> None:
        self._object = BpfObject(RESTORER)
        try:
            self._object.resize("templates", MAX_TEMPLATES)
            self._object.load()
            self._templates = Array(self._object.map("templates"), Raw(TEMPLATE.size))
            self._state = Array(self._object.map("restorer"), Raw(STATE.size))
            self._xdp = ProgArray(self._object.map("xdp_target"))
            self._tc = ProgArray(self._object.map("tc_target"))
            self._floor4 = Hash(self._object.map("floor4"), Raw(16), Raw(FLOOR_VALUE_BYTES))
            self._floor6 = Hash(self._object.map("floor6"), Raw(40), Raw(FLOOR_VALUE_BYTES))
        except BaseException:
            self._object.close()
            raise

    def close(self) -> None:
        self._object.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.close()

    def program_fd(self, name: str) -> int:
        """Of a floor: bare_xdp, bare_tc, and lookup or insert with 4 or 6."""
        return self._object.program_fd(name)

    def know(self, frame: bytes) -> None:
        """Put the flow of a TCP frame into the table of the lookup floor."""
        if frame[12:14] == b"\x08\x00":
            self._floor4.set(frame[26:38] + FLOOR_KEY_END, bytes(FLOOR_VALUE_BYTES))
        else:
            self._floor6.set(frame[22:58] + FLOOR_KEY_END, bytes(FLOOR_VALUE_BYTES))

    def load(self, frames: Sequence[bytes]) -> None:
        """The packets that repetitions take in turn. ValueError for too many, or too long a one."""
        longest = max(map(len, frames))
        if len(frames) > MAX_TEMPLATES or longest > FRAME_MAX:
            raise ValueError(f"{len(frames)} frames, the longest of {longest} bytes")
        for start in range(0, len(frames), BATCH):
            packed = [TEMPLATE.pack(len(f), f) for f in frames[start : start + BATCH]]
            self._templates.set_many(start, packed)
        self._first, self._count, self._next = frames[0], len(frames), 0

    def run(
        self, program_fd: int, repeat: int, *, clients: Clients | None = None, tc: bool = False
    ) -> Run:
        """Send the loaded packets through a program, each from another client if there are any."""
        (self._tc if tc else self._xdp).set(0, program_fd)
        at = (clients.step, clients.next, clients.count - 1) if clients else (0, 0, 0)
        self._state.set(0, STATE.pack(0, 0, self._count, self._next, *at, 0))
        restorer = self._object.program_fd("restore_tc" if tc else "restore_xdp")
        result = testrun.test_run(restorer, self._first, repeat=repeat)
        self._next = (self._next + repeat) % self._count
        if clients:
            clients.taken(repeat)
        # The kernel cuts the fraction off.
        return Run(result.duration_ns + 0.5, result.retval, result.data)

    def send_out(self, ifindex: int, count: int) -> None:
        """Send the loaded packets, all of one length, out of an interface of this namespace.

        OSError if the kernel refuses. veth takes them only if its peer has GRO or XDP.
        """
        self._state.set(0, STATE.pack(0, 0, self._count, 0, 0, 0, 0, 0))
        run = options("bpf_test_run_opts")
        frame, context = self._first, testrun.xdp_context(len(self._first), ifindex)
        run.data_in, run.data_size_in = ffi.from_buffer(frame), len(frame)
        run.ctx_in, run.ctx_size_in = ffi.from_buffer(context), len(context)
        run.repeat, run.flags, run.batch_size = count, LIVE_FRAMES, LIVE_BATCH
        code = library().bpf_prog_test_run_opts(self.program_fd("generate"), run)
        if code:
            raise OSError(-code, f"interface number {ifindex} takes no generated packets")
