"""What arrives at a unit: conversations that go on, and all that gets in between them.

`next()` makes a frame; `saw()` is told what came of it, so that handshakes end with the cookie that
was given, and hosts' notices come back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from random import Random

import wire
from first_data import first_data
from mutate import damaged, wrapped
from packets import HOSTS, ROUTER_MAC, TUNNEL, UNIT_MAC, VIP
from quic_data import QUIC_PORTS, quic_datagram
from target import FRAME_MAX, FRAME_MIN, Result

from pointsman.datapath.reasons import Reason

__all__ = ["MACS", "Conversation", "Traffic"]

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
PLAIN = [81, 82, 91, 92, 94, 96, 1723, 5060]
INSPECTED = [80, 83, 85, 443, 3389]
DATAGRAMS = [53, 84, 93, 95, 500, 4500, 10000, 15000, 20000, *QUIC_PORTS, *QUIC_PORTS]
OTHER_PORTS = [1, 79, 7471, 20001, 0, 65535]
CONVERSATIONS = 300
MOST_LATER = 100
MACS = {
    "router": bytes.fromhex(ROUTER_MAC.replace(":", "")),
    "unit": bytes.fromhex(UNIT_MAC.replace(":", "")),
}
VIPS = {version: ip_address(address).packed for version, address in VIP.items()}
TUNNELS = {version: ip_address(address).packed for version, address in TUNNEL.items()}
HOST_ADDRESSES = {
    version: [ip_address(address).packed for address in addresses]
    for version, addresses in HOSTS.items()
}
TCP_OPTIONS = [
    b"",
    b"",
    b"\x02\x04\x05\xb4",
    b"\x02\x04\x05\xb4\x04\x02\x08\x0a\x00\x00\x00\x01\x00\x00\x00\x00\x01\x03\x03\x07",
    b"\x01\x01\x08\x0a\x11\x22\x33\x44\x55\x66\x77\x88",
    b"\x05\x0a\x00\x00\x00\x01\x00\x00\x00\x02\x01\x01",
    b"\x02\x00\x00\x00",
    b"\x03\x03\xff\x00",
    b"\x22\x0c" + bytes(10),  # Fast Open
    b"\x01" * 40,
    b"\xfd\x28" + bytes(38),
]


@dataclass
class Conversation:
    """One client's end. `ack` is None until the unit's cookie, or the host's number, is known."""

    version: int
    proto: int
    source: bytes
    sport: int
    dport: int
    isn: int
    ack: int | None = None
    sent: int = 0

    @property
    def inspected(self) -> bool:
        return self.proto == wire.TCP and self.dport in INSPECTED


class Traffic:
    """All of it follows from the seed and from what the programs answer."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self._open: list[Conversation] = []
        self._asked: Conversation | None = None
        self._last = b"\0" * 60
        self._later: list[bytes] = []
        self._makers: list[tuple[Callable[[], bytes], int]] = [
            (self._begin, 20),
            (self._go_on, 50),
            (self._portless, 4),
            (self._icmp, 8),
            (self._arrive, 16),
            (self._notice, 2),
            (self._stray, 6),
            (self._noise, 3),
        ]
        self._weights = [weight for _, weight in self._makers]

    def _data(self, *sizes: int) -> bytes:
        """Of one of these sizes, or more than a page holds."""
        jumbo = self.rng.random() < 0.03
        return self.rng.randbytes(8900 if jumbo else self.rng.choice(sizes))

    def next(self) -> tuple[bytes, bool]:
        """A frame, and whether it is as a client would send it: plain and undamaged."""
        rng = self.rng
        self._asked = None
        maker = rng.choices(self._makers, self._weights)[0][0]
        frame, whole = maker(), True
        if rng.random() < 0.15:
            frame, whole = wrapped(rng, frame), False
        if rng.random() < 0.45:
            frame, whole = damaged(rng, frame, self._last), False
        if not FRAME_MIN <= len(frame) <= FRAME_MAX:
            frame = frame[:FRAME_MAX].ljust(FRAME_MIN, b"\0")
        self._last = frame
        return frame, whole

    def saw(self, result: Result) -> None:
        """What became of the last frame."""
        if self._asked and result.reason == Reason.SYN_ANSWERED and len(result.frame) >= 54:
            self._asked.ack = wire.cookie_of(result.frame, self._asked.version) + 1

    def later(self, frame: bytes) -> None:
        """What others send to the unit: notices, answers, errors. It arrives in a while."""
        if len(self._later) < MOST_LATER:
            self._later.append(frame)

    # ---- conversations ----

    def _new(self) -> Conversation:
        rng = self.rng
        version = rng.choice((4, 6))
        proto = wire.TCP if rng.random() < 0.7 else wire.UDP
        ports = PLAIN + INSPECTED if proto == wire.TCP else DATAGRAMS
        source = ip_address("198.51.100.0" if version == 4 else "2001:db8:1::").packed[:-1]
        talk = Conversation(
            version=version,
            proto=proto,
            source=source + bytes([rng.randrange(1, 20)]),
            sport=rng.randrange(1024, 65536),
            dport=rng.choice(ports),
            isn=rng.choice((rng.getrandbits(32), 0xFFFFFFFF, 0)),
        )
        if len(self._open) < CONVERSATIONS:
            self._open.append(talk)
        else:
            self._open[rng.randrange(CONVERSATIONS)] = talk
        return talk

    def _some(self) -> Conversation:
        return self.rng.choice(self._open) if self._open else self._new()

    def _frame(self, talk: Conversation, proto: int, segment: bytes) -> bytes:
        packet = wire.ip(
            talk.version,
            talk.source,
            VIPS[talk.version],
            proto,
            segment,
            ttl=self.rng.choice((64, 64, 64, 64, 64, 255, 2, 1, 0)),
            ident=self.rng.getrandbits(16),
            fragment=self.rng.choice((0, 0x4000)),
        )
        return wire.ethernet(MACS["unit"], MACS["router"], talk.version, packet)

    def _segment(self, talk: Conversation, seq: int, ack: int, flags: int, data: bytes) -> bytes:
        options = self.rng.choice(TCP_OPTIONS)
        segment = wire.tcp((talk.sport, talk.dport), seq, ack, flags, data, options)
        return self._frame(
            talk, wire.TCP, wire.seal(wire.TCP, talk.source, VIPS[talk.version], segment)
        )

    def _datagram(self, talk: Conversation) -> bytes:
        data = self._data(0, 1, 40, 500, 1472)
        if talk.dport in QUIC_PORTS and self.rng.random() < 0.9:
            data = quic_datagram(self.rng)
        segment = wire.udp((talk.sport, talk.dport), data)
        zero = talk.version == 4 and self.rng.random() < 0.2
        segment = wire.seal(wire.UDP, talk.source, VIPS[talk.version], segment, zero=zero)
        return self._frame(talk, wire.UDP, segment)

    def _begin(self) -> bytes:
        talk = self._new()
        if talk.proto == wire.UDP:
            return self._datagram(talk)
        self._asked = talk
        flags = SYN | self.rng.choice((0, 0, 0, 0xC0, 0x40))
        return self._segment(talk, talk.isn, 0, flags, self.rng.choice((b"", b"", b"early")))

    def _go_on(self) -> bytes:
        talk, rng = self._some(), self.rng
        if talk.proto == wire.UDP:
            return self._datagram(talk)
        if talk.inspected and talk.ack is None:
            self._asked = talk
            return self._segment(talk, talk.isn, 0, SYN, b"")
        ack = talk.ack or 77
        if talk.inspected and (not talk.sent or rng.random() < 0.3):
            talk.sent += 1
            data = rng.choice((b"", first_data(rng, talk.dport), first_data(rng, talk.dport)))
            return self._segment(talk, talk.isn + 1, ack, ACK | rng.choice((0, PSH, FIN)), data)
        talk.sent += 1
        seq = talk.isn + rng.choice((0, 1, 1, 100, 0x80000000))
        flags = rng.choice((ACK, ACK, ACK | PSH, ACK | FIN, RST, RST | ACK, rng.getrandbits(8)))
        return self._segment(talk, seq, ack, flags, self._data(0, 1, 100, 1460))

    # ---- the rest ----

    def _portless(self) -> bytes:
        talk = self._some()
        proto = self.rng.choice((wire.GRE, wire.ESP, wire.AH, 2, 132, 255))
        return self._frame(talk, proto, self.rng.randbytes(self.rng.choice((0, 4, 8, 100))))

    def _icmp(self) -> bytes:
        """Errors that quote what a host or a VIP sent to a client, echo, neighbour discovery."""
        talk, rng = self._some(), self.rng
        version = talk.version
        if rng.random() < 0.3:
            kind, data = (8 if version == 4 else 128), self._data(0, 1, 56, 1400)
            message = wire.icmp(kind, 0, rng.getrandbits(32), data)
        elif rng.random() < 0.1:
            message = wire.icmp(rng.getrandbits(8), 0, rng.getrandbits(32), rng.randbytes(20))
        else:
            message = wire.icmp(*self._error_kind(version), self._quoted(talk))
        proto = wire.ICMP[version]
        sender = talk.source if rng.random() < 0.8 else rng.randbytes(len(talk.source))
        target = VIPS[version] if rng.random() < 0.8 else TUNNELS[version]
        message = wire.seal(proto, sender, target, message)
        packet = wire.ip(version, sender, target, proto, message)
        return wire.ethernet(MACS["unit"], MACS["router"], version, packet)

    def _error_kind(self, version: int) -> tuple[int, int, int]:
        if version == 4:
            return self.rng.choice(((3, 4, 1280), (3, 3, 0), (11, 0, 0), (12, 0, 0), (3, 4, 0)))
        return self.rng.choice(((2, 0, 1280), (1, 4, 0), (3, 0, 0), (4, 0, 0), (2, 0, 0)))

    def _quoted(self, talk: Conversation) -> bytes:
        ports = (talk.dport, talk.sport)
        body = wire.udp(ports, b"x" * 40)
        if talk.proto == wire.TCP:
            body = wire.tcp(ports, 5, talk.isn, ACK, b"x" * 40)
        body = wire.seal(talk.proto, VIPS[talk.version], talk.source, body)
        packet = wire.ip(talk.version, VIPS[talk.version], talk.source, talk.proto, body)
        if self.rng.random() < 0.2:  # IPv4 routers need quote no more than 8 bytes
            packet = packet[: 28 if talk.version == 4 else 48]
        return packet

    def _arrive(self) -> bytes:
        if not self._later:
            return self._go_on()
        return self._later.pop(self.rng.randrange(len(self._later)))

    def _notice(self) -> bytes:
        rng = self.rng
        version = rng.choice((4, 6))
        source, target = rng.choice(HOST_ADDRESSES[version]), TUNNELS[version]
        body = bytes([1, 128, 0, 0]) + rng.randbytes(rng.choice((20, 20, 12, 40)))
        segment = wire.seal(wire.UDP, source, target, wire.udp((7471, 7471), body))
        packet = wire.ip(version, source, target, wire.UDP, segment)
        return wire.ethernet(MACS["unit"], MACS["router"], version, packet)

    def _stray(self) -> bytes:
        """For a port that is no service, or no VIP."""
        rng, talk = self.rng, self._some()
        talk = Conversation(
            talk.version, talk.proto, talk.source, talk.sport, rng.choice(OTHER_PORTS), talk.isn
        )
        return (
            self._datagram(talk)
            if talk.proto == wire.UDP
            else self._segment(talk, talk.isn, 0, rng.choice((SYN, ACK)), b"")
        )

    def _noise(self) -> bytes:
        rng = self.rng
        kind = rng.choice((b"\x08\x00", b"\x86\xdd", b"\x81\x00", b"\x08\x06", rng.randbytes(2)))
        return MACS["unit"] + MACS["router"] + kind + rng.randbytes(rng.randrange(1, 200))
