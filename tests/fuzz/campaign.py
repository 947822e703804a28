"""Packets of any content through a unit and, if it sends them on, through a host and back.

Every outcome is counted and judged. All of it follows from the seed, but for the cookies, which go
by the clock.
"""

from __future__ import annotations

import os
from collections import Counter
from contextlib import ExitStack
from random import Random
from types import TracebackType
from typing import Self

from answers import answer, too_big
from bench import XDP_DROP, XDP_PASS, UnitBench
from fuzz_site import fuzz_site, quic_keys, set_peers
from host_bench import TC_DROP, TC_NEXT, HostBench
from judge_host import HOST_VERDICTS, HostJudge
from judge_unit import UNIT_VERDICTS, UnitJudge
from judgement import Misbehaviour
from ledger import Ledger, Uncounted
from listeners import listeners
from mutate import damaged, wrapped
from namespace import new_namespace
from reading import read
from site_file import KEY
from target import Result, Target
from traffic import MACS, Traffic

from pointsman.datapath.reasons import REASONS, Outcome, Reason, Where
from pointsman.tunnel.keys import tag_key

__all__ = ["Campaign", "Found"]

HOST_FRAME_MIN, HOST_FRAME_MAX = 54, 3000
"""BPF_PROG_TEST_RUN refuses an skb shorter than its IP header, or longer than a page."""
ANSWERED = 0.2
ROUTER_TO_UNIT = MACS["unit"] + MACS["router"]
TAG_EVERY = 16
"""Tags are worked out in plain Python: of one frame in so many."""


class Found(AssertionError):
    """What a seed brought to light, and how to see it again."""


class Campaign:
    """A unit and a host, loaded, in a namespace with servers. One CPU, one thread."""

    def __init__(self, cpu: int) -> None:
        os.sched_setaffinity(0, {cpu})
        self.packets = 0
        self._stack = ExitStack()
        with self._stack as stack:
            stack.enter_context(new_namespace())
            stack.enter_context(listeners())
            site = fuzz_site()
            self._unit = stack.enter_context(UnitBench(site, KEY, quic_keys(site)))
            self._host = stack.enter_context(HostBench(site, KEY))
            set_peers(self._unit)
            unit, host = self._unit.datapath, self._host.datapath
            unit_ledger = Ledger(unit, Where.UNIT, UNIT_VERDICTS)
            host_ledger = Ledger(host, Where.HOST, HOST_VERDICTS)
            self._ledgers = unit_ledger, host_ledger
            self._forward = Target(unit, "forward", unit_ledger, XDP_DROP, XDP_PASS)
            self._restore = Target(host, "restore", host_ledger, TC_DROP)
            self._leave = Target(host, "leave", host_ledger)
            self._unit_judge = UnitJudge(site, tag_key(KEY))
            self._host_judge = HostJudge(site, tag_key(KEY))
            self._stack = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._stack.close()

    def reasons(self) -> Counter[str]:
        """How often each outcome came, both programs together."""
        counts: Counter[str] = Counter()
        for loaded in (self._unit.datapath, self._host.datapath):
            counts.update({reason.name: count for reason, count in loaded.counts().items()})
        return counts

    def run(self, seed: int, packets: int) -> None:
        """So many packets from empty tables on. Found, if one goes wrong."""
        self._rng = Random(seed)
        self._traffic = Traffic(self._rng)
        self._unit.reset()
        self._host.reset()
        self._last = bytes(60)
        self._at = (self._forward, b"", Result(0, b"", None))
        end = self._runs() + packets
        try:
            while self._runs() < end:
                self._one()
            for ledger in self._ledgers:
                ledger.settle()
        except (Misbehaviour, Uncounted) as error:
            target, frame, result = self._at
            raise Found(
                f"seed {seed}: {target.name}, {result.reason and result.reason.name}: {error}\n"
                f"  in  {frame.hex()}\n  out {result.frame.hex()}"
            ) from error
        finally:
            self.packets = self._runs()

    def _runs(self) -> int:
        return self._forward.runs + self._restore.runs + self._leave.runs

    def _send(self, target: Target, frame: bytes) -> Result:
        self._at = (target, frame, Result(0, b"", None))
        result = target.send(frame)
        self._at = (target, frame, result)
        return result

    def _one(self) -> None:
        frame, whole = self._traffic.next()
        result = self._send(self._forward, frame)
        self._traffic.saw(result)
        self._unit_judge.judge(frame, result, tags=self._forward.runs % TAG_EVERY == 0)
        if result.reason and REASONS[result.reason].outcome == Outcome.FORWARDED:
            self._on_the_way(result)
            self._at_host(frame, result.frame, whole=whole)

    def _on_the_way(self, result: Result) -> None:
        """What the unit has sent may be answered, or be too big for a router."""
        if result.reason == Reason.ICMP_HANDED_ON:
            self._traffic.later(result.frame)
        elif self._rng.random() < ANSWERED:
            sent = read(result.frame)
            if sent and sent.has_ports and sent.source != sent.target:
                kind = too_big if self._rng.random() < 0.3 else answer
                self._traffic.later(ROUTER_TO_UNIT + kind(self._rng, sent)[12:])

    def _spoilt(self, frame: bytes) -> bytes:
        rng = self._rng
        if rng.random() < 0.1:
            frame = wrapped(rng, frame)
        if rng.random() < 0.4:
            frame = damaged(rng, frame, self._last)
        self._last = frame
        return frame

    def _at_host(self, client: bytes, sent: bytes, *, whole: bool) -> None:
        frame = self._spoilt(sent)
        if not HOST_FRAME_MIN <= len(frame) <= HOST_FRAME_MAX:
            return
        result = self._send(self._restore, frame)
        self._host_judge.judge(frame, result)
        if result.reason == Reason.UNKNOWN_FLOW_ID:
            self._traffic.later(result.frame)
            if self._restore.runs % TAG_EVERY == 0:
                self._host_judge.notice_tag(result)
        if result.verdict != TC_NEXT or result.reason == Reason.NOT_OURS:
            return
        if whole and frame == sent and result.reason != Reason.ICMP_PASSED:
            self._host_judge.round_trip(client, result)
        self._leaves(result)

    def _leaves(self, result: Result) -> None:
        """The answer of an endpoint of the host's own."""
        got, own = read(result.frame), self._host_judge.places.own
        if not got or not got.has_ports or (got.target, got.ports[1]) not in own:
            return
        frame = self._spoilt(answer(self._rng, got))
        if HOST_FRAME_MIN <= len(frame) <= HOST_FRAME_MAX:
            self._host_judge.judge(frame, self._send(self._leave, frame))
