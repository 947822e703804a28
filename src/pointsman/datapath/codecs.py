"""How keys and values of maps turn into bytes and back: generated records, integers, raw bytes."""

from __future__ import annotations

from dataclasses import dataclass, fields
from operator import attrgetter
from struct import Struct
from typing import Any, ClassVar, Protocol, Self

__all__ = ["U32", "U64", "Codec", "Integer", "Layout", "Raw", "Record", "RecordCodec"]


class Codec[T](Protocol):
    """Turns a T into exactly `size` bytes and back."""

    @property
    def size(self) -> int: ...
    def pack(self, value: T) -> bytes: ...
    def unpack(self, data: bytes) -> T: ...
