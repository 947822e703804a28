"""An eBPF object file on its way into the kernel: open, adjust, load, look up, close."""

from __future__ import annotations

import errno
import mmap
import os
import re
from enum import IntEnum
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pointsman.datapath.capi import captured_log, ffi, library, options
from pointsman.errors import SystemRefusal

__all__ = ["BpfObject", "LoadRefusal", "Map", "MapType"]

LOG_BYTES = 16 * 1024 * 1024  # the verifier's whole log, or else the load fails with ENOSPC
TOLD_LINES = 3


class MapType(IntEnum):
    """The kinds of map that Pointsman's programs use (enum bpf_map_type)."""

    HASH = 1
    ARRAY = 2
    PROG_ARRAY = 3
    PERCPU_HASH = 5
    PERCPU_ARRAY = 6
    LRU_HASH = 9
    LRU_PERCPU_HASH = 10
    LPM_TRIE = 11

    @property
    def per_cpu(self) -> bool:
        """Whether each key holds one value per possible CPU."""
        return self in (MapType.PERCPU_HASH, MapType.PERCPU_ARRAY, MapType.LRU_PERCPU_HASH)


class Map:
    """A loaded map's descriptor and shape. `fd` is -1 once its object is closed."""

    __slots__ = ("fd", "key_size", "max_entries", "name", "type", "value_size")

    def __init__(self, handle: Any, name: str) -> None:
        lib = library()
        self.name = name
        self.fd: int = lib.bpf_map__fd(handle)
        self.type = MapType(lib.bpf_map__type(handle))
        self.key_size: int = lib.bpf_map__key_size(handle)
        self.value_size: int = lib.bpf_map__value_size(handle)
        self.max_entries: int = lib.bpf_map__max_entries(handle)


class LoadRefusal(SystemRefusal):
    """The kernel or libbpf refused an object; `log` is all that both said about it."""

    def __init__(self, what: str, mend: str, log_text: str) -> None:
        super().__init__(what, mend)
        self.log = log_text


class BpfObject:
    """One object file: adjustable between construction and `load()`, usable until `close()`.

    Raises LoadRefusal where libbpf or the kernel refuses, and KeyError for a name that the
    object does not have.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._maps: dict[str, Map] = {}
        self._handle: Any = None
        # Untouched pages of an anonymous mapping cost nothing, so the log may be large.
        self._kernel_log = mmap.mmap(-1, LOG_BYTES)
        opening = options("bpf_object_open_opts")
        opening.kernel_log_buf = ffi.from_buffer("char[]", self._kernel_log)
        opening.kernel_log_size = LOG_BYTES
        with captured_log() as lines:
            handle = library().bpf_object__open_file(os.fsencode(path), opening)
        if handle == ffi.NULL:
            code = ffi.errno
            raise self._refusal("cannot be opened", code, lines)
        self._handle = handle

    def set_rodata(self, section: str, data: bytes) -> None:
        """Fill a read-only section whole, before load. ValueError if the size differs."""
        handle = self._section(section)
        code = library().bpf_map__set_initial_value(handle, ffi.from_buffer(data), len(data))
        if code:
            size = library().bpf_map__value_size(handle)
            raise ValueError(f"{self.path.name} {section}: {len(data)} bytes given, {size} wanted")

    def resize(self, name: str, max_entries: int) -> None:
        """Set a map's capacity, before load."""
        code = library().bpf_map__set_max_entries(self._find_map(name), max_entries)
        if code:
            raise OSError(-code, f"{self.path.name}: cannot resize map {name} to {max_entries}")

    def retype(self, name: str, kind: MapType) -> None:
        """Make a map one of another kind that programs use alike, before load."""
        code = library().bpf_map__set_type(self._find_map(name), kind)
        if code:
            raise OSError(-code, f"{self.path.name}: cannot make map {name} a {kind.name}")

    def set_autoload(self, program: str, *, autoload: bool) -> None:
        """Whether `load()` brings this program into the kernel."""
        code = library().bpf_program__set_autoload(self._find_program(program), autoload)
        if code:
            raise OSError(-code, f"{self.path.name}: cannot choose program {program}")

    def load(self) -> None:
        """Create the maps and have the programs verified."""
        with captured_log() as lines:
            code = library().bpf_object__load(self._open_handle())
        if code:
            raise self._refusal("was refused", -code, lines)

    def program_fd(self, name: str) -> int:
        """The descriptor of a loaded program; the object keeps it and closes it."""
        fd: int = library().bpf_program__fd(self._find_program(name))
        if fd < 0:
            raise OSError(-fd, f"{self.path.name}: program {name} is not loaded")
        return fd

    def map(self, name: str) -> Map:
        """A loaded map; the object keeps its descriptor and closes it."""
        if name not in self._maps:
            self._maps[name] = Map(self._find_map(name), name)
        return self._maps[name]

    def close(self) -> None:
        """Give every descriptor back; maps and programs go unless a link holds them. Repeatable."""
        for known in self._maps.values():
            known.fd = -1
        self._maps.clear()
        if self._handle is not None:
            library().bpf_object__close(self._handle)
            self._handle = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _open_handle(self) -> Any:
        if self._handle is None:
            raise ValueError(f"{self.path.name}: already closed")
        return self._handle

    def _find_map(self, name: str) -> Any:
        found = library().bpf_object__find_map_by_name(self._open_handle(), name.encode())
        if found == ffi.NULL:
            raise KeyError(f"{self.path.name} has no map {name}")
        return found

    def _find_program(self, name: str) -> Any:
        found = library().bpf_object__find_program_by_name(self._open_handle(), name.encode())
        if found == ffi.NULL:
            raise KeyError(f"{self.path.name} has no program {name}")
        return found

    def _section(self, section: str) -> Any:
        lib, handle = library(), self._open_handle()
        found = lib.bpf_object__next_map(handle, ffi.NULL)
        while found != ffi.NULL:
            # libbpf names the map of a section by the object's name and the section's.
            name: Any = ffi.string(lib.bpf_map__name(found))
            if name.decode().endswith(section):
                return found
            found = lib.bpf_object__next_map(handle, found)
        raise KeyError(f"{self.path.name} has no section {section}")

    def _refusal(self, verb: str, code: int, lines: list[str]) -> LoadRefusal:
        end = self._kernel_log.find(b"\0")
        kernel = self._kernel_log[: max(end, 0)].decode(errors="replace").splitlines()
        text = "\n".join([*lines, *kernel])
        told = "; ".join(_telling(kernel)) or "; ".join(_telling(lines)) or os.strerror(code)
        return LoadRefusal(f"{_subject(self.path, lines)} {verb}: {told}", _mend(code), text)


def _subject(path: Path, lines: list[str]) -> str:
    """The program or map that libbpf complained about, or the file."""
    for line in lines:
        if match := re.search(r"(prog|map) '([^']+)'.*failed", line):
            kind = {"prog": "program", "map": "map"}[match[1]]
            return f"{path.name}: {kind} {match[2]}"
    return str(path)


def _telling(lines: list[str]) -> list[str]:
    """The last lines that say what was wrong, without statistics and register dumps."""
    noise = re.compile(
        r"^(processed \d|verification time|stack depth|peak_states|\d+: |;|\s*$"
        r"|libbpf: failed to load object|.*Retrying without BTF)"
    )
    telling = [line.removeprefix("libbpf: ").strip(" .") for line in lines if not noise.match(line)]
    return telling[-TOLD_LINES:]


def _mend(code: int) -> str:
    if code in (errno.EPERM, errno.EACCES) and os.geteuid() != 0:
        return "run as root (or with CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON)"
    if code == errno.ENOENT:
        return "build the objects: make build"
    if code in (errno.ENOMEM, errno.E2BIG):
        return "give the machine more memory, or lower max_flows in the site file"
    return "use Linux 6.8 or newer and objects built for this version: make build"
