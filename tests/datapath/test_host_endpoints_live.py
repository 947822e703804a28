"""Endpoints of their own, live: a server that listens at its own place knows nothing of VIPs."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from host_bench import HostBench
from host_wire import FAMILY, PATIENCE_S, HostWire, host_wire
from namespace import run
from own_site import FIRST, SECOND, SECOND_ADDRESS, Own, own_site
from packets import CLIENT, HOSTS, VIP, Client
from scapy.layers.inet import ICMP, IP, TCP, UDP, UDPerror
from scapy.layers.inet6 import ICMPv6DestUnreach, IPv6
from scapy.packet import Packet
from scripted_client import GET, Peer, received
from site_file import KEY
from test_host_errors import ROUTER, error
from test_upload_segments import ROOMY

from pointsman.datapath.abi import BundleKind

pytestmark = pytest.mark.datapath


@pytest.fixture(scope="module")
def loaded_own() -> Iterator[HostBench]:
    with HostBench(own_site(), KEY) as bench:
        yield bench


@pytest.fixture
def wire(loaded_own: HostBench) -> Iterator[HostWire]:
    """Without the VIPs that other tests' hosts have."""
    loaded_own.reset()
    with host_wire(loaded_own) as wire:
        run("ip", "address", "flush", "dev", "lo", "to", VIP[4])
        run("ip", "-6", "address", "flush", "dev", "lo", "to", VIP[6])
        run("ip", "address", "add", f"{SECOND_ADDRESS[4]}/24", "dev", "e0")
        run("ip", "address", "add", f"{SECOND_ADDRESS[6]}/64", "dev", "e0", "nodad")
        run(
            "ip",
            "-6",
            "route",
            "replace",
            "local",
            SECOND_ADDRESS[6],
            "dev",
            "e0",
            "table",
            "local",
        )
        yield wire


def listen(own: Own, version: int) -> socket.socket:
    where = (own.address[version], own.port)
    listener = socket.create_server(where, family=FAMILY[version])
    listener.settimeout(PATIENCE_S)
    return listener


def accept(listener: socket.socket, own: Own, client: Client) -> socket.socket:
    connection, peer = listener.accept()
    connection.settimeout(PATIENCE_S)
    assert peer[:2] == (CLIENT[client.version], client.port)
    assert connection.getsockname()[:2] == (own.address[client.version], own.port)
    return connection


@pytest.mark.parametrize("own", [FIRST, SECOND], ids=["first", "second"])
def test_an_uploaded_connection(wire: HostWire, version: int, own: Own) -> None:
    client = Client(version, service_port=80)
    peer = Peer(wire, client)
    with listen(own, version) as listener:
        peer.bundle(agreed={"endpoint": own.id(version)})
        with accept(listener, own, client) as connection:
            for request in (GET, b"more"):
                if request != GET:
                    peer.send(request)
                assert received(connection, len(request)) == request
                connection.sendall(b"answer")
                peer.take_until("P")  # it comes from the VIP
    changed = wire.changed()
    assert (changed["uploaded"], changed["restored"]) == (1, 1)
    assert changed["out_turned"] >= 2


def test_the_same_client_at_two_vips_is_turned_away(wire: HostWire, version: int) -> None:
    """What it sends must not end up in the connection that lives."""
    first = Peer(wire, Client(version, service_port=80))
    other = Peer(wire, Client(version, service_port=81), flow_id=b"\1\2\3\4")
    agreed = {"endpoint": FIRST.id(version)}
    with listen(FIRST, version) as listener:
        first.bundle(agreed=agreed)
        with accept(listener, FIRST, first.client) as connection:
            assert received(connection, len(GET)) == GET
            other.bundle(agreed=agreed)
            other.bundle(flags="S", payload=b"", kind=BundleKind.SYN, agreed=agreed)
            wire.settle()
            assert wire.changed()["tuple_taken"] == 2
            connection.sendall(b"answer")
            first.take_until("P")


def test_a_port_where_nobody_listens(wire: HostWire, version: int) -> None:
    client = Client(version, service_port=53, proto=17)
    inner = client.packet(b"query")
    wire.send(wire.bench.bundle(client, BundleKind.DATAGRAM, inner, endpoint=FIRST.id(version)))
    told = wire.next()
    assert (told.src, told.dst) == (VIP[version], CLIENT[version])
    assert (ICMP if version == 4 else ICMPv6DestUnreach) in told
    quoted = told[UDPerror]
    assert (quoted.sport, quoted.dport) == (client.port, 53)
    assert quoted.underlayer.dst == VIP[version]


def test_datagrams(wire: HostWire, version: int) -> None:
    client = Client(version, service_port=53, proto=17)
    with socket.socket(FAMILY[version], socket.SOCK_DGRAM) as server:
        server.bind((HOSTS[version][0], FIRST.port))
        server.settimeout(PATIENCE_S)
        inner = client.packet(b"first")
        wire.send(
            wire.bench.bundle(client, BundleKind.DATAGRAM, inner, endpoint=FIRST.id(version)),
            wire.bench.datagram(version, b"second"),
        )
        for wanted in (b"first", b"second"):
            data, peer = server.recvfrom(100)
            assert data == wanted
            server.sendto(b"answer", peer)
            answer = wire.next()
            assert (answer.src, answer[UDP].sport) == (VIP[version], 53)


@pytest.mark.parametrize("own", [FIRST, SECOND], ids=["first", "second"])
def test_the_stack_learns_of_a_narrow_path(wire: HostWire, version: int, own: Own) -> None:
    """What was too big is sent again, in pieces that fit."""
    client = Client(version, service_port=80)
    peer = Peer(wire, client)
    with listen(own, version) as listener:
        peer.bundle(agreed=ROOMY | {"endpoint": own.id(version)})
        with accept(listener, own, client) as connection:
            assert received(connection, len(GET)) == GET
            connection.sendall(bytes(1400))
            large = segment_with_data(wire)
            assert len(large) > 1280
            wire.send(too_big(wire, own, large))
            again = segment_with_data(wire)
            assert again[TCP].seq == large[TCP].seq
            assert len(again) <= 1280
    assert wire.changed()["icmp_passed"] == 1


def segment_with_data(wire: HostWire) -> Packet:
    while not (packet := wire.segment())[TCP].payload:
        pass
    return packet


def too_big(wire: HostWire, own: Own, packet: Packet) -> bytes:
    """A router's word on a packet, as the unit passes it on."""
    version = {IP: 4, IPv6: 6}[type(packet)]
    inner = error(version, ROUTER[version], VIP[version], packet, 20)
    parties = (inner.src, inner.dst, 0, 0)
    number, own_id = {4: 1, 6: 58}[version], own.id(version)
    return wire.bench.bundle_of(version, BundleKind.ICMP, inner, parties, number, endpoint=own_id)
