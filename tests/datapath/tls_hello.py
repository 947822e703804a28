"""TLS ClientHellos: made to measure, and as real clients send them."""

from __future__ import annotations

import socket
import ssl
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field

__all__ = [
    "ALPN",
    "SNI",
    "Hello",
    "alpn",
    "extension",
    "from_command",
    "from_python",
    "server_name",
]

SNI, ALPN = 0, 16
PATIENCE_S = 10


def extension(number: int, body: bytes) -> bytes:
    return number.to_bytes(2, "big") + len(body).to_bytes(2, "big") + body


def server_name(name: bytes) -> bytes:
    entry = b"\0" + len(name).to_bytes(2, "big") + name
    return extension(SNI, len(entry).to_bytes(2, "big") + entry)


def alpn(*protocols: bytes) -> bytes:
    names = b"".join(bytes([len(name)]) + name for name in protocols)
    return extension(ALPN, len(names).to_bytes(2, "big") + names)


@dataclass(frozen=True)
class Hello:
    """`extensions` None: a hello from before there were any."""

    extensions: Sequence[bytes] | None = ()
    record_version: bytes = b"\x03\x01"
    version: bytes = b"\x03\x03"
    session: bytes = bytes(32)
    suites: bytes = b"\x0a\x0a\x13\x01\x13\x02"
    compressions: bytes = b"\0"
    random: bytes = field(default=bytes(range(32)))

    @property
    def body(self) -> bytes:
        """What the handshake's length counts."""
        parts = [
            self.version,
            self.random,
            bytes([len(self.session)]) + self.session,
            len(self.suites).to_bytes(2, "big") + self.suites,
            bytes([len(self.compressions)]) + self.compressions,
        ]
        if self.extensions is not None:
            joined = b"".join(self.extensions)
            parts.append(len(joined).to_bytes(2, "big") + joined)
        return b"".join(parts)

    def pack(self, record_bytes: int | None = None) -> bytes:
        """As it is sent, in records of this many bytes at most."""
        handshake = b"\1" + len(self.body).to_bytes(3, "big") + self.body
        step = record_bytes or len(handshake)
        pieces = [handshake[at : at + step] for at in range(0, len(handshake), step)]
        return b"".join(
            b"\x16" + self.record_version + len(piece).to_bytes(2, "big") + piece
            for piece in pieces
        )


def from_python(name: str, protocols: Sequence[str], *, newest: ssl.TLSVersion) -> bytes:
    """What this Python's OpenSSL sends."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.maximum_version = newest
    if protocols:
        context.set_alpn_protocols(list(protocols))
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing, server_hostname=name)
    try:
        client.do_handshake()
    except ssl.SSLWantReadError:
        return outgoing.read()
    raise AssertionError("a handshake needs an answer")


def from_command(command: Sequence[str]) -> bytes:
    """The first data that a command sends; `{port}` in its words is where to."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(PATIENCE_S)
        port = server.getsockname()[1]
        words = [word.replace("{port}", str(port)) for word in command]
        quiet = subprocess.DEVNULL
        with subprocess.Popen(words, stdin=quiet, stdout=quiet, stderr=quiet) as client:
            connection, _ = server.accept()
            with connection:
                connection.settimeout(PATIENCE_S)
                data = connection.recv(65536)
            client.wait(PATIENCE_S)
    return data
