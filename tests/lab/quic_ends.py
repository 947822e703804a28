"""A QUIC server whose connection ids a test makes, and a client that moves to other addresses.

Both are aioquic's, on sockets in lab nodes, run by one event loop in a thread of the test's.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, TypeVar

from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.asyncio.server import QuicServer
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from pointsman.lab.lab import Lab

__all__ = ["MakeId", "QuicClient", "Seen", "quic_client", "quic_server"]

T = TypeVar("T")
MakeId = Callable[[], bytes]
"""A connection id, another one each time, all of one length (20 bytes at most)."""
WITHIN_S = 10.0
ALPN = ["lab"]


@dataclass
class Seen:
    """By a server, of its clients."""

    handshakes: int = 0
    peers: list[str] = field(default_factory=list)
    """Source address of each request, in order."""
    ids: set[bytes] = field(default_factory=set)
    """Connection ids that it has made."""


@contextmanager
def quic_server(lab: Lab, node: str, address: str, port: int, make_id: MakeId) -> Iterator[Seen]:
    """Answers each request (a stream) with the node's name, a blank and the request."""
    seen = Seen()
    configuration = QuicConfiguration(is_client=False, alpn_protocols=ALPN)
    configuration.certificate, configuration.private_key = _certificate(node)
    configuration.connection_id_length = len(make_id())
    with _loop() as run:
        # The host may have the address later: see ip_nonlocal_bind.
        sock = _socket(lab, node, address, port)
        create = partial(_ServedConnection, node=node, seen=seen, make_id=make_id)
        server = run(_serve(sock, configuration, create))
        try:
            yield seen
        finally:
            run(_stop(server))


class QuicClient:
    """One connection; see quic_client."""

    def __init__(self, lab: Lab, node: str, run: Callable[[Coroutine[Any, Any, Any]], Any]) -> None:
        self._lab = lab
        self._node = node
        self._run = run
        self._protocol: QuicConnectionProtocol | None = None
        self._transport: asyncio.BaseTransport | None = None

    def connect(self, address: str, port: int, source: str = "") -> None:
        """Returns after the handshake. TimeoutError if there is none."""
        self._run(self._connect(address, port, _source(address, source)))

    def ask(self, request: bytes) -> bytes:
        """The answer. TimeoutError if none comes."""
        answer: bytes = self._run(self._ask(request))
        return answer

    def move(self, source: str, port: int = 0, *, new_id: bool = True) -> None:
        """Goes on from another address or port of its node.

        With a new id, it addresses the server by the next connection id that this has given it,
        as a client does that moves on purpose; without, as one does behind a NAT that forgot it.
        """
        self._run(self._move(source, port, new_id))

    @property
    def connection(self) -> QuicConnection:
        assert self._protocol is not None
        return self._protocol._quic

    def close(self) -> None:
        self._run(self._close())

    async def _connect(self, address: str, port: int, source: str) -> None:
        configuration = QuicConfiguration(
            is_client=True,
            alpn_protocols=ALPN,
            verify_mode=ssl.CERT_NONE,
            server_name="lab.test",
        )
        self._protocol = QuicConnectionProtocol(QuicConnection(configuration=configuration))
        await self._open(source, 0)
        full = (address, port, 0, 0) if ":" in address else (address, port)
        self._protocol.connect(full)
        await self._protocol.wait_connected()

    async def _open(self, source: str, port: int) -> None:
        sock = _socket(self._lab, self._node, source, port)
        protocol = self._protocol
        assert protocol is not None
        loop = asyncio.get_running_loop()
        before = self._transport
        # The protocol sends through the transport that it was given last.
        self._transport, _ = await loop.create_datagram_endpoint(lambda: protocol, sock=sock)
        if before is not None:
            before.close()

    async def _ask(self, request: bytes) -> bytes:
        assert self._protocol is not None
        reader, writer = await self._protocol.create_stream()
        writer.write(request)
        writer.write_eof()
        return await reader.read()

    async def _move(self, source: str, port: int, new_id: bool) -> None:
        assert self._protocol is not None
        await self._open(source, port)
        if new_id:
            self._protocol.change_connection_id()

    async def _close(self) -> None:
        if self._protocol is not None:
            self._protocol.close()
            await self._protocol.wait_closed()
        if self._transport is not None:
            self._transport.close()


@contextmanager
def quic_client(
    lab: Lab, node: str, address: str, port: int, source: str = "", *, within_s: float = WITHIN_S
) -> Iterator[QuicClient]:
    """Connected. TimeoutError if that, or anything asked of the client, takes longer."""
    with _loop(within_s) as run:
        client = QuicClient(lab, node, run)
        try:
            client.connect(address, port, source)
            yield client
        finally:
            client.close()


class _ServedConnection(QuicConnectionProtocol):
    def __init__(
        self, quic: QuicConnection, *, node: str, seen: Seen, make_id: MakeId, **rest: Any
    ) -> None:
        super().__init__(quic, stream_handler=self._answer)
        self._node = node
        self._seen = seen
        self._make_id = make_id
        self._replies: set[asyncio.Task[None]] = set()
        """So that none is collected before its end."""
        self._last_peer = ""
        seen.handshakes += 1
        # What aioquic made is replaced before anybody has seen it: the first id here, later ones
        # whenever it makes some.
        first = self._next_id()
        quic._host_cids[0].cid = first
        quic.host_cid = quic._local_initial_source_connection_id = first
        replenish = quic._replenish_connection_ids

        def replenish_with_ours() -> None:
            known = len(quic._host_cids)
            replenish()
            for connection_id in quic._host_cids[known:]:
                connection_id.cid = self._next_id()

        quic._replenish_connection_ids = replenish_with_ours  # type: ignore[method-assign]

    def _next_id(self) -> bytes:
        made = self._make_id()
        self._seen.ids.add(made)
        return made

    def datagram_received(self, data: bytes | str, addr: Any) -> None:
        self._last_peer = addr[0]
        super().datagram_received(data, addr)

    def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._seen.peers.append(self._last_peer)
        task = asyncio.get_running_loop().create_task(self._reply(reader, writer))
        self._replies.add(task)
        task.add_done_callback(self._replies.discard)

    async def _reply(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.read()
        writer.write(self._node.encode() + b" " + request)
        writer.write_eof()


async def _serve(
    sock: socket.socket, configuration: QuicConfiguration, create: Callable[..., Any]
) -> QuicServer:
    loop = asyncio.get_running_loop()
    _, server = await loop.create_datagram_endpoint(
        lambda: QuicServer(configuration=configuration, create_protocol=create), sock=sock
    )
    return server


async def _stop(server: QuicServer) -> None:
    server.close()


def _source(address: str, source: str) -> str:
    return source or ("::" if ":" in address else "0.0.0.0")


def _socket(lab: Lab, node: str, address: str, port: int) -> socket.socket:
    with lab.enter_netns(node):
        sock = socket.socket(
            socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM
        )
    sock.bind((address, port))
    return sock


def _certificate(name: str) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(
        issuer_name=subject,
        subject_name=subject,
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=now - timedelta(days=1),
        not_valid_after=now + timedelta(days=1),
    )
    return builder.sign(key, hashes.SHA256()), key


@contextmanager
def _loop(within_s: float = WITHIN_S) -> Iterator[Callable[[Coroutine[Any, Any, T]], T]]:
    """Runs coroutines in a thread's event loop, each within the time."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def run(coroutine: Coroutine[Any, Any, T]) -> T:
        limited = asyncio.wait_for(coroutine, within_s)
        return asyncio.run_coroutine_threadsafe(limited, loop).result()

    try:
        yield run
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
