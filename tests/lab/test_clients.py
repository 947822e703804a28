"""Clients as they are: curl, wrk, http.client, a socket that half-closes."""

from __future__ import annotations

import http.client
import re
import socket

import pytest
from http_clients import VIP, fetch, url

from pointsman.lab.lab import Lab

pytestmark = pytest.mark.lab


@pytest.mark.parametrize("version", [4, 6])
def test_curl_reuses_its_connection(demo_lab: Lab, version: int) -> None:
    out = fetch(demo_lab, url(version, "/a/1"), url(version, "/a/2"), "-w", "%{num_connects}\n")
    assert out.split("\n")[1::2][:2] == ["1", "0"]


@pytest.mark.parametrize("version", [4, 6])
def test_wrk_sees_no_error(demo_lab: Lab, version: int) -> None:
    for options in ([], ["-H", "Connection: close"]):
        argv = ["wrk", "-t", "2", "-c", "50", "-d", "2", *options, url(version, "/b")]
        out = demo_lab.run("c2", argv).stdout
        found = re.search(r"(\d+) requests in", out)
        assert found is not None
        assert int(found[1]) > 1000
        assert "Socket errors" not in out
        assert "Non-2xx" not in out


@pytest.mark.parametrize("version", [4, 6])
def test_http_client_keeps_alive(demo_lab: Lab, version: int) -> None:
    with demo_lab.enter_netns("c1"):
        connection = http.client.HTTPConnection(VIP[version], 80, timeout=5)
        connection.connect()
    for number in range(20):
        connection.request("POST", f"/b/{number}", body=b"x" * 5000)
        answer = connection.getresponse()
        assert answer.status == 200
        assert answer.read().split()[-1] == f"/b/{number}".encode()
    connection.close()


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("port", [80, 81])
def test_a_socket_that_half_closes_gets_its_answer(demo_lab: Lab, version: int, port: int) -> None:
    """It says all it has to say, ends its half, and only then reads: nginx answers at the end."""
    body = bytes(3_000_000)
    head = f"PUT /a/upload/half HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    answer = talk(demo_lab, version, port, head.encode() + body)
    assert answer.startswith((b"HTTP/1.1 201 ", b"HTTP/1.1 204 "))
    answer = talk(demo_lab, version, port, b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b"\r\n\r\nhost " in answer


def talk(lab: Lab, version: int, port: int, request: bytes) -> bytes:
    """Sends, half-closes, and returns all that comes."""
    with lab.enter_netns("c1"):
        sock = socket.socket(socket.AF_INET if version == 4 else socket.AF_INET6)
    with sock:
        sock.settimeout(10)
        sock.connect((VIP[version], port))
        sock.sendall(request)
        sock.shutdown(socket.SHUT_WR)
        answer = b""
        while chunk := sock.recv(1 << 20):
            answer += chunk
    return answer


@pytest.mark.parametrize("version", [4, 6])
def test_a_client_that_says_nothing_and_closes_is_closed(demo_lab: Lab, version: int) -> None:
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    with demo_lab.enter_netns("c1"):
        sock = socket.socket(family)
    with sock:
        sock.settimeout(5)
        sock.connect((VIP[version], 80))
        sock.shutdown(socket.SHUT_WR)
        assert sock.recv(100) == b""


@pytest.mark.parametrize("version", [4, 6])
def test_a_request_in_single_bytes_is_served(demo_lab: Lab, version: int) -> None:
    """The kernel can't decide on its first byte, so it goes to the default pool, whole."""
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    with demo_lab.enter_netns("c1"):
        sock = socket.socket(family)
    with sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(5)
        sock.connect((VIP[version], 80))
        for byte in b"GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n":
            sock.send(bytes([byte]))
        answer = b""
        while chunk := sock.recv(65536):
            answer += chunk
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert sum(demo_lab.status(unit)["undecided"]["web"] for unit in ("u1", "u2")) > 0


@pytest.mark.parametrize("version", [4, 6])
def test_a_client_without_options_is_served(demo_lab: Lab, version: int) -> None:
    """No timestamps, no SACK, no window scaling."""
    demo_lab.make_file("three", 3_000_000)
    settings = ("tcp_timestamps", "tcp_sack", "tcp_window_scaling")
    for name in settings:
        demo_lab.run("c2", ["sysctl", "-q", "-w", f"net.ipv4.{name}=0"])
    try:
        where = url(version, "/a/files/three")
        options = ("-o", "/dev/null", "-w", "%{size_download}")
        assert fetch(demo_lab, where, *options, client="c2") == "3000000"
    finally:
        for name in settings:
            demo_lab.run("c2", ["sysctl", "-q", "-w", f"net.ipv4.{name}=1"])
