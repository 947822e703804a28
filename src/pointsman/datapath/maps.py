"""Maps of a loaded object as typed Python collections; every access is a system call.

A map outlives none of its object: after `BpfObject.close()` each access raises OSError (EBADF).
"""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from typing import Any, Generic, TypeVar

from pointsman.datapath.capi import ffi, library, possible_cpus
from pointsman.datapath.codecs import U32, Codec, Counter, Raw, exactly
from pointsman.datapath.libbpf import Map, MapType
from pointsman.errors import SystemRefusal

__all__ = ["Array", "Hash", "PerCpuArray", "ProgArray", "RawArray"]

K = TypeVar("K")
V = TypeVar("V")

BATCH = 4096
HASHES = (MapType.HASH, MapType.LRU_HASH, MapType.LPM_TRIE)


class _Batches:
    """Raw batched access to one map, shared by the typed ones."""

    __slots__ = ("map", "value_bytes")

    def __init__(self, map_: Map, value_bytes: int) -> None:
        self.map = map_
        self.value_bytes = value_bytes

    def read(self, size: int, after: bytes | None = None) -> Iterator[tuple[bytes, bytes, int]]:
        """Keys, values and their number, batch by batch; `after` is an array index to start past.

        Entries that come or go meanwhile may be missed; none is seen twice.
        """
        token = ffi.new("char[]", max(self.map.key_size, 8))
        if after is not None:
            ffi.memmove(token, after, len(after))
        cursor: Any = ffi.NULL if after is None else token
        count = ffi.new("uint32_t *")
        done = False
        while not done:
            keys = ffi.new("char[]", size * self.map.key_size)
            values = ffi.new("char[]", size * self.value_bytes)
            count[0] = size
            code = -library().bpf_map_lookup_batch(
                self.map.fd, cursor, token, keys, values, count, ffi.NULL
            )
            if code == errno.ENOSPC:  # a bucket of the hash table is fuller than the batch
                size *= 2
                continue
            _check(code, self.map, errno.ENOENT)
            done = code == errno.ENOENT
            cursor = token
            if count[0]:
                used = count[0]
                yield (
                    bytes(ffi.buffer(keys, used * self.map.key_size)),
                    bytes(ffi.buffer(values, used * self.value_bytes)),
                    used,
                )

    def delete(self, keys: bytes) -> None:
        """Delete these keys; those that are gone already do not matter."""
        step = self.map.key_size
        count = ffi.new("uint32_t *")
        while keys:
            count[0] = len(keys) // step
            code = -library().bpf_map_delete_batch(
                self.map.fd, ffi.from_buffer(keys), count, ffi.NULL
            )
            _check(code, self.map, errno.ENOENT)
            keys = keys[(count[0] + (code == errno.ENOENT)) * step :]


class Hash(Generic[K, V]):
    """A hash, LRU hash or prefix trie. `map` is where it lies, codecs say what it holds."""

    __slots__ = ("_batches", "key", "map", "value")

    def __init__(self, map_: Map, key: Codec[K], value: Codec[V]) -> None:
        _expect(map_, HASHES, key.size, value.size)
        self.map = map_
        self.key = key
        self.value = value
        self._batches = _Batches(map_, value.size)

    def get(self, key: K) -> V:
        """KeyError if it is missing."""
        out = ffi.new("char[]", self.value.size)
        code = -library().bpf_map_lookup_elem(self.map.fd, _in(self.key.pack(key)), out)
        if code == errno.ENOENT:
            raise KeyError(key)
        _check(code, self.map)
        return self.value.unpack(bytes(ffi.buffer(out)))

    def set(self, key: K, value: V) -> None:
        """Put or replace. SystemRefusal if the map is full."""
        packed_key, packed = self.key.pack(key), self.value.pack(value)
        code = -library().bpf_map_update_elem(self.map.fd, _in(packed_key), _in(packed), 0)
        if code in (errno.E2BIG, errno.ENOSPC):
            raise SystemRefusal(
                f"map {self.map.name}: full at {self.map.max_entries} entries",
                "restart the process, which sizes it by the site file",
            )
        _check(code, self.map)

    def delete(self, key: K) -> None:
        """KeyError if it is missing."""
        code = -library().bpf_map_delete_elem(self.map.fd, _in(self.key.pack(key)))
        if code == errno.ENOENT:
            raise KeyError(key)
        _check(code, self.map)

    def raw_batches(self, size: int = BATCH) -> Iterator[tuple[bytes, bytes, int]]:
        """Packed keys, packed values and their number: for tables too large for an object each."""
        return self._batches.read(min(size, self.map.max_entries))

    def items_batched(self, size: int = BATCH) -> Iterator[list[tuple[K, V]]]:
        """All entries, about `size` a system call; the caller may do other work between."""
        key_size, value_size = self.key.size, self.value.size
        for keys, values, count in self.raw_batches(size):
            yield [
                (
                    self.key.unpack(keys[i * key_size : (i + 1) * key_size]),
                    self.value.unpack(values[i * value_size : (i + 1) * value_size]),
                )
                for i in range(count)
            ]

    def items(self) -> Iterator[tuple[K, V]]:
        """All entries, in no order."""
        for batch in self.items_batched():
            yield from batch

    def clear(self) -> None:
        """Delete every entry."""
        while keys := next(self.raw_batches(), (b"", b"", 0))[0]:
            self._batches.delete(keys)


class _Indexed(Generic[V]):
    """What arrays have in common: a fixed length and slots that always exist."""

    __slots__ = ("_batches", "_slot_bytes", "map", "value")

    def __init__(self, map_: Map, value: Codec[V], kind: MapType, slot_bytes: int) -> None:
        _expect(map_, (kind,), U32.size, value.size)
        self.map = map_
        self.value = value
        self._slot_bytes = slot_bytes
        self._batches = _Batches(map_, slot_bytes)

    def __len__(self) -> int:
        return self.map.max_entries

    def _check_range(self, first: int, count: int) -> None:
        if first < 0 or count < 0 or first + count > len(self):
            wanted = f"{first} to {first + count}"
            raise IndexError(f"map {self.map.name}: {wanted} of {len(self)} entries")

    def _read(self, index: int) -> bytes:
        self._check_range(index, 1)
        out = ffi.new("char[]", self._slot_bytes)
        _check(-library().bpf_map_lookup_elem(self.map.fd, _in(U32.pack(index)), out), self.map)
        return bytes(ffi.buffer(out))

    def _write(self, index: int, slot: bytes) -> None:
        self._check_range(index, 1)
        key = _in(U32.pack(index))
        _check(-library().bpf_map_update_elem(self.map.fd, key, _in(slot), 0), self.map)

    def _slots(self, first: int, count: int) -> Iterator[bytes]:
        """Slots [first, first + count)."""
        self._check_range(first, count)
        after = U32.pack(first - 1) if first else None
        size = self._slot_bytes
        batches = self._batches.read(max(1, min(count, BATCH)), after)
        while count:
            _, slots, got = next(batches)
            got = min(got, count)
            yield from (slots[i * size : (i + 1) * size] for i in range(got))
            count -= got


class Array(_Indexed[V]):
    """An array map: indexes from 0 to its length, all values there from the start, zeroed."""

    __slots__ = ()

    def __init__(self, map_: Map, value: Codec[V]) -> None:
        # The kernel rounds slots up inside; what it copies to us has the value's own size.
        super().__init__(map_, value, MapType.ARRAY, value.size)

    def get(self, index: int) -> V:
        """IndexError past the end."""
        return self.value.unpack(self._read(index))

    def set(self, index: int, value: V) -> None:
        """One update; atomic for the packet programs if the value is an aligned 8 bytes or less."""
        self._write(index, self.value.pack(value))

    def set_many(self, first: int, values: Sequence[V]) -> None:
        """Fill [first, first + len(values)) in one system call."""
        self._check_range(first, len(values))
        if not values:
            return
        keys = b"".join(U32.pack(first + i) for i in range(len(values)))
        packed = b"".join(self.value.pack(value) for value in values)
        count = ffi.new("uint32_t *", len(values))
        code = library().bpf_map_update_batch(self.map.fd, _in(keys), _in(packed), count, ffi.NULL)
        _check(-code, self.map)

    def values(self, first: int = 0, count: int | None = None) -> list[V]:
        """The values of [first, first + count), by default of the whole array."""
        wanted = len(self) - first if count is None else count
        return [self.value.unpack(slot) for slot in self._slots(first, wanted)]


class RawArray(_Indexed[bytes]):
    """An array, or one a CPU, whose slots are bytes: of all CPUs one behind the other."""

    __slots__ = ("copies",)

    def __init__(self, map_: Map, size: int) -> None:
        _expect(map_, (MapType.ARRAY, MapType.PERCPU_ARRAY), U32.size, size)
        self.copies = possible_cpus() if map_.type is MapType.PERCPU_ARRAY else 1
        if size % 8:
            raise ValueError(f"slots of {size} bytes are no whole words")
        super().__init__(map_, Raw(size), map_.type, size * self.copies)

    def get(self, index: int) -> bytes:
        """IndexError past the end."""
        return self._read(index)

    def set(self, index: int, slot: bytes) -> None:
        """IndexError past the end; ValueError for bytes of another length."""
        self._write(index, exactly(self._slot_bytes)(slot))

    def batches(self, size: int) -> Iterator[bytes]:
        """All slots in their order, `size` a system call."""
        return (slots for _, slots, _ in self._batches.read(min(size, len(self))))


class PerCpuArray(_Indexed[V]):
    """An array with one value per index and possible CPU."""

    __slots__ = ("_counter", "_stride")

    def __init__(self, map_: Map, value: Counter[V]) -> None:
        self._counter = value
        self._stride = (value.size + 7) // 8 * 8
        super().__init__(map_, value, MapType.PERCPU_ARRAY, self._stride * possible_cpus())

    def get(self, index: int) -> list[V]:
        """The values of all possible CPUs, in their order."""
        return self._per_cpu(self._read(index))

    def set(self, index: int, values: Sequence[V]) -> None:
        """One value for each possible CPU."""
        if len(values) != possible_cpus():
            raise ValueError(f"{len(values)} values given for {possible_cpus()} possible CPUs")
        packed = (self.value.pack(value).ljust(self._stride, b"\0") for value in values)
        self._write(index, b"".join(packed))

    def total(self, index: int) -> V:
        """The sum over all CPUs."""
        return self._counter.add(self.get(index))

    def totals(self, first: int = 0, count: int | None = None) -> list[V]:
        """The sums of [first, first + count), by default of the whole array."""
        wanted = len(self) - first if count is None else count
        return [self._counter.add(self._per_cpu(slot)) for slot in self._slots(first, wanted)]

    def _per_cpu(self, slot: bytes) -> list[V]:
        starts = range(0, self._slot_bytes, self._stride)
        return [self.value.unpack(slot[at : at + self.value.size]) for at in starts]


class ProgArray:
    """Targets of tail calls; write-only but for emptying, since reading gives ids only."""

    __slots__ = ("map",)

    def __init__(self, map_: Map) -> None:
        _expect(map_, (MapType.PROG_ARRAY,), U32.size, U32.size)
        self.map = map_

    def set(self, index: int, program_fd: int) -> None:
        """Let tail calls of `index` reach this program."""
        key, value = _in(U32.pack(index)), _in(U32.pack(program_fd))
        _check(-library().bpf_map_update_elem(self.map.fd, key, value, 0), self.map)

    def delete(self, index: int) -> None:
        """Let tail calls of `index` fall through; KeyError if they do already."""
        code = -library().bpf_map_delete_elem(self.map.fd, _in(U32.pack(index)))
        if code == errno.ENOENT:
            raise KeyError(index)
        _check(code, self.map)


def _in(data: bytes) -> Any:
    return ffi.from_buffer(data)


def _check(code: int, map_: Map, *harmless: int) -> None:
    if code and code not in harmless:
        raise OSError(code, f"map {map_.name}")


def _expect(map_: Map, kinds: tuple[MapType, ...], key_bytes: int, value_bytes: int) -> None:
    """Refuse a map of another build of the objects before it is misread."""
    if map_.type in kinds and (map_.key_size, map_.value_size) == (key_bytes, value_bytes):
        return
    raise SystemRefusal(
        f"map {map_.name}: {map_.type.name} of {map_.key_size} + {map_.value_size} bytes, "
        f"where {kinds[0].name} of {key_bytes} + {value_bytes} is expected",
        "build the objects anew: make build",
    )
