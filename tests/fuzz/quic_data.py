"""QUIC datagrams as far as balancers read them: ids of servers, of none, odd and broken."""

from __future__ import annotations

from random import Random

from quic_ids import Configuration, encode

__all__ = ["CONFIGURATIONS", "KEY", "QUIC_PORTS", "SERVER_IDS", "quic_datagram"]

KEY = bytes(range(0x40, 0x50))
CONFIGURATIONS = [
    Configuration(0, 3, 4),
    Configuration(1, 3, 5, KEY),
    Configuration(2, 3, 13, KEY),
    Configuration(6, 3, 16, KEY),
]
SERVER_IDS = [b"\x00\x00\x01", b"\xff\x00\x02", b"\x7f\xff\x03"]
QUIC_PORTS = (4433, 4434, 4435)


def quic_datagram(rng: Random) -> bytes:
    """Mostly with an id of some server's, now and then cut short."""
    made = rng.choice(CONFIGURATIONS)
    server_id = rng.choice((*SERVER_IDS, rng.randbytes(3)))
    connection_id = encode(made, server_id, rng.randbytes(made.nonce_bytes), rng.randrange(32))
    if rng.random() < 0.2:
        connection_id = rng.randbytes(rng.randrange(30))
    connection_id += rng.randbytes(rng.choice((0, 0, 0, 1, 12)))
    told = len(connection_id) if rng.random() < 0.9 else rng.randrange(256)
    long = bytes([0x80 | rng.getrandbits(7)]) + rng.randbytes(4) + bytes([told])
    head = rng.choice((long, bytes([rng.getrandbits(7)])))
    datagram = head + connection_id + rng.randbytes(rng.choice((0, 1, 40, 1200)))
    return datagram[: rng.choice((1472, 1472, 1472, 1472, 20, rng.randrange(30)))]
