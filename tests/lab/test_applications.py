"""What a lab's hosts run besides nginx for one service: asked past any balancer."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
from lab_names import lab_name
from lab_sites import write_site

from pointsman.lab.lab import Lab

pytestmark = pytest.mark.lab

SITE = """
    cluster: {name: apps}
    units:
      - {name: u1, UNIT, addresses: [10.1.0.1, "fd00:1::1"], tunnel: [10.1.1.1, "fd00:1::1:1"],
         nat: [10.1.2.1]}
    hosts:
      - {name: h1, HOST, addresses: [10.1.0.11, "fd00:1::11"], agent: false}
    pools:
      - {name: one, members: [{host: h1}]}
      - name: own
        members:
          - {host: h1, port: 8080}
          - {host: h1, port: 8080, addresses: [10.1.0.77, "fd00:1::77"]}
    services:
      - {name: web, addresses: [203.0.113.10], port: 80, forward: l2, pool: one}
      - {name: apps, addresses: [203.0.113.10], port: 81, forward: nat, pool: own}
      - {name: safe, addresses: [203.0.113.10], port: 443, forward: nat, pool: one}
      - name: dns
        addresses: [203.0.113.10, "2001:db8:10::10"]
        listen: [udp/53, tcp/53]
        forward: l2
        pool: one
      - name: speed
        addresses: [203.0.113.10]
        listen: [tcp/5201, udp/5201]
        forward: nat
        pool: one
    lab:
      network: {ipv4: 10.1.0.0/16, ipv6: "fd00:1::/64"}
      clients: [{name: c1, addresses: [198.51.100.2/24, "2001:db8:1::2/64"]}]
      applications: {safe: tls, dns: dns, speed: iperf3}
"""
H1 = {4: "10.1.0.11", 6: "fd00:1::11"}
VIP = "203.0.113.10"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with Lab(lab_name(), write_site(tmp_path_factory.mktemp("apps"), SITE)) as made:
        made.up(agents=False)
        yield made


def dig(lab: Lab, address: str, *words: str) -> str:
    argv = ["dig", f"@{address}", "+tries=1", "+time=3", *words]
    return lab.run("c1", argv).stdout


@pytest.mark.parametrize("version", [4, 6])
def test_small_answer(lab: Lab, version: int) -> None:
    assert dig(lab, H1[version], "+short", "host.lab.test", "TXT") == '"h1"\n'


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize(("name", "kind"), [("big", "TXT"), ("many", "AAAA")])
def test_answer_larger_than_a_packet_comes_over_udp(
    lab: Lab, version: int, name: str, kind: str
) -> None:
    """In fragments: the host makes them, and the client puts them together."""
    before = reassembled(lab, version)
    out = dig(lab, H1[version], "+bufsize=4096", "+ignore", f"{name}.lab.test", kind)
    assert " tc" not in out
    size = re.search(r"MSG SIZE  rcvd: (\d+)", out)
    assert size is not None
    assert int(size[1]) > 1500
    assert reassembled(lab, version) == before + 1


def reassembled(lab: Lab, version: int) -> int:
    """Packets that c1 has put together."""
    if version == 6:
        lines = lab.run("c1", ["cat", "/proc/net/snmp6"]).stdout.splitlines()
        return int(dict(map(str.split, lines))["Ip6ReasmOKs"])
    lines = lab.run("c1", ["cat", "/proc/net/snmp"]).stdout.splitlines()
    return int(dict(zip(*map(str.split, lines[:2]), strict=True))["ReasmOKs"])


def test_dns_over_tcp(lab: Lab) -> None:
    assert dig(lab, H1[4], "+tcp", "+short", "host.lab.test", "TXT") == '"h1"\n'


def test_host_without_agent_takes_its_layer_two_address(lab: Lab) -> None:
    """A route straight to it does what a unit will do. It answers no ARP for that address."""
    lab.run("router", ["ip", "route", "replace", f"{VIP}/32", "via", H1[4]])
    assert dig(lab, VIP, "+short", "host.lab.test", "TXT") == '"h1"\n'
    assert lab.run("c1", ["curl", "-sS", "-m", "5", f"http://{VIP}/x"]).stdout == "host h1 GET /x\n"
    for name, value in (("arp_ignore", "1"), ("arp_announce", "2")):
        path = f"/proc/sys/net/ipv4/conf/all/{name}"
        assert lab.run("h1", ["cat", path]).stdout.strip() == value


@pytest.mark.parametrize("address", ["10.1.0.11", "10.1.0.77", "[fd00:1::11]"])
def test_endpoint_of_its_own_says_who_it_is(lab: Lab, address: str) -> None:
    argv = ["curl", "-sSi", "-m", "5", f"http://{address}:8080/x"]
    out = lab.run("c1", argv).stdout
    assert f"Endpoint: {address.strip('[]')}:8080" in out
    assert out.endswith("host h1 GET /x\n")


def test_tls(lab: Lab) -> None:
    argv = ["curl", "-sSvk", "-m", "5", "https://10.1.0.11/x"]
    done = lab.run("c1", argv)
    assert done.stdout == "host h1 GET /x\n"
    assert "CN=h1" in done.stderr


@pytest.mark.parametrize("kind", [[], ["--udp", "--bitrate", "20M"]])
def test_iperf3(lab: Lab, kind: list[str]) -> None:
    argv = ["iperf3", "--client", H1[4], "--time", "1", "--json", *kind]
    report = json.loads(lab.run("c1", argv).stdout)
    assert report["end"]["sum_received" if not kind else "sum"]["bytes"] > 1_000_000
