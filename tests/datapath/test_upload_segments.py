"""What follows a bundle, live: tunnelled segments, handshakes of plain services, lost mappings."""

from __future__ import annotations

import socket
import subprocess

import pytest
from host_bench import FLOW_ID
from host_wire import ETH_P_ALL, PACKET_IGNORE_OUTGOING, SOL_PACKET, HostWire, resets
from models import notice_tag
from packets import HOSTS, TUNNEL, Client
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Ether
from scripted_client import GET, Peer, accepted, exchange, received, states
from test_host import tick

from pointsman.datapath import abi
from pointsman.datapath.abi import BundleKind
from pointsman.tunnel.keys import tag_key

pytestmark = pytest.mark.datapath

ROOMY = {"flags": abi.BundleFlag.WSCALE, "snd_wscale": 7, "rcv_wscale": 7}
# The kernel may wait a while for more segments to put together; only sysfs can tell it to, and a
# sysfs shows the interfaces of the namespace that it was mounted in.
MAKE_GRO_WAIT = """
mount -t sysfs sysfs /sys
echo 100000000 > /sys/class/net/e0/gro_flush_timeout
"""


@pytest.fixture
def peer(wire: HostWire, version: int) -> Peer:
    return Peer(wire, Client(version, service_port=80))


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2), (0, 0, 1, 2, 2)])
def test_segments_are_delivered_in_the_order_of_their_numbers(
    peer: Peer, order: tuple[int, ...]
) -> None:
    with peer.wire.listen(peer.client) as listener:
        peer.bundle()
        frames = [peer.tunnelled(bytes([65 + i]) * (1 + 600 * i)) for i in range(3)]
        peer.wire.send(*[frames[i] for i in order])
        with accepted(listener, peer.client) as connection:
            exchange(connection, peer, GET + b"A" + b"B" * 601 + b"C" * 1201)
    assert peer.wire.changed() == {"uploaded": 1, "restored": len(order)}


def test_the_client_ends_its_stream(peer: Peer) -> None:
    with peer.wire.listen(peer.client) as listener:
        peer.bundle()
        peer.send(flags="FA")
        with accepted(listener, peer.client) as connection:
            exchange(connection, peer)
            assert connection.recv(1) == b""
    peer.take_until("F")
    peer.send(flags="A")
    assert resets(peer.wire.settle()) == []
    assert states(peer.client) == []


def test_the_client_breaks_off(peer: Peer) -> None:
    with peer.wire.listen(peer.client) as listener:
        peer.bundle()
        with accepted(listener, peer.client) as connection:
            exchange(connection, peer)
            peer.send(flags="R")
            assert resets(peer.wire.settle()) == []
            assert states(peer.client) == []
            with pytest.raises(ConnectionResetError):
                connection.recv(1)


def test_a_segment_of_a_connection_that_is_gone_draws_the_stacks_answer(peer: Peer) -> None:
    with peer.wire.listen(peer.client) as listener:
        peer.bundle()
        with accepted(listener, peer.client) as connection:
            exchange(connection, peer)
            peer.send(b"never read")
            peer.wire.settle()
        assert len(resets(peer.wire.settle())) == 1
        peer.send(b"too late")
        assert len(resets(peer.wire.settle())) == 1


def test_a_late_duplicate_does_not_serve_the_request_twice(peer: Peer) -> None:
    """The client was answered and has closed; no socket is left when its first data comes again."""
    with peer.wire.listen(peer.client) as listener:
        frame = peer.bundle()
        with accepted(listener, peer.client) as connection:
            exchange(connection, peer)
            peer.send(flags="FA")
            assert connection.recv(1) == b""
        peer.take_until("F")
        peer.send(flags="A")
        peer.wire.settle()
        assert states(peer.client) == []
        peer.wire.changed()

        peer.wire.send(frame)
        assert len(resets(peer.wire.settle())) == 1
        assert peer.wire.changed() == {"over": 1}
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_an_early_segment_draws_nothing(peer: Peer, version: int) -> None:
    """It has overtaken its connection's upload."""
    bench = peer.wire.bench
    with peer.wire.listen(peer.client):
        for _ in range(2):
            bench.teach(peer.client, abi.MappingFlag.UPLOADED, learnt=tick())
            peer.send(b"second")
            assert peer.wire.settle() == []
            assert peer.wire.changed() == {"early": 1}


def test_a_segment_before_its_bundle_becomes_a_notice(peer: Peer, version: int) -> None:
    peer.send(b"second" * 100)
    (packet,) = peer.wire.settle()
    host, tunnel = HOSTS[version][0], TUNNEL[version]
    assert (packet.src, packet.dst) == (host, tunnel)
    assert (packet[UDP].sport, packet[UDP].dport) == (7471, 7471)
    raw = bytes(packet[UDP].payload)
    assert len(raw) == abi.Notice.SIZE
    notice = abi.Notice.unpack(raw)
    assert (notice.kind, notice.flow_id) == (BundleKind.NOTICE_UNKNOWN, FLOW_ID)
    tag = notice_tag(tag_key(peer.wire.bench.key), raw, host, tunnel)
    assert notice.tag == tag.to_bytes(8, "little")
    assert peer.wire.changed() == {"unknown_flow_id": 1}


def shake_hands(peer: Peer) -> None:
    """As the client of a plain service: the host's stack answers the SYN itself."""
    peer.seq -= 1
    peer.ack = 0
    peer.bundle(b"", "S", BundleKind.SYN)
    packet = peer.wire.segment()
    assert str(packet[TCP].flags) == "SA"
    assert packet[TCP].ack == peer.seq
    peer.ack = (packet[TCP].seq + 1) & 0xFFFFFFFF
    peer.send(flags="A")


def test_a_plain_service_shakes_hands_itself(wire: HostWire, version: int) -> None:
    peer = Peer(wire, Client(version))
    with wire.listen(peer.client) as listener:
        shake_hands(peer)
        with accepted(listener, peer.client) as connection:
            connection.sendall(b"220 speak")
            assert bytes(peer.take_until("P")[TCP].payload) == b"220 speak"
            peer.send(b"EHLO")
            exchange(connection, peer, b"EHLO")
    assert wire.changed() == {"syn_taught": 1, "restored": 2}


def test_a_repeated_syn_bundle_is_the_stacks_to_answer(wire: HostWire, version: int) -> None:
    peer = Peer(wire, Client(version))
    with wire.listen(peer.client) as listener:
        peer.seq -= 1
        peer.ack = 0
        frame = peer.bundle(b"", "S", BundleKind.SYN)
        first = wire.segment()[TCP]
        wire.send(frame)
        assert wire.segment()[TCP].seq == first.seq
        peer.ack = (first.seq + 1) & 0xFFFFFFFF
        peer.send(b"EHLO")
        with accepted(listener, peer.client) as connection:
            exchange(connection, peer, b"EHLO")


@pytest.mark.parametrize("plain", [True, False], ids=["plain", "uploaded"])
@pytest.mark.parametrize("whole", [True, False], ids=["teach", "teach only"])
def test_a_host_that_forgot_learns_in_mid_connection(
    wire: HostWire, version: int, plain: bool, whole: bool
) -> None:
    peer = Peer(wire, Client(version, service_port=81 if plain else 80))
    with wire.listen(peer.client) as listener:
        if plain:
            shake_hands(peer)
            peer.send(GET)
        else:
            peer.bundle()
        with accepted(listener, peer.client) as connection:
            exchange(connection, peer)
            wire.bench.reset()
            begin = peer.seq
            if whole:
                peer.bundle(b"q" * 1000, kind=BundleKind.TEACH)
            else:
                peer.bundle(b"q" * 1000, kind=BundleKind.TEACH_ONLY, cut={4: 40, 6: 60}[version])
                assert resets(wire.settle()) == []
                peer.seq = begin
                peer.send(b"q" * 1000)
            exchange(connection, peer, b"q" * 1000)
            wire.changed()
            peer.send(b"more")
            exchange(connection, peer, b"more")
            assert wire.changed() == {"restored": 1}


def test_whoever_listens_in_sees_what_came(peer: Peer) -> None:
    """A tap shares the packets' bytes with the host's program, which must write to its own."""
    with (
        peer.wire.listen(peer.client) as listener,
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as tap,
    ):
        tap.settimeout(10)
        tap.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        tap.bind(("e0", ETH_P_ALL))
        sent = [peer.bundle()]
        sent += [peer.send(bytes([i]) * 700) for i in range(3)]
        with accepted(listener, peer.client) as connection:
            exchange(connection, peer, GET + b"".join(bytes([i]) * 700 for i in range(3)))
        assert [tap.recv(4096) for _ in sent] == sent


def test_a_tap_of_the_one_protocol_turns_uploads_into_resets(peer: Peer) -> None:
    """A limit of the kernel, to be told of: packets for two handlers of one protocol are cloned on
    their way into IP, and a clone has lost what the upload put on it."""
    protocol = {4: 0x0800, 6: 0x86DD}[peer.client.version]
    with peer.wire.listen(peer.client) as listener:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(protocol)):
            frame = peer.bundle()
            assert len(resets(peer.wire.settle())) == 1
            assert states(peer.client) == []
        peer.wire.send(frame)
        accepted(listener, peer.client).close()
    assert peer.wire.changed() == {"uploaded": 2}


def _unfragmentable(frame: bytes) -> bytes:
    """As stacks send TCP. What may be fragmented, GRO leaves alone unless it is numbered."""
    packet = Ether(frame)
    if IP in packet:
        packet[IP].flags = "DF"
        del packet[IP].chksum
    return bytes(packet)


def test_segments_that_gro_puts_together_arrive_whole(peer: Peer) -> None:
    wire, count, size = peer.wire, 24, 1400
    subprocess.run(["ethtool", "-K", "e0", "gro", "on"], check=True)
    subprocess.run(["unshare", "--mount", "sh", "-ec", MAKE_GRO_WAIT], check=True)
    stream = b"".join(i.to_bytes(4, "big") for i in range(count * size // 4))
    with wire.listen(peer.client) as listener:
        peer.bundle(agreed=ROOMY)
        with accepted(listener, peer.client) as connection:
            assert received(connection, len(GET)) == GET
            wire.changed()
            parts = [stream[at : at + size] for at in range(0, len(stream), size)]
            wire.send(*[_unfragmentable(peer.tunnelled(part, "A")) for part in parts])
            exchange(connection, peer, stream)
            changed = wire.changed()
    assert changed.keys() == {"restored"}
    assert changed["restored"] < count, "GRO put nothing together"
