"""Frames of 9,000 bytes, and interfaces with several queues, in front of the same programs."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from http_clients import VIP, ask, fetch, hash_of, url
from lab_names import lab_name
from lab_sites import write_site

from pointsman.lab.lab import Lab

pytestmark = pytest.mark.lab

SITE = """
    cluster: {name: jumbo}
    tunnel: {mtu: 9000}
    units:
      - {name: u1, UNIT, addresses: [10.1.0.1, "fd00:1::1"], tunnel: [10.1.1.1, "fd00:1::1:1"],
         nat: [10.1.2.1, "fd00:1::2:1"]}
      - {name: u2, UNIT, xdp: generic, addresses: [10.1.0.2, "fd00:1::2"],
         tunnel: [10.1.1.2, "fd00:1::1:2"], nat: [10.1.2.2, "fd00:1::2:2"]}
    hosts:
      - {name: h1, HOST, addresses: [10.1.0.11, "fd00:1::11"]}
    pools:
      - {name: all, members: [{host: h1}]}
    services:
      - {name: tunnel, addresses: VIPS, port: 80, pool: all}
      - {name: inspected, addresses: VIPS, port: 81, inspect: http, pool: all}
      - {name: nat, addresses: VIPS, port: 82, forward: nat, pool: all}
      - {name: datagrams, addresses: VIPS, protocol: udp, port: 5300, pool: all}
    lab:
      mtu: 9000
      queues: 2
      network: {ipv4: 10.1.0.0/16, ipv6: "fd00:1::/64"}
      clients:
        - {name: c1, addresses: [198.51.100.2/24, "2001:db8:1::2/64"]}
      applications: {datagrams: none}
""".replace("VIPS", '[203.0.113.10, "2001:db8:10::10"]')
UNITS = ("u1", "u2")
SIZE = 20_000_000


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with Lab(lab_name(), write_site(tmp_path_factory.mktemp("jumbo"), SITE)) as made:
        made.up()
        yield made


def traffic(lab: Lab, service: str) -> tuple[int, int]:
    """Packets and bytes, of both units."""
    counts = [lab.status(unit)["traffic"][service]["h1"] for unit in UNITS]
    return sum(c["packets"] for c in counts), sum(c["bytes"] for c in counts)


@pytest.mark.parametrize(
    ("service", "port", "least_mean"),
    [("tunnel", 80, 6000), ("nat", 82, 6000), ("inspected", 81, 1000)],
)
@pytest.mark.parametrize("version", [4, 6])
def test_an_upload_in_long_frames(
    lab: Lab, version: int, service: str, port: int, least_mean: int
) -> None:
    """Clients of inspected services are told an MSS before anybody knows their path: Ethernet's."""
    source = lab.make_file("twenty", SIZE)
    packets, size = traffic(lab, service)
    fetch(lab, url(version, f"/upload/{service}", port), "--upload-file", str(source))
    after_packets, after_size = traffic(lab, service)
    arrived = lab.nginx("h1").uploads / service
    assert hash_of(arrived) == hash_of(source)
    arrived.unlink()
    assert after_size - size >= SIZE
    assert (after_size - size) / (after_packets - packets) > least_mean


@pytest.mark.parametrize("version", [4, 6])
def test_a_long_datagram_and_its_answer(lab: Lab, version: int) -> None:
    """Also the first one of its flow, for the whole bundle is as long as a frame may be."""
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    data = bytes(i % 251 for i in range(9000 - {4: 28 + 52, 6: 48 + 72}[version]))
    with lab.enter_netns("h1"):
        server = socket.socket(family, socket.SOCK_DGRAM)
    with lab.enter_netns("c1"):
        client = socket.socket(family, socket.SOCK_DGRAM)
    with server, client:
        server.settimeout(5)
        client.settimeout(5)
        server.bind((VIP[version], 5300))
        client.connect((VIP[version], 5300))
        for _ in range(3):
            client.send(data)
            received, peer = server.recvfrom(10_000)
            assert received == data
            server.sendto(data[::-1], peer)
            assert client.recv(10_000) == data[::-1]


def test_all_queues_bring_packets(lab: Lab) -> None:
    """And whichever queue the next packet of a connection comes by, its route is found."""
    with ThreadPoolExecutor(16) as executor:
        answers = [
            executor.submit(ask, lab, 4 + i % 2 * 2, "/", port=80 + i % 3) for i in range(600)
        ]
        assert {answer.result() for answer in answers} == {"h1"}
    counters = lab.run("u1", ["ethtool", "-S", "e0"]).stdout
    packets = {
        int(queue): int(count)
        for queue, count in re.findall(r"rx_queue_(\d+)_xdp_packets: (\d+)", counters)
    }
    assert len(packets) == 2
    assert min(packets.values()) > 100
