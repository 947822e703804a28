"""Real clients reach the host that their first data names: TLS, RDP, HTTP, PROXY headers."""

from __future__ import annotations

import re
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator

import pytest
from http_clients import fetch
from lab_names import lab_name
from lab_sites import write_site

from pointsman.lab.lab import Lab

pytestmark = pytest.mark.lab

SITE = """
    cluster: {name: looks}
    units:
      - {name: u1, UNIT, addresses: [10.1.0.1, "fd00:1::1"], tunnel: [10.1.1.1, "fd00:1::1:1"]}
    hosts:
      - {name: h1, HOST, addresses: [10.1.0.11, "fd00:1::11"]}
      - {name: h2, HOST, addresses: [10.1.0.12, "fd00:1::12"]}
      - {name: h3, HOST, addresses: [10.1.0.13, "fd00:1::13"]}
    pools:
      - {name: one, members: [{host: h1}]}
      - {name: two, members: [{host: h2}]}
      - {name: rest, members: [{host: h3}]}
    services:
      - name: safe
        addresses: [203.0.113.10, "2001:db8:10::10"]
        port: 443
        inspect: tls
        rules:
          - {sni: www.example.org, pool: one}
          - {sni: "*.example.org", pool: two}
          - {alpn: http/1.0, pool: two}
        pool: rest
      - name: web
        addresses: [203.0.113.10, "2001:db8:10::10"]
        port: 80
        inspect: http
        rules:
          - {host: "*.example.org", query: {v: "1"}, pool: one}
          - {header_prefix: {accept-language: it}, pool: two}
        pool: rest
      - name: desktop
        addresses: [203.0.113.10, "2001:db8:10::10"]
        port: 3389
        inspect: rdp
        rules:
          - {mstshash: alice, pool: one}
          - {mstshash: bob, pool: two}
        pool: rest
      - name: behind
        addresses: [203.0.113.10, "2001:db8:10::10"]
        port: 8000
        inspect: http
        proxy_protocol: true
        rules:
          - {path_prefix: /a, pool: one}
        pool: rest
    lab:
      network: {ipv4: 10.1.0.0/16, ipv6: "fd00:1::/64"}
      clients: [{name: c1, addresses: [198.51.100.2/24, "2001:db8:1::2/64"]}]
      applications: {safe: tls, desktop: none, behind: none}
"""
VIP = {4: "203.0.113.10", 6: "2001:db8:10::10"}
# Answers each connection with its own name and what it was sent first.
NAMED_SERVER = """
import socket, sys
where = ("::", int(sys.argv[2]))
listener = socket.create_server(where, family=socket.AF_INET6, dualstack_ipv6=True)
print("listening", flush=True)
while True:
    connection, _ = listener.accept()
    with connection:
        connection.sendall(sys.argv[1].encode() + b" " + connection.recv(65536))
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with Lab(lab_name(), write_site(tmp_path_factory.mktemp("looks"), SITE)) as made:
        made.up()
        for host in ("h1", "h2", "h3"):
            for port in ("3389", "8000"):
                argv = [sys.executable, "-c", NAMED_SERVER, host, port]
                server = made.popen(host, argv, stdout=subprocess.PIPE, text=True)
                assert server.stdout is not None
                with server.stdout as said:
                    assert said.readline() == "listening\n"
        yield made


def bracketed(version: int) -> str:
    return VIP[version] if version == 4 else f"[{VIP[version]}]"


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize(
    ("options", "host"),
    [
        (["-servername", "www.example.org"], "h1"),
        (["-servername", "WWW.Example.org", "-tls1_2"], "h1"),
        (["-servername", "a.b.example.org"], "h2"),
        (["-servername", "example.org"], "h3"),
        (["-servername", "other", "-alpn", "http/1.1,http/1.0"], "h2"),
        (["-noservername"], "h3"),
    ],
)
def test_openssl_is_shown_the_certificate_of_the_host_it_names(
    lab: Lab, version: int, options: list[str], host: str
) -> None:
    where = f"{bracketed(version)}:443"
    done = lab.run("c1", ["openssl", "s_client", "-connect", where, *options], input="")
    subject = re.search(r"^subject=CN = (\S+)$", done.stdout, re.MULTILINE)
    assert subject is not None, done.stdout
    assert subject[1] == host


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize(
    ("name", "host"), [("www.example.org", "h1"), ("x.example.org", "h2"), ("a.test", "h3")]
)
def test_curl_by_server_name(lab: Lab, version: int, name: str, host: str) -> None:
    resolve = f"{name}:443:{bracketed(version)}"
    out = fetch(lab, f"https://{name}/x", "--insecure", "--resolve", resolve)
    assert out == f"host {host} GET /x\n"
    assert lab.status("u1")["undecided"]["safe"] == 0


@pytest.mark.parametrize("version", [4, 6])
def test_a_download_behind_tls_is_whole(lab: Lab, version: int) -> None:
    size = 5_000_000
    lab.make_file(f"tls-{version}", size)
    resolve = f"www.example.org:443:{bracketed(version)}"
    options = ("--insecure", "--resolve", resolve, "--output", "/dev/null")
    where = f"https://www.example.org/files/tls-{version}"
    assert fetch(lab, where, *options, "--write-out", "%{size_download}") == str(size)


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize(
    ("path", "options", "host"),
    [
        ("/?u=2&v=1", ["--header", "Host: a.example.org"], "h1"),
        ("/?v=1", ["--header", "Host: example.org"], "h3"),
        ("/?v=2", ["--header", "Host: a.example.org"], "h3"),
        ("/", ["--header", "Accept-Language: it-CH"], "h2"),
    ],
)
def test_http_conditions(lab: Lab, version: int, path: str, options: list[str], host: str) -> None:
    out = fetch(lab, f"http://{bracketed(version)}{path}", *options)
    assert out.split()[1] == host


def first_answer(lab: Lab, version: int, port: int, data: bytes) -> bytes:
    with lab.enter_netns("c1"):
        client = socket.create_connection((VIP[version], port), timeout=5)
    with client:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: client.recv(65536), b""))


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize(("user", "host"), [("alice", b"h1"), ("BOB", b"h2"), ("eve", b"h3")])
def test_a_desktop_by_its_user(lab: Lab, version: int, user: str, host: bytes) -> None:
    cookie = f"Cookie: mstshash={user}\r\n".encode()
    x224 = struct.pack("!BBHHB", 6 + len(cookie), 0xE0, 0, 0, 0) + cookie
    data = struct.pack("!BBH", 3, 0, 4 + len(x224)) + x224
    assert first_answer(lab, version, 3389, data) == host + b" " + data


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize(("path", "host"), [("/a", b"h1"), ("/b", b"h3")])
def test_the_application_gets_the_proxy_header(
    lab: Lab, version: int, path: str, host: bytes
) -> None:
    data = f"PROXY TCP4 192.0.2.9 192.0.2.8 7 8\r\nGET {path} HTTP/1.1\r\n\r\n".encode()
    assert first_answer(lab, version, 8000, data) == host + b" " + data
