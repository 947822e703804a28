"""One packet through a loaded program without any interface (BPF_PROG_TEST_RUN).

In a pytest module import this module and call `testrun.test_run`: imported by its own name, the
function would be collected as a test.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from pointsman.datapath.capi import ffi, library, options

__all__ = ["RunResult", "skb_context", "test_run", "xdp_context"]

ROOM = 4096  # a program may lengthen its packet by less than this
BPF_F_TEST_SKB_CHECKSUM_COMPLETE = 1 << 2  # of Linux >= 6.17
SKB_BYTES = 192
SKB_MARK = 8
SKB_IFINDEX = 40
SKB_GSO_SIZE = 176


class RunResult(NamedTuple):
    """What came of it. `retval` is signed, as TC's verdicts are; `duration_ns` is the mean."""

    retval: int
    data: bytes
    duration_ns: int


def test_run(
    prog_fd: int, data: bytes, *, ctx: bytes | None = None, repeat: int = 1, summed: bool = False
) -> RunResult:
    """Run an XDP or TC program on a frame, Ethernet header included. OSError if refused.

    Without `ctx` the frame comes from the loopback of this network namespace. With `repeat` the
    program sees its own output from the second time on: the packet is not restored. `summed` hands
    a TC program a driver's sum over the whole packet (CHECKSUM_COMPLETE); EBADMSG if that is not
    the packet's afterwards.
    """
    out = ffi.new("char[]", len(data) + ROOM)
    given = ffi.from_buffer(data)
    run = options("bpf_test_run_opts")
    run.data_in, run.data_size_in = given, len(data)
    run.data_out, run.data_size_out = out, len(data) + ROOM
    run.repeat = repeat
    run.flags = BPF_F_TEST_SKB_CHECKSUM_COMPLETE if summed else 0
    context = ffi.from_buffer(ctx or b"")
    if ctx is not None:
        run.ctx_in, run.ctx_size_in = context, len(ctx)
    code = library().bpf_prog_test_run_opts(prog_fd, run)
    if code:
        raise OSError(-code, f"test run of {len(data)} bytes refused")
    retval = int(ffi.cast("int32_t", run.retval))
    return RunResult(retval, bytes(ffi.buffer(out, run.data_size_out)), run.duration)


def xdp_context(frame_bytes: int, ifindex: int) -> bytes:
    """A struct xdp_md: a frame of this length that came in by this interface."""
    return struct.pack("<6I", 0, frame_bytes, 0, ifindex, 0, 0)


def skb_context(ifindex: int, mark: int = 0, gso_size: int = 0) -> bytes:
    """A struct __sk_buff: a packet at this interface, with this mark, made of such segments."""
    context = bytearray(SKB_BYTES)
    struct.pack_into("<I", context, SKB_MARK, mark)
    struct.pack_into("<I", context, SKB_IFINDEX, ifindex)
    struct.pack_into("<I", context, SKB_GSO_SIZE, gso_size)
    return bytes(context)
