"""How keys and values of maps turn into bytes and back: generated records, integers, raw bytes.

Everything is little-endian, as the packet programs are (lib/base.h asserts it). Network-order
fields are bytes on both sides, so they are never swapped by mistake.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Protocol, Self, TypeVar

__all__ = ["U32", "U64", "Codec", "Counter", "Integer", "Layout", "Raw", "Record", "RecordCodec"]

T = TypeVar("T")
R = TypeVar("R", bound="Record")


class Codec(Protocol[T]):
    """Turns a T into exactly `size` bytes and back."""

    @property
    def size(self) -> int: ...
    def pack(self, value: T) -> bytes: ...
    def unpack(self, data: bytes) -> T: ...


class Counter(Codec[T], Protocol[T]):
    """A codec whose values can be summed, as those that several CPUs counted are."""

    def add(self, values: list[T]) -> T: ...


@dataclass(frozen=True, slots=True)
class Integer:
    """An unsigned integer of `size` bytes."""

    size: int

    def pack(self, value: int) -> bytes:
        return value.to_bytes(self.size, "little")

    def unpack(self, data: bytes) -> int:
        return int.from_bytes(data, "little")

    def add(self, values: list[int]) -> int:
        return sum(values)


@dataclass(frozen=True, slots=True)
class Raw:
    """Bytes as they are, for instance an address in network order."""

    size: int

    def pack(self, value: bytes) -> bytes:
        return exactly(self.size)(value)

    def unpack(self, data: bytes) -> bytes:
        return data


U32 = Integer(4)
U64 = Integer(8)


def exactly(size: int) -> Callable[[bytes], bytes]:
    """A check that bytes have this size; struct.pack would pad or cut them silently."""

    def check(value: bytes) -> bytes:
        if len(value) != size:
            raise ValueError(f"{len(value)} bytes given, {size} wanted: {value!r}")
        return value

    return check


class Layout:
    """Where a struct's fields lie, given in order, one part each.

    A part is a struct format without byte order ("I", "4s" for bytes, "16Q" for a tuple of
    integers, "2x" for bytes that no field shows), a Record class for a nested struct, or a pair
    of a Record class and a count for an array of them.
    """

    __slots__ = ("_decoders", "_encoders", "_struct")

    def __init__(self, *parts: str | type[Record] | tuple[type[Record], int]) -> None:
        self._encoders: list[tuple[int, Callable[[Any], Any]]] = []
        self._decoders: list[tuple[int, Callable[[Any], Any]]] = []
        formats: list[str] = []
        index = 0
        for part in parts:
            code, encode, decode = _part(part)
            formats.append(code)
            if encode is not None:
                self._encoders.append((index, encode))
            if decode is not None:
                self._decoders.append((index, decode))
            index += not code.endswith("x")
        self._struct = struct.Struct("<" + "".join(formats))

    @property
    def size(self) -> int:
        """Bytes of the whole struct."""
        return self._struct.size

    def pack(self, values: list[Any]) -> bytes:
        """ValueError for bytes of the wrong length, integers out of range, or too few elements."""
        for index, encode in self._encoders:
            values[index] = encode(values[index])
        try:
            return self._struct.pack(*values)
        except struct.error as error:
            raise ValueError(f"{error}: {values!r}") from error

    def unpack(self, data: bytes) -> list[Any]:
        """ValueError unless `data` is exactly one struct."""
        values: list[Any] = list(self._struct.unpack(exactly(self.size)(data)))
        for index, decode in self._decoders:
            values[index] = decode(values[index])
        return values

    def rows(self, data: bytes) -> Iterator[tuple[Any, ...]]:
        """Many structs one behind the other, quickly: arrays and nested structs stay bytes."""
        return self._struct.iter_unpack(data)


_Part = tuple[str, Callable[[Any], Any] | None, Callable[[Any], Any] | None]


def _part(part: str | type[Record] | tuple[type[Record], int]) -> _Part:
    if isinstance(part, tuple):
        return _records(*part)
    if not isinstance(part, str):
        return f"{part.SIZE}s", part.pack, part.unpack
    if part.endswith("s"):
        return part, exactly(int(part[:-1])), None
    if part.endswith("x") or len(part) == 1:
        return part, None, None
    array = struct.Struct("<" + part)

    def encode(values: tuple[int, ...]) -> bytes:
        try:
            return array.pack(*values)
        except struct.error as error:
            raise ValueError(f"{error}: {values!r}") from error

    return f"{array.size}s", encode, array.unpack


def _records(record: type[Record], count: int) -> _Part:
    size = record.SIZE

    def encode(values: tuple[Record, ...]) -> bytes:
        if len(values) != count:
            raise ValueError(f"{len(values)} elements given, {count} wanted")
        return b"".join(value.pack() for value in values)

    def decode(data: bytes) -> tuple[Record, ...]:
        return tuple(record.unpack(data[i : i + size]) for i in range(0, len(data), size))

    return f"{size * count}s", encode, decode


class Record:
    """Base of the generated dataclasses: one C struct each."""

    __slots__ = ()
    SIZE: ClassVar[int]
    LAYOUT: ClassVar[Layout]
    __match_args__: ClassVar[tuple[str, ...]]  # the fields' names, set by dataclass

    def pack(self) -> bytes:
        """The struct's `SIZE` bytes; ValueError if a field does not fit."""
        return self.LAYOUT.pack([getattr(self, name) for name in self.__match_args__])

    @classmethod
    def unpack(cls, data: bytes) -> Self:
        """ValueError unless `data` has `SIZE` bytes."""
        return cls(*cls.LAYOUT.unpack(data))

    @classmethod
    def rows(cls, data: bytes) -> Iterator[tuple[Any, ...]]:
        """The fields of each of an array of structs, in order; arrays and nested ones as bytes."""
        return cls.LAYOUT.rows(data)


@dataclass(frozen=True, slots=True)
class RecordCodec(Generic[R]):
    """Values that are records of one class."""

    record: type[R]

    @property
    def size(self) -> int:
        return self.record.SIZE

    def pack(self, value: R) -> bytes:
        return value.pack()

    def unpack(self, data: bytes) -> R:
        return self.record.unpack(data)

    def add(self, values: list[R]) -> R:
        """Field by field; for records of counters."""
        columns = zip(*(self._row(value) for value in values), strict=True)
        return self.record(*(sum(column) for column in columns))

    def _row(self, value: R) -> list[int]:
        return [getattr(value, name) for name in self.record.__match_args__]
