"""How many tcx programs an interface has: Debian 12's tools don't know of them yet."""

from __future__ import annotations

import ctypes
import os
import platform
import socket
import struct

from pointsman.lab.lab import Lab

__all__ = ["tcx_programs"]

SYS_BPF = {"x86_64": 321, "aarch64": 280}[platform.machine()]
BPF_PROG_QUERY = 16
BPF_TCX_INGRESS = 46


def tcx_programs(lab: Lab, node: str, device: str = "e0") -> int:
    """At the ingress of a node's interface."""
    libc = ctypes.CDLL(None, use_errno=True)
    # target_ifindex, attach_type, query_flags, attach_flags, prog_ids, count, padding, ...
    with lab.enter_netns(node):
        attr = bytearray(
            struct.pack("=IIIIQII", 0, BPF_TCX_INGRESS, 0, 0, 0, 0, 0).ljust(64, b"\0")
        )
        struct.pack_into("=I", attr, 0, socket.if_nametoindex(device))
        buffer = (ctypes.c_char * len(attr)).from_buffer(attr)
        if libc.syscall(SYS_BPF, BPF_PROG_QUERY, buffer, len(attr)) < 0:
            number = ctypes.get_errno()
            if number == 2:  # ENOENT: never had one
                return 0
            raise OSError(number, os.strerror(number))
    count: int = struct.unpack_from("=I", attr, 24)[0]
    return count
