"""Clients 20 ms away download as fast through a unit as without one, whatever options they lack.

A client's only round trip with the unit is the handshake, where all options are agreed on: what
the unit forgets to offer, or the host to take over, shows as a smaller window for ever after.
"""

from __future__ import annotations

import statistics
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from http_clients import VIP, fetch, url
from lab_names import lab_name
from lab_sites import write_site

from pointsman.lab.lab import Lab

pytestmark = pytest.mark.lab

SITE = """
    cluster: {name: long}
    units:
      - {name: u1, UNIT, addresses: [10.1.0.1, "fd00:1::1"], tunnel: [10.1.1.1, "fd00:1::1:1"]}
    hosts:
      - {name: h1, HOST, addresses: [10.1.0.11, "fd00:1::11"]}
    pools:
      - {name: all, members: [{host: h1}]}
    services:
      - name: web
        addresses: [203.0.113.10, "2001:db8:10::10"]
        port: 80
        inspect: http
        pool: all
      - {name: plain, addresses: [203.0.113.10, "2001:db8:10::10"], port: 81, pool: all}
    lab:
      network: {ipv4: 10.1.0.0/16, ipv6: "fd00:1::/64"}
      clients:
        - {name: c1, addresses: [198.51.100.2/24, "2001:db8:1::2/64"]}
        - {name: c2, addresses: [192.0.2.2/24, "2001:db8:2::2/64"]}
        - {name: c3, addresses: [198.18.3.2/24, "2001:db8:3::2/64"]}
      routers:
        - {name: r1, node: c1, delay_ms: 10}
        - {name: r2, node: c2, delay_ms: 10}
        - {name: r3, node: c3, delay_ms: 10}
"""
H1 = {4: "10.1.0.11", 6: "[fd00:1::11]"}
SIZE = 100_000_000
SHARE = 0.95
ROUNDS, MOST_ROUNDS = 3, 20
LACKS: dict[str, set[str]] = {"c1": {"ts"}, "c2": {"sack", "wscale"}, "c3": set()}
SETTINGS = {"ts": "tcp_timestamps", "sack": "tcp_sack", "wscale": "tcp_window_scaling"}
"""By the names that `ss` has for them."""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with Lab(lab_name(), write_site(tmp_path_factory.mktemp("long"), SITE)) as made:
        made.up()
        made.make_file("hundred", SIZE)
        for client, lacks in LACKS.items():
            for option in lacks:
                made.run(client, ["sysctl", "-q", "-w", f"net.ipv4.{SETTINGS[option]}=0"])
        yield made


def address(version: int, port: int | None) -> str:
    """Of the file; without port, the host's own."""
    path = "/files/hundred"
    return url(version, path, port) if port else f"http://{H1[version]}{path}"


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("port", [80, 81])
@pytest.mark.parametrize("client", ["c1", "c3"])
def test_client_with_large_windows(lab: Lab, version: int, port: int, client: str) -> None:
    """Turn by turn, so that both meet the same machine; more turns if the machine is restless."""
    ratios: list[float] = []
    options = ("-o", "/dev/null", "-w", "%{size_download} %{time_total}")
    while len(ratios) < MOST_ROUNDS:
        times = []
        for way in (None, port):
            size, seconds = fetch(lab, address(version, way), *options, client=client).split()
            assert int(size) == SIZE
            times.append(float(seconds))
        ratios.append(times[0] / times[1])
        if len(ratios) >= ROUNDS and statistics.median(ratios) >= SHARE:
            break
    assert statistics.median(ratios) >= SHARE, ratios


@pytest.mark.timeout(300)
def test_client_without_sack_and_window_scaling(lab: Lab, tmp_path: Path) -> None:
    """64 KB in flight for 20 ms: half a minute, so all at once; together they are no load."""
    running = {
        (version, port): start(lab, address(version, port), tmp_path / f"{version}-{port}")
        for version in (4, 6)
        for port in (None, 80, 81)
    }
    speeds = {}
    for which, process in running.items():
        out, _ = process.communicate(timeout=200)
        assert process.returncode == 0
        size, seconds = out.split()
        assert int(size) == SIZE
        speeds[which] = SIZE / float(seconds)
    for version in (4, 6):
        for port in (80, 81):
            assert speeds[version, port] >= SHARE * speeds[version, None], speeds


def start(lab: Lab, where: str, to: Path) -> subprocess.Popen[str]:
    options = ["--silent", "--show-error", "--fail", "--output", str(to)]
    argv = ["curl", *options, "-w", "%{size_download} %{time_total}", where]
    return lab.popen("c2", argv, stdout=subprocess.PIPE, text=True)


def test_such_a_client_is_what_the_host_sees(lab: Lab) -> None:
    """Its options are the connection's, and no others."""
    for client, lacks in LACKS.items():
        assert set(SETTINGS) & socket_options(lab, client) == set(SETTINGS) - lacks, client


def socket_options(lab: Lab, client: str) -> set[str]:
    """Of a connection of the client's at the host, as `ss` names them."""
    argv = ["curl", "-sN", "--limit-rate", "1M", "-o", "/dev/null", address(4, 80)]
    process = lab.popen(client, argv)
    try:
        peer = lab.state.read_record().node(client).addresses[0].partition("/")[0]
        while True:
            out = lab.run("h1", ["ss", "-tinoH", "state", "established", "dst", peer]).stdout
            for line in out.splitlines():
                if "bytes_sent:" in line:
                    assert VIP[4] in out
                    return {word.partition(":")[0] for word in line.split()}
            assert process.poll() is None
    finally:
        process.terminate()
        process.wait()
