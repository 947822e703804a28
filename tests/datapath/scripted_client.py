"""A client that sends just what a test tells it to, by way of a unit."""

from __future__ import annotations

import socket
from collections.abc import Sized
from dataclasses import dataclass
from typing import Any

from host_bench import FLOW_ID
from host_wire import PATIENCE_S, HostWire
from packets import CLIENT, VIP, Client
from scapy.layers.inet import TCP
from scapy.packet import Packet

from pointsman.datapath.abi import BundleKind

__all__ = ["GET", "Peer", "accepted", "exchange", "received", "states"]

GET = b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n"
STATES = {
    1: "established",
    3: "syn_recv",
    4: "fin_wait1",
    5: "fin_wait2",
    6: "time_wait",
    8: "close_wait",
    9: "last_ack",
    11: "closing",
}


@dataclass
class Peer:
    """The client's end of one connection. Its numbers go on with what it sends and receives."""

    wire: HostWire
    client: Client
    server_isn: int = 0x7A000000
    flow_id: bytes = FLOW_ID
    tsval: int | None = None
    tsecr: int = 0
    pad: int = 2
    """NOPs in front of the timestamps."""

    def __post_init__(self) -> None:
        self.seq = self.client.isn + 1
        self.ack = self.server_isn + 1

    def _tcp(self, flags: str) -> dict[str, Any]:
        fields: dict[str, Any] = {"flags": flags, "seq": self.seq, "ack": self.ack}
        if self.tsval is not None:
            stamp = ("Timestamp", (self.tsval, self.tsecr))
            fields["options"] = [*[("NOP", None)] * self.pad, stamp]
        return fields

    def _advance(self, payload: bytes, flags: str) -> None:
        self.seq = (self.seq + _numbers(payload, flags)) & 0xFFFFFFFF

    def bundle(
        self,
        payload: bytes = GET,
        flags: str = "PA",
        kind: BundleKind = BundleKind.DATA,
        *,
        cut: int | None = None,
        agreed: dict[str, Any] | None = None,
    ) -> bytes:
        """Sends a bundle; its frame, to be sent again. `agreed`: fields of the bundle's header."""
        inner = self.client.packet(payload, **self._tcp(flags))
        fields = {"flow_id": self.flow_id} | (agreed or {})
        frame = self.wire.bench.bundle(self.client, kind, inner, cut=cut, **fields)
        self.wire.send(frame)
        self._advance(payload, flags)
        return frame

    def tunnelled(self, payload: bytes = b"", flags: str = "PA") -> bytes:
        """The frame of the next segment; it counts as sent."""
        frame = self.wire.bench.tunnelled(
            self.client.version, payload, flow_id=self.flow_id, **self._tcp(flags)
        )
        self._advance(payload, flags)
        return frame

    def send(self, payload: bytes = b"", flags: str = "PA") -> bytes:
        """Sends the next segment; its frame, to be sent again."""
        frame = self.tunnelled(payload, flags)
        self.wire.send(frame)
        return frame

    def take(self) -> Packet:
        """The host's next segment of this connection, which the next ones acknowledge.

        Passes over other connections' and what the host repeats, for it may be slow today.
        AssertionError if it is not the one that this client waits for.
        """
        client, vip, port, service_port = self.client.four_tuple
        while True:
            packet = self.wire.segment()
            tcp = packet[TCP]
            if (packet.src, packet.dst, tcp.sport, tcp.dport) != (vip, client, service_port, port):
                continue
            count = _numbers(tcp.payload, str(tcp.flags))
            if not count or tcp.seq == self.ack:
                break
            assert (self.ack - tcp.seq) & 0xFFFFFFFF < 1 << 31, "a gap in what the host sends"
        assert tcp.seq == self.ack
        assert not count or tcp.ack == self.seq
        self.ack = (self.ack + count) & 0xFFFFFFFF
        return packet

    def take_until(self, flag: str) -> Packet:
        """As take(), past segments without the flag."""
        while flag not in str((packet := self.take())[TCP].flags):
            pass
        return packet


def _numbers(payload: Sized, flags: str) -> int:
    """How many sequence numbers a segment takes."""
    return len(payload) + ("F" in flags) + ("S" in flags)


def accepted(listener: socket.socket, client: Client) -> socket.socket:
    """The connection that the server has got: from the client itself, to the VIP."""
    connection, peer = listener.accept()
    connection.settimeout(PATIENCE_S)
    assert peer[:2] == (CLIENT[client.version], client.port)
    assert connection.getsockname()[:2] == (VIP[client.version], client.service_port)
    return connection


def exchange(connection: socket.socket, peer: Peer, request: bytes = GET) -> Packet:
    """The server reads the request and answers; the segment of the answer."""
    assert received(connection, len(request)) == request
    connection.sendall(b"answer")
    packet = peer.take_until("P")
    assert bytes(packet[TCP].payload) == b"answer"
    return packet


def received(connection: socket.socket, count: int) -> bytes:
    """So many bytes, or all until the end of the stream. (MSG_WAITALL waits for none of them on a
    socket that has a time-out.)
    """
    data = b""
    while len(data) < count and (more := connection.recv(count - len(data))):
        data += more
    return data


def states(client: Client) -> list[str]:
    """Of all sockets with the client's port at their far end."""
    found = []
    name = {4: "tcp", 6: "tcp6"}[client.version]
    with open(f"/proc/thread-self/net/{name}") as table:
        for line in table.readlines()[1:]:
            _, _, remote, state, *_ = line.split()
            if int(remote.rpartition(":")[2], 16) == client.port:
                found.append(STATES[int(state, 16)])
    return found
