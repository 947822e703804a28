"""Whether packets in are the sum over the outcomes, exactly.

Reading all counters costs as much as a test run, so frames that only disappear, or are passed on
as they came, are settled many at once: so many verdicts of a kind, so many outcomes of that kind.
"""

from __future__ import annotations

from collections.abc import Mapping

from pointsman.datapath.capi import ffi, library, possible_cpus
from pointsman.datapath.loaded import Loaded
from pointsman.datapath.reasons import REASONS, Outcome, Reason, Where

__all__ = ["Ledger", "Uncounted"]

LANE_BITS = 64
LANES = (1 << LANE_BITS) - 1
"""A number made of 64-bit lanes is their sum, modulo this (as nine is to decimal digits)."""
INTERNAL = (Reason.UNIT_INTERNAL, Reason.HOST_INTERNAL)
"""What no packet may bring about."""


class Uncounted(AssertionError):
    """Packets that ended in no named outcome, in more than one, or in one of another kind."""


class Ledger:
    """An object's counters as one number: a lane for each reason and CPU. Nobody else may send."""

    def __init__(self, loaded: Loaded, where: Where, verdicts: Mapping[Outcome, int]) -> None:
        self._fd = loaded.map("reasons").fd
        self._reasons = list(Reason)
        self._slot_bits = LANE_BITS * possible_cpus()
        self._count = len(self._reasons)
        self._keys = ffi.new("uint32_t[]", self._count)
        self._values = ffi.new("char[]", self._slot_bits // 8 * self._count)
        self._token, self._got = ffi.new("uint32_t *"), ffi.new("uint32_t *")
        slot = (1 << self._slot_bits) - 1
        self._masks = dict.fromkeys(verdicts.values(), 0)
        for reason in self._reasons:
            info = REASONS[reason]
            if info.where in (where, Where.BOTH) and reason not in INTERNAL:
                self._masks[verdicts[info.outcome]] |= slot << self._slot_bits * reason
        self._before = self._read()
        self._waiting: dict[int, int] = {}

    def _read(self) -> int:
        self._got[0] = self._count
        library().bpf_map_lookup_batch(
            self._fd, ffi.NULL, self._token, self._keys, self._values, self._got, ffi.NULL
        )
        if self._got[0] != self._count:
            raise OSError("the counters can't be read")
        return int.from_bytes(ffi.buffer(self._values), "little")

    @property
    def waiting(self) -> int:
        return sum(self._waiting.values())

    def put(self, verdict: int) -> None:
        """A frame came to this; it is settled later."""
        self._waiting[verdict] = self._waiting.get(verdict, 0) + 1

    def settle(self, verdict: int | None = None) -> Reason | None:
        """All that was put, and one more frame of another verdict: its reason. Uncounted."""
        after = self._read()
        grown, self._before = after - self._before, after
        waiting, self._waiting = self._waiting, {}
        expected = sum(waiting.values()) + (verdict is not None)
        if grown < 0 or expected != grown % LANES:
            raise Uncounted(f"{expected} packets, counted {self._told(grown)}")
        for kind, count in waiting.items():
            if (grown & self._masks.get(kind, 0)) % LANES != count:
                raise Uncounted(f"verdict {kind} of {count} packets, counted {self._told(grown)}")
        if verdict is None:
            return None
        found = grown & self._masks.get(verdict, 0)
        bit = found.bit_length() - 1
        if found <= 0 or found != 1 << bit or bit % LANE_BITS:
            raise Uncounted(f"verdict {verdict}, counted {self._told(grown)}")
        return self._reasons[bit // self._slot_bits]

    def _told(self, grown: int) -> dict[str, int]:
        slot = (1 << self._slot_bits) - 1
        found = {r.name: grown >> self._slot_bits * r & slot for r in self._reasons}
        return {name: count % LANES for name, count in found.items() if count}
