"""Half-NAT, NAT and layer 2 to several endpoints: shares, rules, ports of their own (R-A6)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from http_clients import fetch, hash_of
from lab_names import lab_name
from lab_sites import write_site

from pointsman.lab.lab import Lab

pytestmark = pytest.mark.lab

# h3 and h4 run nothing of ours; h1 to h3 answer through the unit, as half-NAT asks.
SITE = """
    cluster: {name: pools}
    units:
      - {name: u1, UNIT, addresses: [10.1.0.1, "fd00:1::1"], tunnel: [10.1.1.1, "fd00:1::1:1"],
         nat: [10.1.2.1, "fd00:1::2:1"], nat_ports: {first: 30000, last: 39999}}
    hosts:
      - {name: h1, HOST, addresses: [10.1.0.11, "fd00:1::11"]}
      - {name: h2, HOST, addresses: [10.1.0.12, "fd00:1::12"]}
      - {name: h3, HOST, addresses: [10.1.0.13, "fd00:1::13"], agent: false}
      - {name: h4, HOST, addresses: [10.1.0.14, "fd00:1::14"], agent: false}
      - {name: h5, HOST, addresses: [10.1.0.15, "fd00:1::15"]}
    pools:
      - name: through
        members: [{host: h1, port: 8080}, {host: h3, port: 8080}, {host: h3, port: 8081}]
      - {name: through-a, members: [{host: h1}]}
      - {name: through-b, members: [{host: h2, port: 8080}]}
      - {name: anyhow, members: [{host: h4, port: 8081}, {host: h5}]}
      - {name: straight, members: [{host: h4}, {host: h5}]}
      - {name: straight-a, members: [{host: h5}]}
      - {name: straight-b, members: [{host: h2}]}
    services:
      - {name: half, addresses: [HALF], port: 81, forward: half-nat, pool: through}
      - {name: half-web, addresses: [HALF], port: 80, forward: half-nat, inspect: http,
         rules: [{path_prefix: /a/, pool: through-a}], pool: through-b}
      - {name: nat, addresses: [NAT], port: 81, forward: nat, pool: anyhow}
      - {name: nat-web, addresses: [NAT], port: 80, forward: nat, inspect: http,
         rules: [{path_prefix: /a/, pool: straight-a}], pool: through-b}
      - {name: l2, addresses: [L2], port: 81, forward: l2, pool: straight}
      - {name: l2-web, addresses: [L2], port: 80, forward: l2, inspect: http,
         rules: [{path_prefix: /a/, pool: straight-a}], pool: straight-b}
    lab:
      network: {ipv4: 10.1.0.0/16, ipv6: "fd00:1::/64"}
      clients: [{name: c1, addresses: [198.51.100.2/24, "2001:db8:1::2/64"]}]
      gateways: {h1: u1, h2: u1, h3: u1}
"""
VIPS = {
    "half-nat": {4: "203.0.113.11", 6: "2001:db8:10::11"},
    "nat": {4: "203.0.113.12", 6: "2001:db8:10::12"},
    "l2": {4: "203.0.113.13", 6: "2001:db8:10::13"},
}
NAMES = {"half-nat": "HALF", "nat": "NAT", "l2": "L2"}
NAT = {4: "10.1.2.1", 6: "fd00:1::2:1"}
ENDPOINTS = {
    "half-nat": {"h1 8080", "h3 8080", "h3 8081"},
    "nat": {"h4 8081", "h5 81"},
    "l2": {"h4 81", "h5 81"},
}
INSPECTED = {"half-nat": ("h1", "h2"), "nat": ("h5", "h2"), "l2": ("h5", "h2")}
"""Whom `/a/` goes to, and whom the rest."""
SIZE = 50_000_000
ONCE = ("--header", "Connection: close")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    text = SITE
    for mode, name in NAMES.items():
        addresses = ", ".join(f'"{address}"' for address in VIPS[mode].values())
        text = text.replace(f"[{name}]", f"[{addresses}]")
    with Lab(lab_name(), write_site(tmp_path_factory.mktemp("pools"), text)) as made:
        made.up()
        yield made


@dataclass(frozen=True)
class Way:
    mode: str
    version: int

    def url(self, path: str, port: int) -> str:
        vip = VIPS[self.mode][self.version]
        return f"http://{vip if self.version == 4 else f'[{vip}]'}:{port}{path}"


@pytest.fixture(params=[(m, v) for m in VIPS for v in (4, 6)], ids=lambda p: f"{p[0]}-IPv{p[1]}")
def way(request: pytest.FixtureRequest) -> Way:
    return Way(*request.param)


def test_plain_connections_reach_all_endpoints(lab: Lab, way: Way) -> None:
    out = fetch(lab, way.url("/x[1-60]", 81), "--include", *ONCE)
    found: Counter[str] = Counter()
    for answer in out.split("HTTP/1.1 200 OK")[1:]:
        own = re.search(r"^Endpoint: \S+:(\d+)", answer, re.MULTILINE)
        host = re.search(r"^host (\S+) GET /x", answer, re.MULTILINE)
        assert host is not None
        found[f"{host[1]} {own[1] if own else 81}"] += 1
    assert found.keys() == ENDPOINTS[way.mode]
    assert set(found.values()) == {60 // len(found)}


def test_inspected_connections_go_by_what_they_ask_for(lab: Lab, way: Way) -> None:
    for path, host in zip(("/a/[1-30]", "/b/[1-30]"), INSPECTED[way.mode], strict=True):
        out = fetch(lab, way.url(path, 80), *ONCE)
        assert Counter(line.split()[1] for line in out.splitlines()) == {host: 30}


def test_ports_of_nat_are_the_units(lab: Lab) -> None:
    for version in (4, 6):
        fetch(lab, Way("nat", version).url(f"/a/ports-{version}-[1-50]", 80), *ONCE)
    # A server that answers one more has written down those before.
    fetch(lab, Way("nat", 4).url("/a/next", 80))
    lines = lab.nginx("h5").access_log.read_text().splitlines()
    for version in (4, 6):
        seen = [line.split()[:2] for line in lines if f"/a/ports-{version}-" in line]
        assert {address for address, _ in seen} == {NAT[version]}
        ports = [int(port) for _, port in seen]
        assert len(set(ports)) == 50
        assert all(30000 <= port <= 39999 for port in ports)


@pytest.mark.parametrize("continues", [True, False], ids=["asks first", "sends at once"])
@pytest.mark.parametrize("port", [80, 81], ids=["inspected", "plain"])
def test_an_upload_arrives_intact(lab: Lab, way: Way, port: int, continues: bool) -> None:
    """One that sends at once gets nothing from the server until all of it is there."""
    source = lab.make_file("much", SIZE)
    name = f"up-{way.mode}-{way.version}-{port}-{continues}"
    options = () if continues else ("--header", "Expect:")
    where = way.url(f"/a/upload/{name}", port)
    fetch(lab, where, "--upload-file", str(source), *options, timeout=60)
    places = [lab.nginx(host).uploads / name for host in ("h1", "h2", "h3", "h4", "h5")]
    (arrived,) = [place for place in places if place.exists()]
    assert hash_of(arrived) == hash_of(source)
    arrived.unlink()


def test_no_packet_went_astray(lab: Lab) -> None:
    reasons = lab.status("u1")["reasons"]
    astray = ("translation_taken", "no_nat_port", "no_host", "bad_checksum", "unit_internal")
    assert {name: reasons[name] for name in astray} == dict.fromkeys(astray, 0)
    for host in ("h1", "h2", "h5"):
        reasons = lab.status(host)["reasons"]
        astray = ("bad_tag", "unknown_flow_id", "host_malformed", "host_internal", "upload_refused")
        assert {name: reasons[name] for name in astray} == dict.fromkeys(astray, 0)


def test_nat_addresses_go_with_the_unit(lab: Lab) -> None:
    """The last test: it ends the unit."""
    assert NAT[4] in lab.run("u1", ["ip", "-oneline", "address", "show"]).stdout
    lab.kill_agent("u1")
    out = lab.run("u1", ["ip", "-oneline", "address", "show"]).stdout
    assert NAT[4] not in out
    assert NAT[6] not in out
