"""Bundles of first data, live: the host's own stack takes the connection and goes on with it."""

from __future__ import annotations

import socket

import pytest
from host_wire import HostWire, resets
from packets import CLIENT, Client
from scapy.layers.inet import TCP
from scripted_client import GET, Peer, accepted, exchange, states

pytestmark = pytest.mark.datapath


@pytest.fixture
def client(version: int) -> Client:
    return Client(version, service_port=80)


def test_the_application_gets_the_client_itself(wire: HostWire, client: Client) -> None:
    peer = Peer(wire, client)
    with wire.listen(client) as listener:
        peer.bundle()
        with accepted(listener, client) as connection:
            answer = exchange(connection, peer)[TCP]
            assert answer.seq == peer.server_isn + 1
            assert answer.ack == client.isn + 1 + len(GET)
            peer.send(flags="A")
            assert resets(wire.settle()) == []
            assert states(client) == ["established"]
    assert wire.changed() == {"uploaded": 1, "restored": 1}


def test_numbers_may_pass_zero(wire: HostWire, version: int) -> None:
    client = Client(version, service_port=80, isn=0xFFFFFFF0)
    peer = Peer(wire, client, server_isn=0xFFFFFFFC)
    with wire.listen(client) as listener:
        peer.bundle()
        with accepted(listener, client) as connection:
            exchange(connection, peer)
            peer.send(b"more")
            exchange(connection, peer, b"more")


def test_data_with_the_end_of_the_stream(wire: HostWire, client: Client) -> None:
    peer = Peer(wire, client)
    with wire.listen(client) as listener:
        peer.bundle(flags="FPA")
        with accepted(listener, client) as connection:
            exchange(connection, peer)
            assert connection.recv(1) == b""
    assert "F" in str(peer.take_until("F")[TCP].flags)
    peer.send(flags="A")
    assert resets(wire.settle()) == []
    assert states(client) == []


def test_the_end_of_the_stream_alone(wire: HostWire, client: Client) -> None:
    peer = Peer(wire, client)
    with wire.listen(client) as listener:
        peer.bundle(b"", flags="FA")
        with accepted(listener, client) as connection:
            assert connection.recv(1) == b""
    peer.take_until("F")
    assert resets(wire.settle()) == []
    assert wire.changed() == {"uploaded": 1}


@pytest.mark.parametrize("flags", ["PA", "FPA"])
def test_the_same_bundle_again_changes_nothing(wire: HostWire, client: Client, flags: str) -> None:
    peer = Peer(wire, client)
    with wire.listen(client) as listener:
        frame = peer.bundle(flags=flags)
        wire.send(frame)
        with accepted(listener, client) as connection:
            assert connection.recv(4096) == GET
            wire.send(frame)
            assert resets(wire.settle()) == []
            _nothing_more(listener, connection, ended="F" in flags)
    assert wire.changed() == {"uploaded": 1, "repeated": 2}


def _nothing_more(listener: socket.socket, connection: socket.socket, *, ended: bool) -> None:
    listener.setblocking(False)
    with pytest.raises(BlockingIOError):
        listener.accept()
    connection.setblocking(False)
    if ended:
        assert connection.recv(1) == b""
    else:
        with pytest.raises(BlockingIOError):
            connection.recv(1)


def test_a_bundle_that_repeats_a_lost_one_brings_more(wire: HostWire, client: Client) -> None:
    """A client may repeat its first bytes in a longer segment."""
    peer = Peer(wire, client)
    with wire.listen(client) as listener:
        peer.bundle(GET[:10])
        peer.seq = client.isn + 1
        peer.bundle(GET)
        with accepted(listener, client) as connection:
            exchange(connection, peer)
    assert wire.changed() == {"uploaded": 1, "repeated": 1}


def test_another_flow_id_of_the_same_connection_is_no_new_one(
    wire: HostWire, client: Client
) -> None:
    """A unit that took over from another bundles the client's repeated first data anew."""
    peer = Peer(wire, client)
    with wire.listen(client) as listener:
        peer.bundle()
        peer.seq, peer.flow_id = client.isn + 1, b"\1\2\3\4"
        peer.bundle()
        with accepted(listener, client) as connection:
            exchange(connection, peer)
            peer.send(b"more")
            exchange(connection, peer, b"more")
    assert wire.changed() == {"uploaded": 1, "repeated": 1, "restored": 1}


def test_nobody_listens(wire: HostWire, client: Client) -> None:
    peer = Peer(wire, client)
    peer.bundle()
    (packet,) = wire.settle()
    assert resets([packet]) == [packet]
    assert (packet.src, packet.dst) == client.four_tuple[1::-1]
    assert (packet[TCP].sport, packet[TCP].dport) == (80, client.port)
    assert packet[TCP].seq == peer.ack
    assert wire.changed() == {"no_listener": 1}


@pytest.mark.parametrize("backlog", [0, 1])
def test_a_full_queue_of_connections_is_waited_for(
    wire: HostWire, version: int, backlog: int
) -> None:
    """Segments behind such a bundle are held off: a RST would end what may yet begin."""
    ahead = [
        Peer(wire, Client(version, port, service_port=80), flow_id=port.to_bytes(4, "big"))
        for port in range(40001, 40002 + backlog)
    ]
    peer = Peer(wire, Client(version, service_port=80))
    with wire.listen(peer.client, backlog) as listener:
        for other in ahead:
            other.bundle()
        refused = peer.bundle()
        later = peer.send(b"second")
        assert resets(wire.settle()) == []
        assert states(peer.client) == []
        assert wire.changed() == {"uploaded": len(ahead) + 1, "early": 1}
        for other in ahead:
            with accepted(listener, other.client) as connection:
                exchange(connection, other)
        wire.send(refused, later)
        with accepted(listener, peer.client) as connection:
            exchange(connection, peer, GET + b"second")
        assert wire.changed() == {"uploaded": 1, "restored": 1}


def test_a_server_of_ipv6_takes_ipv4_too(wire: HostWire) -> None:
    client = Client(4, service_port=80)
    peer = Peer(wire, client)
    with socket.create_server(("::", 80), family=socket.AF_INET6, dualstack_ipv6=True) as listener:
        listener.settimeout(10)
        peer.bundle()
        connection, address = listener.accept()
        with connection:
            assert address[0] == f"::ffff:{CLIENT[4]}"
            exchange(connection, peer)
    assert wire.changed() == {"uploaded": 1}
