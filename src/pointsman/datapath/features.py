"""What the machine must have, checked before anything is set up: one refusal for each lack."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from pointsman.datapath.capi import SONAME, ffi, library, open_library
from pointsman.errors import SystemRefusal

__all__ = [
    "OBJECTS",
    "require_btf",
    "require_kfunc",
    "require_libbpf",
    "require_objects",
    "require_root",
    "require_syncookies",
]

OBJECTS = Path(__file__).parent / "bpf"
KERNEL_BTF = Path("/sys/kernel/btf/vmlinux")
SYNCOOKIES = Path("/proc/sys/net/ipv4/tcp_syncookies")
BTF_KIND_FUNC = 12


def require_root() -> None:
    """Loading programs and making links, addresses and routes takes root."""
    if os.geteuid() != 0:
        raise SystemRefusal(
            f"not root (user id {os.geteuid()})", "run as root, for instance by sudo"
        )


def require_libbpf(soname: str = SONAME) -> None:
    """libbpf 1.x can be loaded."""
    if soname == SONAME:
        library()
    else:
        open_library(soname)


def require_objects(names: Iterable[str], folder: Path = OBJECTS) -> None:
    """These compiled packet programs are there, for instance "unit.bpf.o"."""
    for name in names:
        path = folder / name
        if not path.is_file():
            raise SystemRefusal(
                f"{path}: the compiled packet program is missing",
                "make build (it needs clang: apt install clang libbpf-dev)",
            )


def require_btf(path: Path = KERNEL_BTF) -> None:
    """The kernel describes its own types."""
    if not path.exists():
        raise SystemRefusal(
            f"{path}: missing, so the kernel has no BTF",
            "use a kernel with CONFIG_DEBUG_INFO_BTF=y, as Debian's, 6.8 or newer",
        )


def require_kfunc(name: str, path: Path = KERNEL_BTF) -> None:
    """The kernel offers this function to packet programs."""
    require_btf(path)
    btf = library().btf__parse(os.fsencode(path), ffi.NULL)
    if btf == ffi.NULL:
        code = ffi.errno
        raise SystemRefusal(
            f"{path}: cannot be read as BTF: {os.strerror(code)}", "use Linux 6.8 or newer"
        )
    try:
        number = library().btf__find_by_name_kind(btf, name.encode(), BTF_KIND_FUNC)
    finally:
        library().btf__free(btf)
    if number <= 0:
        raise SystemRefusal(
            f"kernel {os.uname().release}: has no {name}()",
            "use Linux 6.8 or newer, built with CONFIG_SYN_COOKIES=y",
        )


def require_syncookies(path: Path = SYNCOOKIES) -> None:
    """The kernel accepts the end of a handshake that it did not begin (host only)."""
    try:
        value = int(path.read_text())
    except FileNotFoundError as error:
        raise SystemRefusal(
            f"{path}: missing, so the kernel has no SYN cookies",
            "use a kernel with CONFIG_SYN_COOKIES=y",
        ) from error
    if value < 1:
        raise SystemRefusal(f"{path}: is {value}", "sysctl -w net.ipv4.tcp_syncookies=1")
