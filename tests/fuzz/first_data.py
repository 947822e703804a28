"""What clients say first, by inspector: well formed, odd and broken."""

from __future__ import annotations

from random import Random

from rdp_oracle import request
from tls_hello import Hello, alpn, extension, server_name

__all__ = ["first_data"]

METHODS = [b"GET", b"POST", b"X" * 40, b"", b"get"]
PATHS = [b"/", b"/a", b"/a/b?q=1", b"/b?x=y&q=1#f", b"*", b"/" + b"%41" * 30, b"/a" * 400, b"a b"]
HEADERS = [
    b"Host: h",
    b"host:\th.b.test:80",
    b"X-A: b1",
    b"Cookie: a=b; c=d;; e",
    b"X-A:" + b" " * 100 + b"b",
    b"X-Long: " + b"v" * 700,
    b"no colon",
    b": empty",
    b" folded: line",
    b"A" * 1300,
]
NAMES = [b"", b"b.test", b"x.b.test", b"A.B.TEST", b"n" * 255, b"a." * 127 + b"a", b"\0", b"."]
V1 = [b"PROXY TCP4 192.0.2.1 203.0.113.10 5 443\r\n", b"PROXY UNKNOWN\r\n", b"PROXY " + b"x" * 120]
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def _http(rng: Random) -> bytes:
    line = b" ".join((rng.choice(METHODS), rng.choice(PATHS), b"HTTP/1.1"))
    lines = [line, *rng.choices(HEADERS, k=rng.choice((0, 1, 2, 3, 30)))]
    end = rng.choice((b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r"))
    return end.join(lines) + rng.choice((end + end, end + end + b"body", end, b""))


def _tls(rng: Random) -> bytes:
    extensions = [
        server_name(rng.choice(NAMES)),
        alpn(*rng.choices((b"h2", b"http/1.1", b"", b"x" * 255), k=rng.choice((0, 1, 2)))),
        extension(0x0A0A, b""),
        extension(rng.getrandbits(16), rng.randbytes(rng.choice((0, 1, 50)))),
    ]
    chosen = rng.sample(extensions, k=rng.randrange(5))
    hello = Hello(
        extensions=rng.choice((None, chosen, chosen, chosen)),
        session=bytes(rng.choice((0, 32, 255))),
        suites=bytes(rng.choice((0, 2, 40))),
    )
    return hello.pack(rng.choice((None, None, 40, 1)))


def _rdp(rng: Random) -> bytes:
    name = rng.choice((b"bob", b"BOB", b"", b"x" * 200, b"\xff"))
    return request(rng.choice((b"Cookie: mstshash=", b"Cookie: ", b"")) + name + b"\r\n")


def _proxy(rng: Random) -> bytes:
    if rng.random() < 0.5:
        return rng.choice(V1)
    body = bytes(rng.choice((0, 12, 36, 300)))
    length = len(body) if rng.random() < 0.7 else rng.getrandbits(16)
    return SIGNATURE + b"\x21\x11" + length.to_bytes(2, "big") + body


def _proxied(rng: Random) -> bytes:
    return _proxy(rng) + _http(rng)


MAKERS = [_http, _tls, _rdp, _proxied]
OF_PORT = {80: 0, 83: 0, 443: 1, 3389: 2, 85: 3}


def first_data(rng: Random, port: int) -> bytes:
    """Mostly of the service's own protocol; no more than a segment has room for."""
    kind = OF_PORT.get(port, 0) if rng.random() < 0.9 else rng.randrange(len(MAKERS))
    data = MAKERS[kind](rng)
    if rng.random() < 0.1:
        data = rng.randbytes(rng.randrange(1, 1400))
    return data[: rng.choice((1400, 1400, 1400, 1460, 3, 20))]
