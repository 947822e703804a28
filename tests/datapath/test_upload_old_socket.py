"""An old connection's socket on the 4-tuple, live: whatever its state, it gives way at once."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from contextlib import ExitStack

import pytest
from host_wire import HostWire, resets
from packets import Client
from scapy.layers.inet import TCP
from scripted_client import GET, Peer, accepted, exchange, states

from pointsman.datapath.abi import BundleKind

pytestmark = pytest.mark.datapath

OLD_ISN, OLD_TSVAL = 0x40000000, 900_000
NEW_ID = b"\xab\xcd\xef\x01"


def old(wire: HostWire, version: int, tsval: int | None = None) -> Peer:
    client = Client(version, service_port=80, isn=OLD_ISN)
    return Peer(wire, client, tsval=tsval, tsecr=5_000_000)


def begin(peer: Peer, listener: socket.socket) -> socket.socket:
    """A connection that has carried a request and its answer."""
    peer.bundle()
    connection = accepted(listener, peer.client)
    exchange(connection, peer)
    peer.send(flags="A")
    return connection


def to_established(peer: Peer, connection: socket.socket) -> None:
    """The client is gone without a word."""


def to_unread(peer: Peer, connection: socket.socket) -> None:
    peer.send(b"never read")


def to_close_wait(peer: Peer, connection: socket.socket) -> None:
    peer.send(flags="FA")


def to_last_ack(peer: Peer, connection: socket.socket) -> None:
    peer.send(flags="FA")
    connection.close()
    peer.take_until("F")


def to_fin_wait1(peer: Peer, connection: socket.socket) -> None:
    connection.close()
    peer.take_until("F")


def to_fin_wait2(peer: Peer, connection: socket.socket) -> None:
    """Closed: the kernel keeps a mere TIME_WAIT socket in this state."""
    to_fin_wait1(peer, connection)
    peer.send(flags="A")


def to_fin_wait2_kept(peer: Peer, connection: socket.socket) -> None:
    """Shut down only: the socket is still whole."""
    connection.shutdown(socket.SHUT_WR)
    peer.take_until("F")
    peer.send(flags="A")


def to_closing(peer: Peer, connection: socket.socket) -> None:
    """Both ends' FINs have crossed."""
    acknowledged = peer.ack
    to_fin_wait1(peer, connection)
    peer.ack = acknowledged
    peer.send(flags="FA")


def to_time_wait(peer: Peer, connection: socket.socket) -> None:
    to_fin_wait1(peer, connection)
    peer.send(flags="FA")


def comes_anew(peer: Peer, listener: socket.socket) -> None:
    """The new connection is served at once; nothing tells the client otherwise."""
    wire = peer.wire
    wire.settle()
    wire.changed()
    peer.bundle()
    assert resets(wire.settle()) == []
    assert wire.changed() == {"old_socket": 1, "uploaded": 1}
    assert states(peer.client) == ["established"]
    with accepted(listener, peer.client) as connection:
        connection.sendall(b"answer")
        assert bytes(peer.take_until("P")[TCP].payload) == b"answer"
        assert connection.recv(4096) == GET
        peer.send(b"more")
        exchange(connection, peer, b"more")


def again(peer: Peer, isn: int, tsval: int | None = None) -> Peer:
    """The same 4-tuple, a connection later."""
    client = Client(peer.client.version, peer.client.port, 80, isn)
    return Peer(peer.wire, client, 0x12345678, NEW_ID, tsval, 7_000_000)


@pytest.mark.parametrize("tsval", [None, OLD_TSVAL + 9000, OLD_TSVAL - 9000])
@pytest.mark.parametrize("step", [1 << 20, -(1 << 20), 1 << 31, 0])
def test_time_wait(wire: HostWire, version: int, step: int, tsval: int | None) -> None:
    peer = old(wire, version, OLD_TSVAL if tsval else None)
    with wire.listen(peer.client) as listener:
        to_time_wait(peer, begin(peer, listener))
        wire.settle()
        assert states(peer.client) == ["time_wait"]
        comes_anew(again(peer, (OLD_ISN + step) & 0xFFFFFFFF, tsval), listener)


@pytest.mark.parametrize("tsval", [None, 1], ids=["timestamps end", "timestamps begin"])
def test_time_wait_with_other_options(wire: HostWire, version: int, tsval: int | None) -> None:
    peer = old(wire, version, None if tsval else OLD_TSVAL)
    with wire.listen(peer.client) as listener:
        to_time_wait(peer, begin(peer, listener))
        comes_anew(again(peer, OLD_ISN + 77, tsval), listener)


@pytest.mark.parametrize("tsval", [None, OLD_TSVAL - 9000])
@pytest.mark.parametrize("step", [1 << 20, -(1 << 20)])
@pytest.mark.parametrize(
    ("reach", "state"),
    [
        (to_established, "established"),
        (to_unread, "established"),
        (to_close_wait, "close_wait"),
        (to_last_ack, "last_ack"),
        (to_fin_wait1, "fin_wait1"),
        (to_fin_wait2, "fin_wait2"),
        (to_fin_wait2_kept, "fin_wait2"),
        (to_closing, "closing"),
    ],
)
def test_any_other_state(
    wire: HostWire,
    version: int,
    reach: Callable[[Peer, socket.socket], None],
    state: str,
    step: int,
    tsval: int | None,
) -> None:
    peer = old(wire, version, OLD_TSVAL if tsval else None)
    with ExitStack() as stack:
        listener = stack.enter_context(wire.listen(peer.client))
        connection = stack.enter_context(begin(peer, listener))
        reach(peer, connection)
        wire.settle()
        assert states(peer.client) == [state]
        comes_anew(again(peer, OLD_ISN + step, tsval), listener)


def test_the_old_application_is_told(wire: HostWire, version: int) -> None:
    peer = old(wire, version)
    with wire.listen(peer.client) as listener, begin(peer, listener) as connection:
        comes_anew(again(peer, OLD_ISN + 99), listener)
        with pytest.raises(ConnectionResetError):
            connection.recv(1)


def test_one_that_nobody_accepted_yet(wire: HostWire, version: int) -> None:
    """The application finds it dead, and the new one behind it."""
    peer = old(wire, version)
    with wire.listen(peer.client) as listener:
        peer.bundle()
        later = again(peer, OLD_ISN + 4096)
        later.bundle()
        assert resets(wire.settle()) == []
        assert wire.changed() == {"uploaded": 2, "old_socket": 1}
        with accepted(listener, peer.client) as dead:
            assert dead.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNRESET
        with accepted(listener, peer.client) as connection:
            exchange(connection, later)


def test_a_handshake_that_never_ended(wire: HostWire, version: int) -> None:
    peer = old(wire, version)
    with wire.listen(peer.client) as listener:
        peer.seq = peer.client.isn
        peer.bundle(b"", flags="S", kind=BundleKind.SYN)
        wire.settle()
        assert states(peer.client) == ["syn_recv"]
        comes_anew(again(peer, OLD_ISN + 4096), listener)
