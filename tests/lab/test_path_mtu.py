"""Path MTU discovery through the virtual IP, behind either end's narrow link.

There are three units, and the router sends ICMP errors to whichever its hash names.
"""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable, Iterator

import pytest
from http_clients import VIP, fetch, url
from lab_names import lab_name
from lab_sites import write_site

from pointsman.lab.lab import Lab

pytestmark = pytest.mark.lab

SITE = """
    cluster: {name: narrow}
    tunnel: {mtu: 1280}
    units:
      - {name: u1, UNIT, addresses: [10.1.0.1, "fd00:1::1"], tunnel: [10.1.1.1, "fd00:1::1:1"]}
      - {name: u2, UNIT, addresses: [10.1.0.2, "fd00:1::2"], tunnel: [10.1.1.2, "fd00:1::1:2"]}
      - {name: u3, UNIT, addresses: [10.1.0.3, "fd00:1::3"], tunnel: [10.1.1.3, "fd00:1::1:3"]}
    hosts:
      - {name: h1, HOST, addresses: [10.1.0.11, "fd00:1::11"]}
      - {name: h2, HOST, addresses: [10.9.0.12, "fd00:9::12"]}
    pools:
      - {name: near, members: [{host: h1}]}
      - {name: far, members: [{host: h2}]}
    services:
      - {name: plain, addresses: VIPS, port: 80, pool: near}
      - {name: inspected, addresses: VIPS, port: 81, inspect: http, pool: near}
      - {name: far, addresses: VIPS, port: 82, pool: far}
    lab:
      network: {ipv4: 10.1.0.0/16, ipv6: "fd00:1::/64"}
      clients:
        - {name: c1, addresses: [198.51.100.2/24, "2001:db8:1::2/64"]}
        - {name: c2, addresses: [192.0.2.2/24, "2001:db8:2::2/64"]}
      routers:
        - {name: r2, node: c2, mtu: 1280}
        - {name: r3, node: h2, mtu: 1280, network: {ipv4: 10.9.0.0/24, ipv6: "fd00:9::/64"}}
""".replace("VIPS", '[203.0.113.10, "2001:db8:10::10"]')
UNITS = ("u1", "u2", "u3")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with Lab(lab_name(), write_site(tmp_path_factory.mktemp("narrow"), SITE)) as made:
        made.up()
        until(lambda: all(_knows_next(made, unit) for unit in UNITS))
        yield made


def until(holds: Callable[[], bool]) -> None:
    """Units that started first could not reach the others yet."""
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def _knows_next(lab: Lab, unit: str) -> bool:
    """Whether it is the next one that it knows, and not one further on."""
    tunnel = {"u1": "10.1.1.2", "u2": "10.1.1.3", "u3": "10.1.1.1"}[unit]
    peers = lab.status(unit)["peers"]
    return bool(
        peers["ipv4"]["unit"] == tunnel
        and peers["ipv6"]["unit"] == f"fd00:1::1:{tunnel[-1]}"
        and peers["ipv4"]["clients"]
        and peers["ipv6"]["clients"]
    )


def counts(lab: Lab, reason: str) -> int:
    """Of all units."""
    return sum(lab.status(unit)["reasons"][reason] for unit in UNITS)


def learnt(lab: Lab, node: str, peer: str) -> bool:
    """Whether a node knows that the way to an address is narrow; it forgets it again."""
    family = "-6" if ":" in peer else "-4"
    route = lab.run(node, ["ip", family, "route", "get", peer]).stdout
    lab.run(node, ["ip", family, "route", "flush", "cache"])
    return re.search(r"\bmtu 1280\b", route) is not None


@pytest.mark.parametrize("port", [80, 81])
@pytest.mark.parametrize("version", [4, 6])
def test_download_behind_the_clients_narrow_link(lab: Lab, version: int, port: int) -> None:
    """Again and again, so that errors come to units that have the flow and to others."""
    lab.make_file("some", 1_000_000)
    client = {4: "192.0.2.2", 6: "2001:db8:2::2"}[version]
    for _ in range(12):
        before = counts(lab, "icmp_sent")
        size = fetch(
            lab,
            url(version, "/files/some", port),
            "-o",
            "/dev/null",
            "-w",
            "%{size_download}",
            client="c2",
        )
        assert size == "1000000"
        assert counts(lab, "icmp_sent") > before
        assert learnt(lab, "h1", client)
    assert counts(lab, "icmp_no_route") == 0


def test_errors_were_handed_on(lab: Lab) -> None:
    assert counts(lab, "icmp_handed_on") > 0


@pytest.mark.parametrize("version", [4, 6])
def test_upload_behind_the_hosts_narrow_link(lab: Lab, version: int) -> None:
    path = lab.make_file("some", 1_000_000)
    before = counts(lab, "icmp_returned")
    fetch(lab, url(version, "/upload/some", 82), "--upload-file", str(path), client="c1")
    assert counts(lab, "icmp_returned") > before
    assert learnt(lab, "c1", VIP[version])


@pytest.mark.parametrize("version", [4, 6])
def test_a_virtual_address_answers_pings(lab: Lab, version: int) -> None:
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    proto = socket.IPPROTO_ICMP if version == 4 else socket.IPPROTO_ICMPV6
    kind = 8 if version == 4 else 128
    payload = bytes([kind, 0, 0, 0, 0, 1, 0, 7]) + b"anybody there?"
    if version == 4:
        total = sum(payload[i] << 8 | payload[i + 1] for i in range(0, len(payload), 2))
        total = (total & 0xFFFF) + (total >> 16)
        payload = payload[:2] + (~total & 0xFFFF).to_bytes(2, "big") + payload[4:]
    with lab.enter_netns("c1"):
        sock = socket.socket(family, socket.SOCK_RAW, proto)
    with sock:
        sock.settimeout(5)
        sock.connect((VIP[version], 0))
        sock.send(payload)
        answer = sock.recv(2048)
    assert answer.endswith(b"anybody there?")
