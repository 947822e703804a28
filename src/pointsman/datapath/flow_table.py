"""The table of routes as Python sees it: buckets of slots, found by hash (bpf/lib/flow_table.h)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Generic, TypeVar

from pointsman.datapath.abi import FLOW_WAYS, Flow, FlowHead, FlowKey4, FlowKey6
from pointsman.datapath.capi import possible_cpus
from pointsman.datapath.libbpf import Map
from pointsman.datapath.maps import RawArray
from pointsman.errors import SystemRefusal

__all__ = ["FlowTable", "bucket_count"]

K = TypeVar("K", FlowKey4, FlowKey6)

SLACK = 2
"""Slots to each route that must fit: at half its load, one bucket in some 250 overflows."""
WORD = (1 << 64) - 1
PRINTS = struct.Struct(f"<{FLOW_WAYS}H")
PRINTS_AT = FlowHead.SIZE - PRINTS.size
NO_PRINTS = bytes(PRINTS.size)
BATCH = 128
"""Buckets a system call: some 100 KB."""


def bucket_count(max_flows: int, *, per_cpu: bool) -> int:
    """How many buckets hold so many routes, of one CPU if each has its own; a power of two."""
    share = -(-max_flows // possible_cpus()) if per_cpu else max_flows
    least = -(-share * SLACK // FLOW_WAYS)
    return 1 << (least - 1).bit_length()


class FlowTable(Generic[K]):
    """One family's routes. `key` is the record of its keys, `seed` that of the programs' hash.

    Reading goes on beside the packets. Writing rewrites a whole bucket: only where no packet of
    that bucket comes in meanwhile.
    """

    def __init__(self, map_: Map, key: type[K], seed: int) -> None:
        self.map = map_
        self._key: type[K] = key
        self._seed = seed
        self._slot = key.SIZE + Flow.SIZE
        self._bytes = FlowHead.SIZE + FLOW_WAYS * self._slot
        self._buckets = RawArray(map_, self._bytes)

    def place(self, key: K) -> tuple[int, int]:
        """Bucket and fingerprint, as flow_place_of() of the programs."""
        packed = key.pack()
        value = self._seed
        for (word,) in struct.iter_unpack("<Q", packed):
            value = ((value ^ word) * 0x9E3779B97F4A7C15) & WORD
            value ^= value >> 32
        value = (value * 0xD6E8FEB86659FD93) & WORD
        return (value >> 32) & (len(self._buckets) - 1), (value >> 16) & 0xFFFF or 1

    def get(self, key: K) -> Flow:
        """KeyError if it is missing; of several CPUs' routes, the first."""
        bucket, print_ = self.place(key)
        slots = self._buckets.get(bucket)
        for start in self._copies():
            at = self._find(slots, start, print_, key.pack())
            if at is not None:
                return Flow.unpack(slots[at + self._key.SIZE : at + self._slot])
        raise KeyError(key)

    def set(self, key: K, flow: Flow) -> None:
        """Puts a route in, for every CPU. SystemRefusal if the bucket is full."""
        bucket, print_ = self.place(key)
        slots = bytearray(self._buckets.get(bucket))
        packed = key.pack()
        for start in self._copies():
            at = self._find(bytes(slots), start, print_, packed)
            if at is None:
                way = self._free(bytes(slots), start)
                struct.pack_into("<H", slots, start + PRINTS_AT + 2 * way, print_)
                at = start + FlowHead.SIZE + way * self._slot
            slots[at : at + self._slot] = packed + flow.pack()
        self._buckets.set(bucket, bytes(slots))

    def raw_batches(self) -> Iterator[tuple[bytes, bytes, int]]:
        """Packed keys, packed routes and their number: for tables too large for an object each."""
        for slots in self._buckets.batches(BATCH):
            used = [slots[at : at + self._slot] for at in self._used(slots)]
            size = self._key.SIZE
            yield (
                b"".join(slot[:size] for slot in used),
                b"".join(slot[size:] for slot in used),
                len(used),
            )

    def items(self) -> Iterator[tuple[K, Flow]]:
        """All routes, in no order."""
        size = self._key.SIZE
        for keys, flows, count in self.raw_batches():
            for i in range(count):
                flow = flows[i * Flow.SIZE : (i + 1) * Flow.SIZE]
                yield self._key.unpack(keys[i * size : (i + 1) * size]), Flow.unpack(flow)

    def clear(self) -> None:
        """Forgets all routes."""
        nothing = bytes(self._bytes * self._buckets.copies)
        first = 0
        for slots in self._buckets.batches(BATCH):
            count = len(slots) // len(nothing)
            for bucket in range(count):
                at = bucket * len(nothing)
                if slots[at : at + len(nothing)] != nothing:
                    self._buckets.set(first + bucket, nothing)
            first += count

    def _copies(self) -> range:
        return range(0, self._bytes * self._buckets.copies, self._bytes)

    def _find(self, slots: bytes, start: int, print_: int, packed: bytes) -> int | None:
        prints = PRINTS.unpack_from(slots, start + PRINTS_AT)
        for way, one in enumerate(prints):
            at = start + FlowHead.SIZE + way * self._slot
            if one == print_ and slots[at : at + len(packed)] == packed:
                return at
        return None

    def _free(self, slots: bytes, start: int) -> int:
        prints = PRINTS.unpack_from(slots, start + PRINTS_AT)
        if 0 not in prints:
            raise SystemRefusal(f"map {self.map.name}: a bucket is full", "raise max_flows")
        return prints.index(0)

    def _used(self, slots: bytes) -> Iterator[int]:
        for start in range(0, len(slots), self._bytes):
            if slots[start + PRINTS_AT : start + FlowHead.SIZE] == NO_PRINTS:
                continue
            prints = PRINTS.unpack_from(slots, start + PRINTS_AT)
            for way, one in enumerate(prints):
                if one:
                    yield start + FlowHead.SIZE + way * self._slot
