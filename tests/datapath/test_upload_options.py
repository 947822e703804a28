"""What a client agreed on with the unit, live: the host's socket keeps to it."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from enum import IntFlag

import pytest
from host_wire import HostWire, resets
from models import mss_table
from packets import Client
from scapy.layers.inet import TCP
from scapy.packet import Packet
from scripted_client import Peer, accepted, exchange

from pointsman.datapath.abi import BundleFlag

pytestmark = pytest.mark.datapath

LEAST_MSS = {4: 536, 6: 1220}  # of what the kernel uploads
MTU_MSS = {4: 1460, 6: 1440}
STAMP_BYTES = 12


class Option(IntFlag):
    """TCPI_OPT_* of linux/tcp.h."""

    TIMESTAMPS = 1
    SACK = 2
    WSCALE = 4
    ECN = 8


@dataclass(frozen=True)
class Info:
    """The part of struct tcp_info that tells what was agreed on."""

    options: Option
    snd_wscale: int
    rcv_wscale: int
    snd_mss: int

    @classmethod
    def of(cls, connection: socket.socket) -> Info:
        raw = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 24)
        options, scales, snd_mss = struct.unpack("=5xBB9xI4x", raw)
        return cls(Option(options), scales & 15, scales >> 4, snd_mss)


def agreed(mss: int, flags: int = 0, snd_wscale: int = 0, rcv_wscale: int = 0) -> dict[str, object]:
    return {
        "mss": mss.to_bytes(2, "big"),
        "flags": flags,
        "snd_wscale": snd_wscale,
        "rcv_wscale": rcv_wscale,
    }


def stamps(packet: Packet) -> tuple[int, int] | None:
    """TSval and TSecr of a segment."""
    return next((value for kind, value in packet[TCP].options if kind == "Timestamp"), None)


@pytest.mark.parametrize("tsval", [None, 123_456], ids=["no timestamps", "timestamps"])
@pytest.mark.parametrize(
    ("flags", "options"),
    [
        (BundleFlag(0), Option(0)),
        (BundleFlag.SACK, Option.SACK),
        (BundleFlag.ECN, Option.ECN),
        (BundleFlag.SACK | BundleFlag.ECN, Option.SACK | Option.ECN),
    ],
)
def test_options(
    wire: HostWire, version: int, tsval: int | None, flags: BundleFlag, options: Option
) -> None:
    client = Client(version, service_port=80)
    peer = Peer(wire, client, tsval=tsval, tsecr=4_000_000_000)
    with wire.listen(client) as listener:
        peer.bundle(agreed=agreed(1300, flags))
        with accepted(listener, client) as connection:
            info = Info.of(connection)
            stamped = Option.TIMESTAMPS if tsval else Option(0)
            assert info.options & ~Option.WSCALE == options | stamped
            assert (stamps(exchange(connection, peer)) is not None) == bool(tsval)


@pytest.mark.parametrize("scales", [(0, 0), (7, 9), (14, 0), (0, 14), (14, 14)])
def test_window_scales(wire: HostWire, version: int, scales: tuple[int, int]) -> None:
    client = Client(version, service_port=80)
    peer = Peer(wire, client)
    with wire.listen(client) as listener:
        peer.bundle(agreed=agreed(1300, BundleFlag.WSCALE, *scales))
        with accepted(listener, client) as connection:
            info = Info.of(connection)
            assert info.options == Option.WSCALE
            assert (info.snd_wscale, info.rcv_wscale) == scales
            answer = exchange(connection, peer)[TCP]
            assert 1 << 12 <= answer.window << scales[1] <= 1 << 24


def test_no_window_scale(wire: HostWire, version: int) -> None:
    client = Client(version, service_port=80)
    peer = Peer(wire, client)
    with wire.listen(client) as listener:
        peer.bundle(agreed=agreed(1300, 0, 7, 7))
        with accepted(listener, client) as connection:
            info = Info.of(connection)
            assert (info.options, info.snd_wscale, info.rcv_wscale) == (Option(0), 0, 0)
            exchange(connection, peer)


@pytest.mark.parametrize("tsval", [None, 5], ids=["no timestamps", "timestamps"])
@pytest.mark.parametrize("index", range(4))
def test_segments_are_no_longer_than_the_client_takes(
    wire: HostWire, version: int, index: int, tsval: int | None
) -> None:
    """Every MSS that a cookie can hold; the least of IPv6 is below what the kernel believes."""
    mss = mss_table(version)[index]
    client = Client(version, service_port=80)
    peer = Peer(wire, client, tsval=tsval)
    with wire.listen(client) as listener:
        peer.bundle(agreed=agreed(mss, BundleFlag.WSCALE, 7, 7))
        with accepted(listener, client) as connection:
            wanted = min(max(mss, LEAST_MSS[version]), MTU_MSS[version])
            wanted -= STAMP_BYTES if tsval else 0
            assert Info.of(connection).snd_mss == wanted
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG) == wanted
            exchange(connection, peer)
            connection.sendall(b"q" * 3 * mss)
            assert len(peer.take()[TCP].payload) == wanted


@pytest.mark.parametrize("mss", [0, 1, 535])
def test_a_smaller_mss_than_any_is_taken_for_the_least(
    wire: HostWire, version: int, mss: int
) -> None:
    client = Client(version, service_port=80)
    peer = Peer(wire, client)
    with wire.listen(client) as listener:
        peer.bundle(agreed=agreed(mss, BundleFlag.WSCALE, 7, 7))
        with accepted(listener, client) as connection:
            assert Info.of(connection).snd_mss == LEAST_MSS[version]


@pytest.mark.parametrize("tsecr", [1, 5_000_000, 0xFFFFFFF0])
def test_timestamps_go_on_where_the_unit_left_them(
    wire: HostWire, version: int, tsecr: int
) -> None:
    client = Client(version, service_port=80)
    peer = Peer(wire, client, tsval=77_000, tsecr=tsecr)
    with wire.listen(client) as listener:
        peer.bundle()
        with accepted(listener, client) as connection:
            first = stamps(exchange(connection, peer))
            assert first is not None
            assert first[1] == 77_000
            assert (first[0] - tsecr) & 0xFFFFFFFF < 10_000
            peer.tsval, peer.tsecr = 77_100, first[0]
            peer.send(b"more")
            second = stamps(exchange(connection, peer, b"more"))
            assert second is not None
            assert second[1] == 77_100
            assert (second[0] - first[0]) & 0xFFFFFFFF < 10_000


@pytest.mark.parametrize("tsecr", [0, 1, 0x01020304, 0xFFFFFFF0])
@pytest.mark.parametrize("pad", [0, 1, 2, 3])
def test_first_segment_is_no_measure_of_the_round_trip(
    wire: HostWire, version: int, tsecr: int, pad: int
) -> None:
    """Of no time at all it would be, and BBR would believe it for ten seconds.

    The segment arrives for all that, wherever in the header its timestamps stand.
    """
    client = Client(version, service_port=80)
    peer = Peer(wire, client, tsval=77_000, tsecr=tsecr, pad=pad)
    with wire.listen(client) as listener:
        peer.bundle()
        with accepted(listener, client) as connection:
            raw = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 152)
            smoothed, least = struct.unpack("=68xI76xI", raw)
            assert (smoothed, least) == (0, 0xFFFFFFFF)
            exchange(connection, peer)


def test_timestamps_that_go_back_are_told_from_a_new_connection(
    wire: HostWire, version: int
) -> None:
    """PAWS holds for an uploaded connection as for any other: an old duplicate is no data."""
    client = Client(version, service_port=80)
    peer = Peer(wire, client, tsval=77_000, tsecr=5_000_000)
    with wire.listen(client) as listener:
        peer.bundle()
        with accepted(listener, client) as connection:
            exchange(connection, peer)
            peer.tsval = 1
            peer.send(b"stale")
            assert resets(wire.settle()) == []
            connection.setblocking(False)
            with pytest.raises(BlockingIOError):
                connection.recv(1)
