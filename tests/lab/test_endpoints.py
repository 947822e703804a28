"""Endpoints of their own: several applications of one host behind one virtual IP (figure 30)."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from http_clients import fetch, hash_of, url
from lab_names import lab_name
from lab_sites import write_site

from pointsman.lab.lab import Lab

pytestmark = pytest.mark.lab

SITE = """
    cluster: {name: own}
    units:
      - {name: u1, UNIT, addresses: [10.1.0.1, "fd00:1::1"], tunnel: [10.1.1.1, "fd00:1::1:1"]}
    hosts:
      - {name: h1, HOST, addresses: [10.1.0.11, "fd00:1::11"]}
    pools:
      - name: two
        members:
          - {host: h1, port: 8080}
          - {host: h1, port: 8081, addresses: [10.1.0.77, "fd00:1::77"]}
      - name: five
        members:
          - {host: h1, port: 8090}
          - {host: h1, port: 8091}
          - {host: h1, port: 8092}
          - {host: h1, port: 8093}
          - {host: h1, port: 8094}
      - {name: echo, members: [{host: h1, port: 7007}]}
    services:
      - {name: web, addresses: VIPS, port: 80, inspect: http, pool: two}
      - {name: plain, addresses: VIPS, port: 81, pool: two}
      - {name: five, addresses: VIPS, port: 82, pool: five}
      - {name: echo, addresses: VIPS, protocol: udp, port: 7, pool: echo}
    lab:
      network: {ipv4: 10.1.0.0/16, ipv6: "fd00:1::/64"}
      clients: [{name: c1, addresses: [198.51.100.2/24, "2001:db8:1::2/64"]}]
      applications: {echo: none}
"""
VIP = {4: "203.0.113.10", 6: "2001:db8:10::10"}
SIZE = 100_000_000
FAMILIES = pytest.mark.parametrize("version", [4, 6])
PORTS = pytest.mark.parametrize("port", [80, 81], ids=["inspected", "plain"])
OF_TWO = {4: {"10.1.0.11:8080", "10.1.0.77:8081"}, 6: {"fd00:1::11:8080", "fd00:1::77:8081"}}
# Answers each datagram with as many bytes as it asks for.
ECHO = """
import socket, sys
address = sys.argv[1]
server = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
server.bind((address, 7007))
print("ready", flush=True)
while True:
    data, peer = server.recvfrom(65536)
    server.sendto(bytes(int(data)), peer)
"""
# The client sees who answers: it is connected to the virtual IP.
ASK = """
import socket, sys
vip, size = sys.argv[1:]
client = socket.socket(socket.AF_INET6 if ":" in vip else socket.AF_INET, socket.SOCK_DGRAM)
client.settimeout(5)
client.connect((vip, 7))
for i in range(3):
    client.send(size.encode())
    try:
        assert client.recv(65536) == bytes(int(size))
    except ConnectionRefusedError:
        print("refused")
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    text = SITE.replace("VIPS", '[203.0.113.10, "2001:db8:10::10"]')
    with Lab(lab_name(), write_site(tmp_path_factory.mktemp("own"), text)) as made:
        made.up()
        yield made


@pytest.fixture(scope="module")
def hundred_mb(lab: Lab) -> Path:
    return lab.make_file("hundred", SIZE)


def endpoints_of(lab: Lab, version: int, port: int, times: int) -> Counter[str]:
    found: Counter[str] = Counter()
    for _ in range(times):
        out = fetch(lab, url(version, "/x", port), "--include")
        named = re.search(r"^Endpoint: (\S+)", out, re.MULTILINE)
        assert named is not None, out
        found[named[1]] += 1
    return found


def test_no_virtual_ip_is_on_the_host(lab: Lab) -> None:
    out = lab.run("h1", ["ip", "-oneline", "address", "show"]).stdout
    assert VIP[4] not in out
    assert VIP[6] not in out


@FAMILIES
@PORTS
def test_two_instances_share_the_connections(lab: Lab, version: int, port: int) -> None:
    found = endpoints_of(lab, version, port, 40)
    assert found.keys() == OF_TWO[version]
    assert min(found.values()) > 5


@FAMILIES
def test_five_servers_on_one_host(lab: Lab, version: int) -> None:
    found = endpoints_of(lab, version, 82, 60)
    assert {name.rpartition(":")[2] for name in found} == {f"809{i}" for i in range(5)}


@FAMILIES
def test_the_application_sees_the_clients_own_address(lab: Lab, version: int) -> None:
    mark = f"/log-{version}"
    fetch(lab, url(version, mark))
    lines = lab.nginx("h1").access_log.read_text().splitlines()
    (line,) = [line for line in lines if mark in line]
    assert line.split()[0] == {4: "198.51.100.2", 6: "2001:db8:1::2"}[version]


@FAMILIES
@PORTS
def test_a_hundred_megabytes_arrive_intact(
    lab: Lab, hundred_mb: Path, tmp_path: Path, version: int, port: int
) -> None:
    """Downloads leave in large pieces that the device is to cut and to sum up."""
    before = lab.status("h1")["reasons"]["out_turned"]
    down = tmp_path / "down"
    fetch(lab, url(version, "/files/hundred", port), "--output", str(down), timeout=90)
    assert hash_of(down) == hash_of(hundred_mb)
    pieces = lab.status("h1")["reasons"]["out_turned"] - before
    assert 0 < pieces < SIZE / 1448 / 4
    name = f"up-{version}-{port}"
    where = url(version, f"/upload/{name}", port)
    fetch(lab, where, "--upload-file", str(hundred_mb), timeout=90)
    arrived = lab.nginx("h1").uploads / name
    assert hash_of(arrived) == hash_of(hundred_mb)
    arrived.unlink()


def asked(lab: Lab, version: int, size: int) -> str:
    return lab.run("c1", ["python3", "-c", ASK, VIP[version], str(size)]).stdout


@FAMILIES
@pytest.mark.parametrize("size", [5, 5000], ids=["whole", "in fragments"])
def test_datagrams_are_answered_in_the_name_of_the_virtual_ip(
    lab: Lab, version: int, size: int
) -> None:
    argv = ["python3", "-c", ECHO, {4: "10.1.0.11", 6: "fd00:1::11"}[version]]
    with lab.popen("h1", argv, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            assert server.stdout.readline() == "ready\n"
            assert asked(lab, version, size) == ""
        finally:
            server.terminate()


@FAMILIES
def test_nobody_at_home_is_told_in_the_name_of_the_virtual_ip(lab: Lab, version: int) -> None:
    """Else the client's stack would not know which of its sockets is meant."""
    assert asked(lab, version, 5) == "refused\n" * 3


def test_no_packet_went_astray(lab: Lab) -> None:
    reasons = lab.status("h1")["reasons"]
    astray = ("unknown_endpoint", "bad_tag", "host_malformed", "host_internal", "other_protocol")
    assert {name: reasons[name] for name in astray} == dict.fromkeys(astray, 0)
