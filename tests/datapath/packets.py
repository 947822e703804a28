"""Frames as clients, units and hosts send them, for the addresses of `site_file.py`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from scapy.layers.inet import IP, TCP, UDP, in4_chksum
from scapy.layers.inet6 import IPv6, in6_chksum
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw
from scapy.utils import checksum

__all__ = [
    "CLIENT",
    "HOSTS",
    "ROUTER_MAC",
    "TUNNEL",
    "UNIT_MAC",
    "VIP",
    "Client",
    "checksums_right",
    "ip_of",
    "split",
    "with_tcp_options",
]

CLIENT = {4: "198.51.100.2", 6: "2001:db8:1::2"}
VIP = {4: "203.0.113.10", 6: "2001:db8:10::10"}
TUNNEL = {4: "10.1.1.1", 6: "fd00:1::1:1"}
HOSTS = {
    4: ["10.1.0.11", "10.1.0.12", "10.1.0.13"],
    6: ["fd00:1::11", "fd00:1::12", "fd00:1::13"],
}
IP_BYTES = {4: 20, 6: 40}
UDP_NUMBER = 17
ROUTER_MAC = "02:00:00:00:00:fe"
UNIT_MAC = "02:00:00:00:00:01"


def ip_of(version: int, source: str, target: str, **fields: object) -> Packet:
    """An IP header of either version; `ttl` is the hop limit too."""
    ttl = fields.pop("ttl", 64)
    if version == 4:
        return IP(src=source, dst=target, ttl=ttl, **fields)
    return IPv6(src=source, dst=target, hlim=ttl, **fields)


@dataclass(frozen=True)
class Client:
    """One client's end of a connection, or of a flow of datagrams, to a service."""

    version: int
    port: int = 40000
    service_port: int = 81
    isn: int = 0x01020304
    proto: int = 6
    address: str | None = None
    """If it is not the usual one."""

    @property
    def four_tuple(self) -> tuple[str, str, int, int]:
        address = self.address or CLIENT[self.version]
        return address, VIP[self.version], self.port, self.service_port

    def packet(self, payload: bytes = b"", **tcp: Any) -> Packet:
        """From the IP header on."""
        ttl = tcp.pop("ttl", 64)
        source, target, sport, dport = self.four_tuple
        header = ip_of(self.version, source, target, ttl=ttl)
        if self.proto == UDP_NUMBER:
            segment = header / UDP(sport=sport, dport=dport, **tcp)
        else:
            segment = header / TCP(sport=sport, dport=dport, window=1024, **tcp)
        return segment / Raw(payload) if payload else segment

    def frame(self, payload: bytes = b"", **tcp: Any) -> bytes:
        """As the unit gets it from the router."""
        return bytes(Ether(src=ROUTER_MAC, dst=UNIT_MAC) / self.packet(payload, **tcp))

    def syn(self, **tcp: Any) -> bytes:
        return self.frame(flags="S", seq=self.isn, **tcp)

    def data(self, payload: bytes, isn: int, flags: str = "PA", **tcp: Any) -> bytes:
        """The first data after a handshake in which the other side began with `isn`."""
        ack = (isn + 1) & 0xFFFFFFFF
        return self.frame(payload, flags=flags, seq=self.isn + 1, ack=ack, **tcp)


def split(frame: bytes) -> tuple[Packet, Packet]:
    """The frame's IP packet, and what IP carries."""
    packet = Ether(frame)
    network = packet[IP] if IP in packet else packet[IPv6]
    return network, network.payload


def checksums_right(frame: bytes) -> bool:
    """Whether checksums are what they would be if made afresh, or UDP has none."""
    packet = Ether(frame)
    for layer, name in ((IP, "chksum"), (TCP, "chksum"), (UDP, "chksum")):
        if layer in packet and (layer is not UDP or packet[UDP].chksum):
            delattr(packet[layer], name)
    return bytes(Ether(bytes(packet))) == frame


def with_tcp_options(frame: bytes, version: int, options: bytes) -> bytes:
    """The frame, whose TCP segment is a bare header, with these raw options in it."""
    at = 14 + IP_BYTES[version]
    raw = bytearray(frame[: at + 20] + options)
    raw[at + 12] = (20 + len(options)) // 4 << 4
    raw[at + 16 : at + 18] = bytes(2)
    if version == 4:
        raw[16:18] = (40 + len(options)).to_bytes(2, "big")
        raw[24:26] = bytes(2)
        raw[24:26] = checksum(bytes(raw[14:34])).to_bytes(2, "big")
    else:
        raw[18:20] = (20 + len(options)).to_bytes(2, "big")
    over = in4_chksum if version == 4 else in6_chksum
    raw[at + 16 : at + 18] = over(6, split(bytes(raw))[0], bytes(raw[at:])).to_bytes(2, "big")
    return bytes(raw)
