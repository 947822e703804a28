"""What is said to packets on their way: hosts' answers, and routers' ICMP errors."""

from __future__ import annotations

from random import Random

import wire
from reading import Seen
from traffic import MACS

__all__ = ["answer", "too_big"]

ACK = 16


def answer(rng: Random, got: Seen) -> bytes:
    """The frame of something that an endpoint may say to what it got, as it leaves."""
    version, source, target = got.version, got.target, got.source
    if rng.random() < 0.2:
        proto = wire.ICMP[version]
        kind, code = (3, 3) if version == 4 else (1, 4)
        quoted = got.head + got.l4[: rng.choice((8, 64, 500))]
        body = wire.seal(proto, source, target, wire.icmp(kind, code, 0, quoted))
    else:
        proto, data = got.proto, rng.randbytes(rng.choice((0, 1, 20, 1000)))
        ports = got.ports[::-1]
        body = wire.udp(ports, data)
        if proto == wire.TCP:
            body = wire.tcp(ports, rng.getrandbits(32), rng.getrandbits(32), ACK, data)
        body = wire.seal(proto, source, target, body)
    packet = wire.ip(version, source, target, proto, body, ident=rng.getrandbits(16))
    return wire.ethernet(MACS["router"], MACS["unit"], version, packet)


def too_big(rng: Random, sent: Seen) -> bytes:
    """The frame of what a router says to the sender of a packet that it can't send on."""
    version, source = sent.version, rng.randbytes(4 if sent.version == 4 else 16)
    quoted = (sent.head + sent.l4)[: rng.choice((28, 48, 500, 1232))]
    kind, code = (3, 4) if version == 4 else (2, 0)
    proto = wire.ICMP[version]
    body = wire.seal(proto, source, sent.source, wire.icmp(kind, code, 1280, quoted))
    packet = wire.ip(version, source, sent.source, proto, body)
    return wire.ethernet(MACS["unit"], MACS["router"], version, packet)
