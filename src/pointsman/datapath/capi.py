"""The part of libbpf's C interface that Pointsman calls, through cffi without a compiler.

Only declarations, the loaded library and its log. libbpf's `*_opts` structs begin with their own
size, so the ones below stop after the last field that is used.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import Any

from cffi import FFI

from pointsman.errors import SystemRefusal

__all__ = [
    "SONAME",
    "captured_log",
    "ffi",
    "library",
    "open_library",
    "options",
    "possible_cpus",
]

SONAME = "libbpf.so.1"
MESSAGE_BYTES = 65536
LIBBPF_DEBUG = 2

ffi = FFI()
ffi.cdef(
    """
    struct bpf_object;
    struct bpf_program;
    struct bpf_map;
    struct btf;

    struct bpf_object_open_opts {
        size_t sz;
        const char *object_name;
        bool relaxed_maps;
        const char *pin_root_path;
        uint32_t removed;
        const char *kconfig;
        const char *btf_custom_path;
        char *kernel_log_buf;
        size_t kernel_log_size;
        uint32_t kernel_log_level;
    };
    struct bpf_object *bpf_object__open_file(const char *path,
                                             const struct bpf_object_open_opts *opts);
    int bpf_object__load(struct bpf_object *obj);
    void bpf_object__close(struct bpf_object *obj);
    struct bpf_program *bpf_object__find_program_by_name(const struct bpf_object *obj,
                                                         const char *name);
    struct bpf_map *bpf_object__find_map_by_name(const struct bpf_object *obj, const char *name);
    struct bpf_map *bpf_object__next_map(const struct bpf_object *obj, const struct bpf_map *map);

    int bpf_program__fd(const struct bpf_program *prog);
    int bpf_program__set_autoload(struct bpf_program *prog, bool autoload);

    const char *bpf_map__name(const struct bpf_map *map);
    int bpf_map__fd(const struct bpf_map *map);
    int bpf_map__type(const struct bpf_map *map);
    uint32_t bpf_map__key_size(const struct bpf_map *map);
    uint32_t bpf_map__value_size(const struct bpf_map *map);
    uint32_t bpf_map__max_entries(const struct bpf_map *map);
    int bpf_map__set_type(struct bpf_map *map, int type);
    int bpf_map__set_max_entries(struct bpf_map *map, uint32_t max_entries);
    int bpf_map__set_initial_value(struct bpf_map *map, const void *data, size_t size);

    struct bpf_map_batch_opts { size_t sz; uint64_t elem_flags; uint64_t flags; };
    int bpf_map_lookup_elem(int fd, const void *key, void *value);
    int bpf_map_update_elem(int fd, const void *key, const void *value, uint64_t flags);
    int bpf_map_delete_elem(int fd, const void *key);
    int bpf_map_lookup_batch(int fd, void *in_batch, void *out_batch, void *keys, void *values,
                             uint32_t *count, const struct bpf_map_batch_opts *opts);
    int bpf_map_update_batch(int fd, const void *keys, const void *values, uint32_t *count,
                             const struct bpf_map_batch_opts *opts);
    int bpf_map_delete_batch(int fd, const void *keys, uint32_t *count,
                             const struct bpf_map_batch_opts *opts);

    struct bpf_link_create_opts { size_t sz; uint32_t flags; };
    int bpf_link_create(int prog_fd, int target_fd, int attach_type,
                        const struct bpf_link_create_opts *opts);
    int bpf_xdp_query_id(int ifindex, int flags, uint32_t *prog_id);
    int bpf_prog_get_fd_by_id(uint32_t id);
    int bpf_obj_get_info_by_fd(int fd, void *info, uint32_t *info_len);

    struct bpf_test_run_opts {
        size_t sz;
        const void *data_in;
        void *data_out;
        uint32_t data_size_in;
        uint32_t data_size_out;
        const void *ctx_in;
        void *ctx_out;
        uint32_t ctx_size_in;
        uint32_t ctx_size_out;
        uint32_t retval;
        int repeat;
        uint32_t duration;
        uint32_t flags;
        uint32_t cpu;
        uint32_t batch_size;
    };
    int bpf_prog_test_run_opts(int prog_fd, struct bpf_test_run_opts *opts);

    struct btf *btf__parse(const char *path, struct btf **ext);
    int32_t btf__find_by_name_kind(const struct btf *btf, const char *name, uint32_t kind);
    void btf__free(struct btf *btf);

    int libbpf_num_possible_cpus(void);
    typedef int (*libbpf_print_fn_t)(int level, const char *format, void *arguments);
    libbpf_print_fn_t libbpf_set_print(libbpf_print_fn_t fn);

    int vsnprintf(char *text, size_t size, const char *format, void *arguments);
    """
)

_libc: Any = ffi.dlopen(None)
_lines: ContextVar[list[str] | None] = ContextVar("libbpf_log", default=None)


# A va_list travels as a pointer on x86-64 and on arm64, so it can be handed on as one.
@ffi.callback("int(int, const char *, void *)")
def _print(level: int, format_: Any, arguments: Any) -> int:
    lines = _lines.get()
    if lines is None or level >= LIBBPF_DEBUG:
        return 0
    text = ffi.new("char[]", MESSAGE_BYTES)
    _libc.vsnprintf(text, MESSAGE_BYTES, format_, arguments)
    message = ffi.string(text)
    assert isinstance(message, bytes)
    lines.extend(message.decode(errors="replace").splitlines())
    return 0


@contextmanager
def captured_log() -> Iterator[list[str]]:
    """What libbpf says during the block, line by line; outside such a block it is silent."""
    lines: list[str] = []
    token = _lines.set(lines)
    try:
        yield lines
    finally:
        _lines.reset(token)


def open_library(soname: str) -> Any:
    """libbpf itself; SystemRefusal if it is not installed."""
    try:
        loaded: Any = ffi.dlopen(soname)
    except OSError as error:
        raise SystemRefusal(
            f"{soname}: cannot be loaded ({error})", "install it: apt install libbpf1"
        ) from error
    loaded.libbpf_set_print(_print)
    return loaded


@lru_cache(maxsize=1)
def library() -> Any:
    """The one loaded libbpf of this process."""
    return open_library(SONAME)


def options(struct: str) -> Any:
    """A zeroed `*_opts` struct that knows its size."""
    made: Any = ffi.new(f"struct {struct} *")
    made.sz = ffi.sizeof(f"struct {struct}")
    return made


@lru_cache(maxsize=1)
def possible_cpus() -> int:
    """Number of values that a per-CPU map holds for each key."""
    count: int = library().libbpf_num_possible_cpus()
    if count < 1:
        raise OSError(-count, "cannot count the possible CPUs")
    return count
