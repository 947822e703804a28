"""ICMP and ICMPv6 errors and echo requests, as routers and clients send them."""

from __future__ import annotations

from typing import Any

from packets import ROUTER_MAC, UNIT_MAC, ip_of
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    ICMPv6EchoRequest,
    ICMPv6PacketTooBig,
    ICMPv6ParamProblem,
    ICMPv6TimeExceeded,
    IPv6,
)
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw

__all__ = ["ERRORS", "ROUTER", "answer", "echo", "error", "icmp_of", "quoted"]

ROUTER = {4: "192.0.2.77", 6: "2001:db8:77::77"}
"""Far away, where packets are too big."""
ERRORS = {
    4: {
        "frag needed": lambda: ICMP(type=3, code=4, nexthopmtu=1280),
        "unreachable": lambda: ICMP(type=3, code=1),
        "time exceeded": lambda: ICMP(type=11, code=0),
        "parameter problem": lambda: ICMP(type=12, code=0, ptr=9),
    },
    6: {
        "frag needed": lambda: ICMPv6PacketTooBig(mtu=1280),
        "unreachable": lambda: ICMPv6DestUnreach(code=0),
        "time exceeded": lambda: ICMPv6TimeExceeded(code=0),
        "parameter problem": lambda: ICMPv6ParamProblem(code=1, ptr=40),
    },
}


def answer(four_tuple: tuple[str, str, int, int], version: int, proto: int, size: int) -> bytes:
    """What the host sends to the client in the virtual IP's name, from the IP header on."""
    client, vip, port, service_port = four_tuple
    header = ip_of(version, vip, client, ttl=60)
    ports = {"sport": service_port, "dport": port}
    l4 = TCP(flags="A", seq=77, ack=88, **ports) if proto == 6 else UDP(**ports)
    return bytes(header / l4 / Raw(bytes(i % 251 for i in range(size))))


def error(version: int, target: str, kind: str, quote: bytes, **fields: Any) -> bytes:
    """An error of the router's to `target`, as a frame."""
    header = ip_of(version, fields.pop("source", ROUTER[version]), target, **fields)
    return bytes(
        Ether(src=ROUTER_MAC, dst=UNIT_MAC) / header / ERRORS[version][kind]() / Raw(quote)
    )


def echo(version: int, source: str, target: str, payload: bytes, **fields: Any) -> bytes:
    """An echo request, as a frame."""
    ping: Packet = ICMP(type=8, id=7, seq=3) if version == 4 else ICMPv6EchoRequest(id=7, seq=3)
    header = ip_of(version, source, target, **fields)
    return bytes(Ether(src=ROUTER_MAC, dst=UNIT_MAC) / header / ping / Raw(payload))


def icmp_of(frame: bytes) -> bytes:
    """The message, from its ICMP header on, without what pads the frame."""
    packet = Ether(frame)
    if IP in packet:
        return frame[34 : 14 + packet[IP].len]
    return frame[54 : 54 + packet[IPv6].plen]


def quoted(frame: bytes) -> bytes:
    """What an error quotes."""
    return icmp_of(frame)[8:]
