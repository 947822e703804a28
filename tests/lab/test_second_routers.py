"""A lab's second routers: their links are slow, or narrow, and what does not fit is told."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from http_clients import fetch
from lab_names import lab_name
from lab_sites import write_site

from pointsman.errors import PointsmanError
from pointsman.lab import namespaces
from pointsman.lab.faults import Direction, drop
from pointsman.lab.lab import Lab

pytestmark = pytest.mark.lab

SITE = """
    cluster: {name: far}
    units:
      - {name: u1, UNIT, addresses: [10.1.0.1, "fd00:1::1"], tunnel: [10.1.1.1, "fd00:1::1:1"]}
    hosts:
      - {name: h1, HOST, addresses: [10.1.0.11, "fd00:1::11"]}
      - {name: h2, HOST, addresses: [10.9.0.12, "fd00:9::12"]}
      - {name: h3, HOST, addresses: [10.1.0.13, "fd00:1::13"], agent: false}
    pools:
      - {name: all, members: [{host: h1}, {host: h2}]}
    services:
      - {name: web, addresses: [203.0.113.10, "2001:db8:10::10"], port: 80, pool: all}
    lab:
      network: {ipv4: 10.1.0.0/16, ipv6: "fd00:1::/64"}
      clients:
        - {name: c1, addresses: [198.51.100.2/24, "2001:db8:1::2/64"]}
        - {name: c2, addresses: [192.0.2.2/24, "2001:db8:2::2/64"]}
      routers:
        - {name: r1, node: c1, delay_ms: 10}
        - {name: r2, node: c2, mtu: 1280}
        - {name: r3, node: h2, mtu: 1280, network: {ipv4: 10.9.0.0/24, ipv6: "fd00:9::/64"}}
      gateways: {h3: u1}
"""
H1, H2, H3 = "10.1.0.11", "10.9.0.12", "10.1.0.13"
V6 = {H1: "[fd00:1::11]", H2: "[fd00:9::12]", H3: "[fd00:1::13]"}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with Lab(lab_name(), write_site(tmp_path_factory.mktemp("far"), SITE)) as made:
        made.up(agents=False)
        yield made


@pytest.mark.parametrize("address", [H1, V6[H1]])
def test_delay_is_added_each_way(lab: Lab, address: str) -> None:
    host = address.strip("[]")
    times = []
    for _ in range(5):
        with lab.enter_netns("c1"):
            sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        began = time.monotonic()
        sock.connect((host, 80))
        times.append(time.monotonic() - began)
        sock.close()
    # The first may have to ask for neighbours. A busy machine makes it later, never sooner.
    assert 0.020 <= min(times[1:]) < 0.040


@pytest.mark.parametrize("address", [H1, V6[H1]])
def test_slow_link_carries_much(lab: Lab, address: str) -> None:
    """The window is full for most of the way: some 6 MB on 20 ms."""
    lab.make_file("much", 100_000_000)
    options = ("-o", "/dev/null", "-w", "%{size_download} %{speed_download}")
    size, speed = fetch(lab, f"http://{address}/files/much", *options).split()
    assert int(size) == 100_000_000
    assert float(speed) > 20e6


@pytest.mark.parametrize(
    ("client", "address"), [("c2", H1), ("c2", V6[H1]), ("c1", H2), ("c1", V6[H2])]
)
def test_path_mtu_is_found_on_either_side(lab: Lab, client: str, address: str) -> None:
    """Client and host have 1,500 bytes themselves: routers must tell them."""
    host = "h1" if client == "c2" else "h2"
    path = lab.make_file("some", 1_000_000)
    options = ("-o", "/dev/null", "-w", "%{size_download}")
    assert fetch(lab, f"http://{address}/files/some", *options, client=client) == "1000000"
    assert learns_mtu(lab, host, client, ":" in address)
    fetch(lab, f"http://{address}/upload/some", "--upload-file", str(path), client=client)
    assert learns_mtu(lab, client, host, ":" in address)


def learns_mtu(lab: Lab, node: str, other: str, v6: bool) -> bool:
    """And forgets it again: else it would offer the other one so small an MSS at once."""
    family = "-6" if v6 else "-4"
    addresses = [a.partition("/")[0] for a in lab.state.read_record().node(other).addresses]
    (peer,) = [address for address in addresses if (":" in address) == v6]
    route = lab.run(node, ["ip", family, "route", "get", peer]).stdout
    lab.run(node, ["ip", family, "route", "flush", "cache"])
    return re.search(r"\bmtu 1280\b", route) is not None


def test_losses_hit_a_node_behind_a_second_router(lab: Lab) -> None:
    lab.make_file("lossy", 3_000_000)
    with drop(lab, "c2", Direction.INGRESS, permille=20) as losses:
        options = ("-o", "/dev/null", "-w", "%{size_download}")
        assert fetch(lab, f"http://{H1}/files/lossy", *options, client="c2") == "3000000"
    assert losses.seen > 2000
    assert losses.dropped > 10


@pytest.mark.parametrize("address", [H3, V6[H3]])
def test_host_answers_through_its_unit(lab: Lab, address: str) -> None:
    """And goes on to: no redirect tells it of the router."""
    assert fetch(lab, f"http://{address}/x", client="c2") == "host h3 GET /x\n"
    before = forwarded(lab, "u1", ":" in address)
    assert fetch(lab, f"http://{address}/x", client="c2") == "host h3 GET /x\n"
    assert forwarded(lab, "u1", ":" in address) - before >= 4


def forwarded(lab: Lab, node: str, v6: bool) -> int:
    """Packets that a node's stack has forwarded."""
    if v6:
        counts = dict(map(str.split, lab.run(node, ["cat", "/proc/net/snmp6"]).stdout.splitlines()))
        return int(counts["Ip6OutForwDatagrams"])
    lines = lab.run(node, ["cat", "/proc/net/snmp"]).stdout.splitlines()
    return int(dict(zip(*map(str.split, lines[:2]), strict=True))["ForwDatagrams"])


def test_host_without_agent_is_left_alone(lab: Lab) -> None:
    with pytest.raises(PointsmanError, match="node h3: has no agent"):
        lab.start_agent("h3")


def test_devices_and_relay_go_with_the_lab(tmp_path_factory: pytest.TempPathFactory) -> None:
    with Lab(lab_name(), write_site(tmp_path_factory.mktemp("far"), SITE)) as made:
        made.up(agents=False)
        (relay,) = relays(made)
    assert not Path("/proc", str(relay)).exists()


def relays(lab: Lab) -> list[int]:
    return [
        pid
        for pid in namespaces.members([lab.netns("router")])
        if b"pointsman.lab.relay" in Path("/proc", str(pid), "cmdline").read_bytes()
    ]
