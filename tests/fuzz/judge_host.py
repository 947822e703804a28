"""What the host may make of a frame: by the reason it counted, against what went in."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address

import wire
from bundles import carried as carried_by
from host_bench import TC_DROP, TC_NEXT, TC_REDIRECT
from judgement import Misbehaviour, check
from models import notice_tag
from places import Places
from reading import Seen, read
from target import Result

from pointsman.config.model import Site
from pointsman.datapath import abi
from pointsman.datapath.reasons import Outcome, Reason

__all__ = ["HOST_VERDICTS", "HostJudge"]

HOST_VERDICTS = {
    Outcome.PASSED: TC_NEXT,
    Outcome.DROPPED: TC_DROP,
    Outcome.SWALLOWED: TC_DROP,
    Outcome.ANSWERED: TC_REDIRECT,
}
UNTOUCHED = {Reason.NOT_OURS, Reason.OUT_OTHER}


class HostJudge:
    """Judges each frame that the host took, inwards or outwards."""

    def __init__(self, site: Site, key: bytes) -> None:
        self.places = Places(site)
        self._key = key
        self._shapes: dict[Reason, Callable[[Seen, Seen], None]] = {
            Reason.RESTORED: self._restored,
            Reason.FRAGMENT_RESTORED: self._restored,
            Reason.OUT_TURNED: self._left,
            Reason.UNKNOWN_FLOW_ID: self._notice,
            Reason.ICMP_PASSED: self._error,
            Reason.OLD_SOCKET: self._reset,
        }

    def judge(self, frame: bytes, result: Result) -> None:
        """Misbehaviour if it is wrong."""
        if result.reason is None:
            return
        if result.reason in UNTOUCHED:
            check(result.frame == frame, "changed, and passed on")
            return
        before, after = read(frame), read(result.frame)
        if result.reason == Reason.OUT_TURNED and (before is None or before.padding):
            # The host's own stack sends what is longer than its header can tell (GSO), and nothing
            # that is shorter.
            check(len(result.frame) == len(frame), "length")
            return
        if before is None:
            raise Misbehaviour("taken, though it was no IP packet")
        if after is None:
            raise Misbehaviour("no IP packet comes out")
        self._shapes.get(result.reason, self._unwrapped)(before, after)

    def round_trip(self, client: bytes, result: Result) -> None:
        """What the stack gets of a client's packet that came through unit and host, unspoilt."""
        before, after = read(client), read(result.frame)
        if before is None or after is None:
            raise Misbehaviour("no IP packet")
        check(after.source == before.source, "from another client")
        check(after.residue == before.residue == 0, "checksum")
        if not after.has_ports:
            return
        check(after.l4[:2] == before.l4[:2], "from another port")
        own = (after.target, after.ports[1]) in self.places.own
        if not own:
            check(after.target == before.target, "to another address")
            check(after.ports[1] == before.ports[1], "to another port")
        if result.reason != Reason.UPLOADED:  # what it echoes of our clock is taken out
            check(after.behind_ports == before.behind_ports, "data")

    # ---- shapes ----

    def _restored(self, before: Seen, after: Seen) -> None:
        check(after.macs == before.macs, "MACs")
        check(after.source not in self.places.tunnels, "from a tunnel still")
        self._to_service(after)
        self._turned(before, after)

    def _to_service(self, after: Seen) -> None:
        if after.target in self.places.vips:
            return
        check(any(after.target == address for address, _ in self.places.own), "to no VIP of ours")
        if after.has_ports:
            check((after.target, after.ports[1]) in self.places.own, "to no endpoint of ours")

    def _turned(self, before: Seen, after: Seen) -> None:
        """Only addresses and ports are others."""
        check(after.ttl == before.ttl, "time to live")
        check(after.head_residue == before.head_residue, "IP checksum")
        check(after.proto == before.proto, "another protocol")
        check((after.offset, after.more) == (before.offset, before.more), "another fragment")
        check(after.padding == before.padding, "length")
        if before.proto == wire.TCP and len(before.l4) < 20:
            return  # the stack drops it, whatever became of it
        if not before.has_ports:
            check(after.l4 == before.l4, "changed behind the IP header")
            return
        check(after.behind_ports == before.behind_ports, "changed behind the ports")
        check(after.residue == before.residue, "checksum")
        check(after.no_checksum == before.no_checksum, "UDP's checksum came or went")

    def _left(self, before: Seen, after: Seen) -> None:
        """Answers of an endpoint of the host's own."""
        if before.proto == wire.ICMP[before.version]:
            check(before.residue == after.residue, "checksum of an error")
            return
        check(after.source in self.places.vips, "leaves in no VIP's name")
        check(after.target == before.target, "leaves for another client")
        self._turned(before, after)

    def _unwrapped(self, before: Seen, after: Seen) -> None:
        """Whatever a bundle's packet may become, but for errors."""
        check(before.source in self.places.tunnels, "a bundle from no unit was taken")
        carried = carried_by(before)
        head = abi.Bundle.unpack(before.l4[8 : 8 + abi.Bundle.SIZE])
        check(after.macs == before.macs, "MACs")
        check(after.source == carried.source, "another client")
        if head.endpoint == bytes(4):
            check(after.target == carried.target, "another destination")
            check(after.ports == carried.ports, "other ports")
        else:
            check((after.target, after.ports[1]) in self.places.own, "to no endpoint of ours")
        check(len(after.l4) == len(carried.l4), "length")
        check(after.residue == carried.residue, "checksum")
        check(after.head_residue == carried.head_residue, "IP checksum")

    def _notice(self, before: Seen, after: Seen) -> None:
        check(after.macs == before.macs[6:] + before.macs[:6], "MACs of a notice")
        addresses = (after.source, after.target) == (before.target, before.source)
        check(addresses, "addresses of a notice")
        check(after.target in self.places.tunnels, "a notice to no unit")
        check(after.head_residue == 0 and not after.padding, "headers of a notice")
        check(after.no_checksum and len(after.l4) == 8 + abi.Notice.SIZE, "UDP of a notice")
        check(int.from_bytes(after.l4[4:6], "big") == len(after.l4), "UDP length of a notice")
        notice = after.l4[8:]
        check(notice[4:8] == before.l4[:4], "flow id of a notice")

    def notice_tag(self, result: Result) -> None:
        """Look at the tag of a notice, which is slow."""
        after = read(result.frame)
        assert after is not None
        notice = after.l4[8:]
        source, target = str(ip_address(after.source)), str(ip_address(after.target))
        tag = notice_tag(self._key, notice, source, target)
        check(notice[16:24] == tag.to_bytes(8, "little"), "tag of a notice")

    def _error(self, before: Seen, after: Seen) -> None:
        carried = carried_by(before)
        check(after.residue == carried.residue, "checksum of an error")
        check(after.source == carried.source, "an error from another")

    def _reset(self, before: Seen, after: Seen) -> None:
        check(after.residue == 0 and after.head_residue == 0, "checksum of a reset")
        check(bool(after.l4[13] & 4) and len(after.l4) == 20, "no reset")
        del before
