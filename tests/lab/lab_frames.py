"""What arrives on a node's interface, as a packet socket sees it."""

from __future__ import annotations

import socket
import struct
import threading

from pointsman.lab.lab import Lab

__all__ = ["checksum_holds", "send_and_capture"]

ETH_P_IP = 0x0800
PORT = 9000


def send_and_capture(lab: Lab, sender: str, receiver: str, address: str, size: int) -> list[bytes]:
    """Sends `size` bytes over TCP; returns the IPv4 packets that arrive at the receiver."""
    with lab.enter_netns(receiver):
        capture = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_IP))
        listener = socket.create_server((address, PORT))
    capture.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * size)
    capture.bind(("e0", ETH_P_IP))
    with lab.enter_netns(sender):
        client = socket.socket()
    client.settimeout(10)
    client.connect((address, PORT))
    server, _ = listener.accept()
    sending = threading.Thread(target=_send_all, args=(client, size))
    sending.start()
    while server.recv(1 << 20):
        pass
    sending.join()
    capture.setblocking(False)
    packets = []
    try:
        while True:
            packet, where = capture.recvfrom(1 << 17)
            if where[2] != socket.PACKET_OUTGOING:
                packets.append(packet)
    except BlockingIOError:
        return packets
    finally:
        for one in (capture, listener, server):
            one.close()


def _send_all(client: socket.socket, size: int) -> None:
    with client:
        client.sendall(bytes(size))


def checksum_holds(packet: bytes) -> bool:
    """Of TCP over IPv4 without IP options."""
    length = struct.unpack("!H", packet[2:4])[0]
    segment = packet[20:length]
    pseudo = packet[12:20] + struct.pack("!BBH", 0, socket.IPPROTO_TCP, len(segment))
    data = pseudo + segment + b"\0" * (len(segment) % 2)
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total == 0xFFFF
