"""What the unit may make of ICMP errors: each to whom it concerns, and about what that one sent."""

from __future__ import annotations

import wire
from bundles import carried, is_bundle, judge_front
from judgement import Misbehaviour, check
from places import GATEWAY_MAC, PEER_MAC, Places
from reading import Seen, read
from traffic import MACS

from pointsman.datapath import abi

__all__ = ["ErrorJudge"]


def quoted(error: Seen) -> tuple[bytes, bytes, int]:
    """Source, target and header residue of what it quotes. Misbehaviour if it quotes nothing."""
    packet = error.l4[8:]
    least = 20 if error.version == 4 else 40
    check(len(packet) >= least and packet[0] >> 4 == error.version, "quotes no packet")
    if error.version == 6:
        return packet[8:24], packet[24:40], 0
    return packet[12:16], packet[16:20], wire.residue(packet[: (packet[0] & 15) * 4])


class ErrorJudge:
    """Shapes of the outcomes ICMP_SENT, ICMP_RETURNED, ICMP_HANDED_ON."""

    def __init__(self, places: Places, mtu: int) -> None:
        self._places, self._mtu = places, mtu

    def _message(self, before: Seen) -> Seen:
        """The error itself, if another unit has handed it on."""
        if before.proto != wire.UDP:
            return before
        inner = before.l4[8 + abi.Bundle.SIZE :]
        found = read(before.macs + wire.ETHERTYPE[before.version] + inner)
        if found is None:
            raise Misbehaviour("no error was handed on")
        return found

    def sent(self, before: Seen, after: Seen) -> None:
        """To the host of the connection."""
        message = self._message(before)
        check(message.target in self._places.vips, "was for no VIP")
        check(any(after.macs[:6] in served.macs for served in self._places.all), "to no host")
        if is_bundle(self._places, after):
            self._bundled(message, after, abi.BundleKind.ICMP)
            return
        check(after.ttl == message.ttl - 1 >= 1, "time to live")
        check(after.residue == message.residue, "checksum of an error")
        source, _, residue = quoted(after)
        if after.target in self._places.vips:
            check(after.l4 == message.l4, "changed by layer 2")
        else:
            served = [s for s in self._places.all if after.target in s.addresses[after.version]]
            check(bool(served), "an error to no endpoint")
        check(source == after.target, "of another's packet")
        check(residue == quoted(message)[2], "checksum of the quoted header")

    def returned(self, before: Seen, after: Seen) -> None:
        """To the client."""
        ours = self._places.tunnels | self._places.nat
        mine = before.target in ours  # or the client's own (half-NAT)
        check(mine or before.target == after.target, "to another client")
        check(after.macs[:6] in (GATEWAY_MAC, MACS["router"]), "on no way to clients")
        check(after.source in self._places.vips, "in no VIP's name")
        check(after.ttl == before.ttl - 1 >= 1, "time to live")
        check(after.residue == before.residue, "checksum of an error")
        source, target, residue = quoted(after)
        check((source, target) == (after.target, after.source), "about another's packet")
        check(residue == quoted(before)[2], "checksum of the quoted header")

    def handed_on(self, before: Seen, after: Seen) -> None:
        """To the next unit."""
        check(after.macs[:6] == PEER_MAC, "to no unit")
        check(is_bundle(self._places, after), "handed on bare")
        self._bundled(self._message(before), after, abi.BundleKind.HANDOVER)

    def _bundled(self, message: Seen, after: Seen, kind: abi.BundleKind) -> None:
        judge_front(after, self._mtu)
        check(after.l4[9] == kind, "bundle of another kind")
        within = carried(after)
        check(within.residue == message.residue, "checksum of an error in a bundle")
        check(within.head_residue in (0, message.head_residue), "IP checksum in a bundle")
        check((within.source, within.target) == (message.source, message.target), "of another")
        check(within.l4[4:] == message.l4[4 : len(within.l4)], "another error in a bundle")
