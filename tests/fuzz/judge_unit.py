"""What the unit may make of a frame: by the reason it counted, against what went in.

By `outcome` of reasons.h each reason has a shape, so a new one needs a line in SHAPES only if it
looks like none of its kind.
"""

from __future__ import annotations

from collections.abc import Callable

import wire
from bench import XDP_DROP, XDP_PASS, XDP_TX
from bundles import carried, is_bundle, judge_front, judge_tag
from judge_errors import ErrorJudge
from judgement import Misbehaviour, check
from places import Places, Served
from reading import Seen, read
from target import Result
from traffic import MACS

from pointsman.config.model import Forward, Site
from pointsman.datapath import abi
from pointsman.datapath.reasons import REASONS, Outcome, Reason

__all__ = ["UNIT_VERDICTS", "UnitJudge"]

UNIT_VERDICTS = {
    Outcome.PASSED: XDP_PASS,
    Outcome.DROPPED: XDP_DROP,
    Outcome.SWALLOWED: XDP_DROP,
    Outcome.FORWARDED: XDP_TX,
    Outcome.ANSWERED: XDP_TX,
}
UNIT, ROUTER = MACS["unit"], MACS["router"]
PORTLESS = (wire.GRE, wire.ESP, wire.AH)


class UnitJudge:
    """Judges each frame that the unit took."""

    def __init__(self, site: Site, key: bytes) -> None:
        self.places = Places(site)
        self._key, self._mtu = key, site.tunnel.mtu
        errors = ErrorJudge(self.places, self._mtu)
        self._shapes: dict[Reason, Callable[[Seen, Seen], None]] = {
            Reason.RETURNED: self._returned,
            Reason.ICMP_SENT: errors.sent,
            Reason.ICMP_RETURNED: errors.returned,
            Reason.ICMP_HANDED_ON: errors.handed_on,
        }
        self._by_outcome = {Outcome.FORWARDED: self._forwarded, Outcome.ANSWERED: self._answered}

    def judge(self, frame: bytes, result: Result, *, tags: bool) -> None:
        """Misbehaviour if it is wrong. `tags`: look at the tags of bundles, too, which is slow."""
        if result.reason is None:
            if result.verdict == XDP_PASS and result.frame != frame:
                _judge_bare(read(frame), read(result.frame))
            return
        shape = self._shapes.get(result.reason) or self._by_outcome[REASONS[result.reason].outcome]
        before, after = read(frame), read(result.frame)
        if before is None:
            raise Misbehaviour("sent, though it was no IP packet")
        if after is None:
            raise Misbehaviour("no IP packet comes out")
        check(after.tags == before.tags, "VLAN tags changed")
        shape(before, after)
        if tags and is_bundle(self.places, after):
            judge_tag(self._key, after)

    # ---- to a host ----

    def _forwarded(self, before: Seen, after: Seen) -> None:
        check(before.target in self.places.vips, "was for no VIP")
        check(after.macs[6:] == UNIT, "sent in another's name")
        candidates = self._candidates(before)
        allowed = [s for s in candidates if after.macs[:6] in s.macs]
        check(bool(allowed), f"to MAC {after.macs[:6].hex()}")
        if is_bundle(self.places, after):
            self._bundled(before, after, allowed)
        else:
            self._moved(before, after, allowed)

    def _candidates(self, before: Seen) -> list[Served]:
        """The service of the packet; of later fragments, any."""
        if before.offset:
            return self.places.all
        port = 0 if before.proto in PORTLESS else before.ports[1] if before.has_ports else -1
        served = self.places.served(before.proto, port)
        return [served] if served else []

    def _moved(self, before: Seen, after: Seen, allowed: list[Served]) -> None:
        check(any(self._addressed(before, after, s) for s in allowed), "not to where it belongs")
        self._turned(before, after)

    def _turned(self, before: Seen, after: Seen) -> None:
        """Nothing is other than addresses, ports, an IPv4 id and the time to live."""
        check(after.ttl == before.ttl - 1 >= 1, f"time to live {before.ttl} became {after.ttl}")
        check(after.proto == before.proto, "another protocol")
        check(after.padding <= before.padding, "grew")
        check(after.head_residue in (before.head_residue, 0), "IP checksum")
        check((after.offset, after.more) == (before.offset, before.more), "another fragment")
        if not before.has_ports:
            check(after.l4 == before.l4, "changed behind the IP header")
            return
        check(after.behind_ports == before.behind_ports, "changed behind the ports")
        check(after.residue == before.residue, "checksum")
        check(after.no_checksum == before.no_checksum, "UDP's checksum came or went")

    def _addressed(self, before: Seen, after: Seen, served: Served) -> bool:
        kept = after.source == before.source
        if served.forward == Forward.L2:
            ports = not before.has_ports or after.ports == before.ports
            return kept and after.target == before.target and ports
        if after.target not in served.addresses[before.version]:
            return False
        if served.forward == Forward.TUNNEL:
            return after.source in self.places.tunnels
        nat = served.forward == Forward.NAT
        if before.has_ports:
            wanted = served.ports or {before.ports[1]}
            if after.ports[1] not in wanted or (not nat and after.ports[0] != before.ports[0]):
                return False
        return after.source in self.places.nat if nat else kept

    def _returned(self, before: Seen, after: Seen) -> None:
        """An answer, on its way to the client."""
        check(after.macs == ROUTER + UNIT, "not to where the client's packets came from")
        check(after.source in self.places.vips, "in no VIP's name")
        if before.target not in self.places.nat:
            check(after.target == before.target, "to another client")
            check(after.ports[1] == before.ports[1], "to another port of the client's")
        # A later fragment has no ports: it may be of any service.
        served = self.places.served(after.proto, after.ports[0])
        allowed = self.places.all if before.offset else [served] if served else []
        check(bool(allowed), "of no service")
        found = any(before.source in one.addresses[before.version] for one in allowed)
        check(found, "of another service's endpoint")
        self._turned(before, after)

    def _bundled(self, before: Seen, after: Seen, allowed: list[Served]) -> None:
        check(
            any(after.target in s.addresses[before.version] for s in allowed), "bundle to nowhere"
        )
        check(all(s.forward == Forward.TUNNEL for s in allowed), "bundle, and no tunnel")
        judge_front(after, self._mtu)
        head = abi.Bundle.unpack(after.l4[8 : 8 + abi.Bundle.SIZE])
        inner = after.l4[8 + abi.Bundle.SIZE :]
        if head.kind == abi.BundleKind.TEACH_ONLY:
            at = 20 if before.version == 4 else 40
            addresses = inner[12:20] if before.version == 4 else inner[8:40]
            check(addresses == before.source + before.target, "taught of another")
            check(before.l4.startswith(inner[at:]), "taught other headers")
            return
        if len(before.head) == (20 if before.version == 4 else 40):
            check(inner == before.head + before.l4, "another packet in a bundle")
            return
        within = carried(after)
        check(within.l4 == before.l4, "another packet in a bundle")
        check((within.source, within.target) == (before.source, before.target), "of another")

    # ---- to whom it came from ----

    def _answered(self, before: Seen, after: Seen) -> None:
        check(after.macs == before.macs[6:] + before.macs[:6], "not to where it came from")
        check(
            (after.source, after.target) == (before.target, before.source), "addresses of an answer"
        )
        check(after.source in self.places.vips, "answered in another's name")
        check(after.head_residue in (0, before.head_residue), "IP checksum")
        check(after.residue in (0, before.residue), "checksum")
        check(after.whole, "answer in pieces")
        if after.proto == wire.TCP:
            check(after.ports == before.ports[::-1], "ports of an answer")
            check(before.residue == 0, "answered what may be noise")
            check(not after.padding, "padded")


def _judge_bare(before: Seen | None, after: Seen | None) -> None:
    """Passed to the stack without the options and extension headers that it came with."""
    if before is None or after is None:
        raise Misbehaviour("changed, and passed to the stack")
    check(len(after.head) == (20 if after.version == 4 else 40) < len(before.head), "not bare")
    same = (before.source, before.target, before.l4) == (after.source, after.target, after.l4)
    check(same, "changed behind the IP header, and passed to the stack")
