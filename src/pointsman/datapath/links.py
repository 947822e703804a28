"""Attaching programs to interfaces by links: when the process dies, however, the link goes too."""

from __future__ import annotations

import errno
import os
import socket
from types import TracebackType
from typing import Self

from pointsman.datapath.capi import ffi, library, options
from pointsman.errors import SystemRefusal

__all__ = ["Link", "attach_tcx_egress", "attach_tcx_ingress", "attach_xdp", "require_no_xdp"]

BPF_XDP = 37
BPF_TCX_INGRESS = 46
BPF_TCX_EGRESS = 47
BPF_F_BEFORE = 1 << 3
BPF_F_AFTER = 1 << 4
XDP_FLAGS_SKB_MODE = 1 << 1
XDP_FLAGS_DRV_MODE = 1 << 2
INFO_BYTES = 80  # struct bpf_prog_info up to and with its name
INFO_NAME = 64


class Link:
    """An attached program. Closing it, or the end of the process, detaches."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def close(self) -> None:
        """Detach. Repeatable."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def attach_xdp(prog_fd: int, ifindex: int, *, generic: bool) -> Link:
    """Run an XDP program on an interface of this network namespace.

    `generic` takes the path that every device has instead of the driver's own. SystemRefusal if
    the interface is missing or occupied, or its driver has no XDP.
    """
    fd = _create(prog_fd, ifindex, BPF_XDP, XDP_FLAGS_SKB_MODE if generic else XDP_FLAGS_DRV_MODE)
    if fd >= 0:
        return Link(fd)
    name = _interface(ifindex, -fd)
    if -fd in (errno.EBUSY, errno.EEXIST):
        raise _occupied(name, _occupant(ifindex))
    if -fd == errno.EOPNOTSUPP and not generic:
        raise SystemRefusal(
            f"interface {name}: its driver has no native XDP",
            "set xdp: generic for this unit in the site file",
        )
    raise _refusal(name, "XDP", -fd)


def require_no_xdp(ifindex: int) -> None:
    """SystemRefusal if attach_xdp() would meet another program, said before anything is changed."""
    if occupant := _occupant(ifindex):
        raise _occupied(_interface(ifindex, 0), occupant)


def attach_tcx_ingress(prog_fd: int, ifindex: int) -> Link:
    """Run a program first among those at an interface's ingress.

    First, so that other programs there see the clients' addresses, not the tunnel's.
    SystemRefusal if the interface is missing or the kernel older than 6.6.
    """
    fd = _create(prog_fd, ifindex, BPF_TCX_INGRESS, BPF_F_BEFORE)
    if fd >= 0:
        return Link(fd)
    raise _refusal(_interface(ifindex, -fd), "the TC ingress", -fd)


def attach_tcx_egress(prog_fd: int, ifindex: int) -> Link:
    """Run a program last among those at an interface's egress.

    Last, so that other programs there see what the application sends. SystemRefusal as at ingress.
    """
    fd = _create(prog_fd, ifindex, BPF_TCX_EGRESS, BPF_F_AFTER)
    if fd >= 0:
        return Link(fd)
    raise _refusal(_interface(ifindex, -fd), "the TC egress", -fd)


def _create(prog_fd: int, ifindex: int, attach_type: int, flags: int) -> int:
    create = options("bpf_link_create_opts")
    create.flags = flags
    fd: int = library().bpf_link_create(prog_fd, ifindex, attach_type, create)
    return fd


def _interface(ifindex: int, code: int) -> str:
    """The interface's name; SystemRefusal if there is none, which `code` may be about."""
    try:
        name = socket.if_indextoname(ifindex)
    except OSError:
        name = ""
    if not name or code == errno.ENODEV:
        raise SystemRefusal(
            f"interface {name or f'number {ifindex}'}: missing in this network namespace",
            "create it, or correct its name in the site file",
        )
    return name


def _occupied(name: str, occupant: str) -> SystemRefusal:
    return SystemRefusal(
        f"interface {name}: another XDP program is already attached{occupant}",
        f"detach it: ip link set dev {name} xdp off, or stop the process that attached it",
    )


def _occupant(ifindex: int) -> str:
    """The attached program's number and name, as far as they can be had; "" if there is none."""
    number = ffi.new("uint32_t *")
    code = library().bpf_xdp_query_id(ifindex, 0, number)
    if code or not number[0]:  # it went away meanwhile
        return ""
    fd = library().bpf_prog_get_fd_by_id(number[0])
    if fd < 0:
        return f" (id {number[0]})"
    try:
        return f" (id {number[0]}, name {_program_name(fd)})"
    finally:
        os.close(fd)


def _program_name(prog_fd: int) -> str:
    info = ffi.new("char[]", INFO_BYTES)
    size = ffi.new("uint32_t *", INFO_BYTES)
    code = library().bpf_obj_get_info_by_fd(prog_fd, info, size)
    if code:
        raise OSError(-code, "cannot read a program's name")
    return bytes(ffi.buffer(info))[INFO_NAME:].rstrip(b"\0").decode(errors="replace")


def _refusal(name: str, where: str, code: int) -> SystemRefusal:
    mend = {
        errno.EPERM: "run as root (or with CAP_BPF and CAP_NET_ADMIN)",
        errno.EINVAL: "use Linux 6.8 or newer, and a program of the kind this place takes",
        errno.EOPNOTSUPP: "use another interface: this one takes no programs",
    }.get(code, "see the kernel's log: dmesg")
    return SystemRefusal(
        f"interface {name}: {where} refused the program: {os.strerror(code)}", mend
    )
