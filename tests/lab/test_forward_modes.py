"""Every way of forwarding, with real servers: what clients get, servers see, units count."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from http_clients import VIP, Result, fetch, hash_of, one_request_connections, url
from lab_counts import Packets
from lab_names import lab_name
from lab_sites import write_site

from pointsman.lab.lab import Lab

pytestmark = pytest.mark.lab

SITE = """
    cluster: {name: ways}
    units:
      - {name: u1, UNIT, addresses: [10.1.0.1, "fd00:1::1"], tunnel: [10.1.1.1, "fd00:1::1:1"],
         nat: [10.1.2.1, "fd00:1::2:1"], nat_ports: {first: 40_000, last: 40_999}}
    hosts:
      - {name: h1, HOST, addresses: [10.1.0.11, "fd00:1::11"]}
      - {name: h2, HOST, addresses: [10.1.0.12, "fd00:1::12"]}
      - {name: h3, HOST, addresses: [10.1.0.13, "fd00:1::13"], agent: false}
      - {name: h4, HOST, addresses: [10.1.0.14, "fd00:1::14"], agent: false}
    pools:
      - {name: straight, members: [{host: h1}]}
      - {name: through, members: [{host: h2}]}
      - {name: foreign-through, members: [{host: h3}]}
      - {name: foreign, members: [{host: h4}]}
    services:
SERVICES
    lab:
      network: {ipv4: 10.1.0.0/16, ipv6: "fd00:1::/64"}
      clients: [{name: c1, addresses: [198.51.100.2/24, "2001:db8:1::2/64"]}]
      gateways: {h2: u1, h3: u1}
      applications: {APPLICATIONS}
"""
WAYS = ["tunnel", "half-nat", "nat", "l2"]
PLAIN = {"tunnel": "h1", "half-nat": "h3", "nat": "h4", "l2": "h4"}
"""Way to host: those that need no agent have hosts without."""
THROUGH_THE_UNIT = ["half-nat", "nat"]
"""Answers, too."""
INSPECTED = {"tunnel": "h1", "half-nat": "h2", "nat": "h1", "l2": "h1"}
POOLS = {"h1": "straight", "h2": "through", "h3": "foreign-through", "h4": "foreign"}
PORTS = {"web": 80, "looks": 90, "dns": 5300, "speed": 5200}
LISTENS = {"web": "[tcp/{0}]", "looks": "[tcp/{0}]", "dns": "[udp/{0}]"}
LISTENS["speed"] = "[tcp/{0}, udp/{0}]"
RUNS = {"web": "nginx", "looks": "nginx", "dns": "dns", "speed": "iperf3"}
CLIENT = {4: "198.51.100.2", 6: "2001:db8:1::2"}
NAT = {4: "10.1.2.1", 6: "fd00:1::2:1"}
SIZE = 10_000_000

EVERY_WAY = pytest.mark.parametrize("way", WAYS)
FAMILIES = pytest.mark.parametrize("version", [4, 6])
KINDS = pytest.mark.parametrize("kind", ["web", "looks"])


def port_of(kind: str, way: str) -> int:
    return PORTS[kind] + WAYS.index(way)


def host_of(kind: str, way: str) -> str:
    return (INSPECTED if kind == "looks" else PLAIN)[way]


def services() -> Iterator[str]:
    addresses = f'[{VIP[4]}, "{VIP[6]}"]'
    for kind, listen in LISTENS.items():
        for way in WAYS:
            what = f"name: {kind}-{way}, addresses: {addresses}, forward: {way}"
            what += f", listen: {listen.format(port_of(kind, way))}"
            what += f", pool: {POOLS[host_of(kind, way)]}"
            yield f"      - {{{what}{', inspect: http' if kind == 'looks' else ''}}}"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    runs = ", ".join(f"{kind}-{way}: {RUNS[kind]}" for kind in LISTENS for way in WAYS)
    text = SITE.replace("SERVICES", "\n".join(services())).replace("APPLICATIONS", runs)
    with Lab(lab_name(), write_site(tmp_path_factory.mktemp("ways"), text)) as made:
        made.up()
        yield made


@pytest.fixture(autouse=True)
def counts(lab: Lab) -> Iterator[Packets]:
    """Afterwards, every frame that the unit took in has an outcome, and nothing is lost."""
    packets = Packets(lab, ["u1", "h1", "h2"])
    yield packets
    assert packets.dropped() == {}
    assert packets.unaccounted("u1") == 0


@pytest.fixture(scope="module")
def ten_mb(lab: Lab) -> Path:
    return lab.make_file("ten", SIZE)


@EVERY_WAY
@FAMILIES
@KINDS
def test_small_answer(lab: Lab, counts: Packets, way: str, version: int, kind: str) -> None:
    mark = f"/{kind}-{way}-{version}"
    host = host_of(kind, way)
    port = port_of(kind, way)
    # A server that answers the second request has written down the first.
    out = fetch(lab, url(version, "/next", port), url(version, mark, port))
    assert out == f"host {host} GET {mark}\nhost {host} GET /next\n"
    lines = lab.nginx(host).access_log.read_text().splitlines()
    (line,) = [line for line in lines if mark in line]
    assert line.split()[0] == (NAT if way == "nat" else CLIENT)[version]
    outcomes = counts.outcomes("u1")
    begun = ["syn_answered", "bundled_data"] if kind == "looks" else [first_packet(way, "web")]
    assert {name: outcomes[name] for name in begun} == dict.fromkeys(begun, 1)
    assert outcomes["hit"] > 0
    assert (outcomes["returned"] > 0) == (way in THROUGH_THE_UNIT)


@pytest.fixture
def few_ports(lab: Lab) -> Iterator[None]:
    """The client soon takes ports again that servers still have in TIME_WAIT."""
    setting = "net.ipv4.ip_local_port_range"
    usual = lab.run("c1", ["sysctl", "-n", setting]).stdout.strip()
    lab.run("c1", ["sysctl", "-w", f"{setting}=50000 50199"])
    yield
    lab.run("c1", ["sysctl", "-w", f"{setting}={usual}"])


@pytest.mark.usefixtures("few_ports")
@EVERY_WAY
@FAMILIES
@KINDS
def test_short_connections(lab: Lab, counts: Packets, way: str, version: int, kind: str) -> None:
    port = port_of(kind, way)
    result = one_request_connections(lab, version, "/x", count=600, parallel=20, port=port)
    assert result == Result(answered=600, failures={})
    # No server refused one, to be asked once more.
    begun = "bundled_data" if kind == "looks" else first_packet(way, "web")
    assert counts.outcomes("u1")[begun] == 600
    assert lab.status("u1")["live"][f"{kind}-{way}"] == {host_of(kind, way): 0}


def first_packet(way: str, kind: str) -> str:
    """Its outcome at the unit."""
    bundled = {"web": "bundled_syn", "dns": "bundled_datagram"}
    return bundled[kind] if way == "tunnel" else "plumbed"


@EVERY_WAY
@FAMILIES
@KINDS
def test_ten_megabytes_each_way(
    lab: Lab, ten_mb: Path, tmp_path: Path, way: str, version: int, kind: str
) -> None:
    port = port_of(kind, way)
    down = tmp_path / "down"
    fetch(lab, url(version, "/files/ten", port), "--output", str(down))
    assert hash_of(down) == hash_of(ten_mb)
    where = url(version, "/upload/ten", port)
    fetch(lab, where, "--upload-file", str(ten_mb))
    arrived = lab.nginx(host_of(kind, way)).uploads / "ten"
    assert hash_of(arrived) == hash_of(ten_mb)
    arrived.unlink()


def dig(lab: Lab, way: str, version: int, *words: str) -> str:
    argv = ["dig", f"@{VIP[version]}", "-p", str(port_of("dns", way)), "+tries=1", "+time=3"]
    return lab.run("c1", [*argv, *words]).stdout


@EVERY_WAY
@FAMILIES
def test_dns(lab: Lab, counts: Packets, way: str, version: int) -> None:
    out = dig(lab, way, version, "+short", "host.lab.test", "TXT")
    assert out == f'"{host_of("dns", way)}"\n'
    outcomes = counts.outcomes("u1")
    assert outcomes[first_packet(way, "dns")] == 1
    assert outcomes["returned"] == (way in THROUGH_THE_UNIT)


@EVERY_WAY
@FAMILIES
def test_dns_answer_in_fragments(lab: Lab, counts: Packets, way: str, version: int) -> None:
    out = dig(lab, way, version, "+bufsize=4096", "+ignore", "big.lab.test", "TXT")
    assert " tc" not in out
    size = re.search(r"MSG SIZE  rcvd: (\d+)", out)
    assert size is not None, out
    assert int(size[1]) > 1500
    assert counts.outcomes("u1")["returned"] == (2 if way in THROUGH_THE_UNIT else 0)


@EVERY_WAY
@FAMILIES
def test_datagrams_in_fragments(lab: Lab, counts: Packets, way: str, version: int) -> None:
    """Both fragments of each arrive, and nothing else is lost."""
    length = ("--length", "2400")
    end = iperf3(lab, way, version, "--udp", "--bitrate", "20M", "--bytes", "1M", *length)
    assert end["sum"]["packets"] > 400
    assert end["sum"]["lost_percent"] < 10
    outcomes = counts.outcomes("u1")
    assert outcomes["fragment_sent"] >= 2 * end["sum"]["packets"]
    assert outcomes["later_fragment"] == 0


def iperf3(lab: Lab, way: str, version: int, *options: str) -> Any:
    """What it reports of the whole run."""
    argv = ["iperf3", "--client", VIP[version], "--port", str(port_of("speed", way)), "--json"]
    return json.loads(lab.run("c1", [*argv, *options]).stdout)["end"]


@EVERY_WAY
@FAMILIES
def test_iperf3_over_tcp(lab: Lab, way: str, version: int) -> None:
    end = iperf3(lab, way, version, "--bytes", "20M")
    # It tells when all is sent; then some is under way.
    assert end["sum_received"]["bytes"] > 10 << 20


@EVERY_WAY
@FAMILIES
def test_iperf3_over_udp(lab: Lab, counts: Packets, way: str, version: int) -> None:
    end = iperf3(lab, way, version, "--udp", "--bitrate", "20M", "--bytes", "1M")
    assert end["sum"]["packets"] > 700
    # A receiver that is kept waiting loses some by itself.
    assert end["sum"]["lost_percent"] < 10
    assert counts.outcomes("u1")["hit"] >= end["sum"]["packets"]
