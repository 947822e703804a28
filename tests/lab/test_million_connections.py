"""A million open connections on one unit and one host: all found again, and what they take."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address

import pytest
from http_clients import VIP, ask
from lab_names import lab_name
from lab_sites import write_site
from memory import map_bytes
from packet_generator import ACK, SYN, Generator

from pointsman.lab.lab import Lab

pytestmark = pytest.mark.lab

SITE = """
    cluster: {name: million}
    units:
      - {name: u1, interface: e0, addresses: [10.1.0.1], tunnel: [10.1.1.1], max_flows: 1_000_000}
    hosts:
      - {name: h1, interface: e0, addresses: [10.1.0.11], max_mappings: 1_100_000}
    pools:
      - {name: all, members: [{host: h1}]}
    services:
      - {name: held, addresses: [203.0.113.10], port: 80, pool: all}
    lab:
      network: {ipv4: 10.1.0.0/16}
      clients:
        - {name: c1, addresses: [198.51.100.2/24]}
"""
MANY = 1_000_000
FIRST = IPv4Address("198.18.0.0")
AGAIN = range(0, MANY, 50)
MOST_BYTES = 200
"""A connection: the budget of the unit's route, and no more at its host."""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with Lab(lab_name(), write_site(tmp_path_factory.mktemp("million"), SITE)) as made:
        made.up()
        made.run("h1", ["sysctl", "-qw", "net.ipv4.tcp_syncookies=2"])
        # Nobody is there to hear the host's answers.
        made.run("router", ["ip", "route", "add", "blackhole", "198.16.0.0/12"])
        yield made


def of_unit(lab: Lab, reason: str) -> int:
    return int(lab.status("u1")["reasons"][reason])


def megabytes(lab: Lab, node: str) -> float:
    """Of all its agent's maps."""
    (pid,) = (each.agent_pid for each in lab.overview().nodes if each.name == node)
    assert pid is not None
    return sum(map_bytes(pid).values()) / 1e6


def test_a_million_open_connections(lab: Lab) -> None:
    """One client in fifty sends again, and must find the route that its SYN made.

    Of a table that is full to the brim, some buckets are fuller (decision 9).
    """
    generator = Generator(lab, "c1", FIRST, (VIP[4], 80))
    generator.send(range(MANY), SYN, ACK)
    assert of_unit(lab, "bundled_syn") == MANY
    assert of_unit(lab, "hit") == MANY
    assert lab.status("u1")["evicted"] < MANY / 1000
    restored = lab.status("h1")["reasons"]["restored"]

    generator.send(AGAIN, ACK)
    found = of_unit(lab, "hit") - MANY
    assert found > 0.998 * len(AGAIN)
    assert of_unit(lab, "bundled_syn") == MANY
    assert found == len(AGAIN) - of_unit(lab, "no_route")
    assert lab.status("h1")["reasons"]["restored"] > restored + 0.998 * len(AGAIN)
    assert ask(lab, 4, "/") == "h1"


def test_what_they_take(lab: Lab) -> None:
    """Of all maps. `pytest -s` shows it."""
    unit, host = megabytes(lab, "u1"), megabytes(lab, "h1")
    print(f"\n{MANY} open connections: unit {unit:.0f} MB, host {host:.0f} MB of maps")
    assert unit < MOST_BYTES * MANY / 1e6
    assert host < MOST_BYTES * MANY / 1e6
