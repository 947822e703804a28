"""Bundles as the oracle reads them (docs/wire/bundle.md)."""

from __future__ import annotations

from ipaddress import ip_address

import wire
from judgement import Misbehaviour, check
from models import bundle_tag
from places import Places
from reading import Seen, read

from pointsman.datapath import abi

__all__ = ["carried", "is_bundle", "judge_front", "judge_tag"]

FRONT = 8 + abi.Bundle.SIZE


def is_bundle(places: Places, packet: Seen) -> bool:
    """By where it comes from and where it goes."""
    return (
        packet.proto == wire.UDP
        and packet.source in places.tunnels
        and packet.has_ports
        and packet.ports[1] == places.bundle_port
    )


def carried(bundle: Seen) -> Seen:
    """The packet in it. Misbehaviour if there is none."""
    inner = bundle.l4[FRONT:]
    packet = read(bundle.macs + wire.ETHERTYPE[bundle.version] + inner)
    if packet is None or packet.padding:
        raise Misbehaviour("no packet in a bundle")
    return packet


def judge_front(bundle: Seen, mtu: int) -> None:
    """Of one that a unit sends."""
    check(bundle.whole and not bundle.padding, "bundle in pieces")
    check(len(bundle.head) + len(bundle.l4) <= mtu, "larger than the MTU")
    check(bundle.head_residue == 0, "IP checksum")
    check(int.from_bytes(bundle.l4[4:6], "big") == len(bundle.l4), "UDP length")
    check(bundle.no_checksum, "UDP checksum in a bundle")


def judge_tag(key: bytes, bundle: Seen) -> None:
    """Slow: SipHash in plain Python."""
    header, inner = bundle.l4[8:FRONT], bundle.l4[FRONT:]
    at = 20 if bundle.version == 4 else 40
    proto = inner[9] if bundle.version == 4 else inner[6]
    addresses = inner[12:20] if bundle.version == 4 else inner[8:40]
    half = len(addresses) // 2
    source, target = str(ip_address(addresses[:half])), str(ip_address(addresses[half:]))
    ports, numbers = (0, 0), (0, 0)
    words = [int.from_bytes(inner[at + i : at + i + 2], "big") for i in range(0, 12, 2)]
    if proto in (wire.TCP, wire.UDP):
        ports = words[0], words[1]
    if proto == wire.TCP:
        numbers = words[2] << 16 | words[3], words[4] << 16 | words[5]
    tag = bundle_tag(key, header, (source, target, *ports), *numbers, protocol=proto)
    check(header[16:24] == tag.to_bytes(8, "little"), "tag")
