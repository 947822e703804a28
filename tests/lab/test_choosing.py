"""Policies with real clients, hosts and two units: who stays, and who is spared."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from http_clients import VIP, ask, connections_of
from lab_names import lab_name
from lab_sites import write_site

from pointsman.lab.lab import Lab

pytestmark = pytest.mark.lab

CLIENTS = [f"c{number}" for number in range(1, 7)]
SITE = """
    cluster: {name: chooses}
    units:
      - {name: u1, UNIT, addresses: [10.1.0.1, "fd00:1::1"], tunnel: [10.1.1.1, "fd00:1::1:1"]}
      - {name: u2, UNIT, addresses: [10.1.0.2, "fd00:1::2"], tunnel: [10.1.1.2, "fd00:1::1:2"]}
    hosts:
      - {name: h1, HOST, addresses: [10.1.0.11, "fd00:1::11"]}
      - {name: h2, HOST, addresses: [10.1.0.12, "fd00:1::12"]}
      - {name: h3, HOST, addresses: [10.1.0.13, "fd00:1::13"]}
    pools:
      - {name: sticky, choose: client-ip, members: [{host: h1}, {host: h2}, {host: h3}]}
      - {name: spared, choose: two-choices, members: [{host: h1}, {host: h2}]}
    services:
      - {name: sticky, addresses: [203.0.113.10, "2001:db8:10::10"], port: 80, pool: sticky}
      - {name: spared, addresses: [203.0.113.10, "2001:db8:10::10"], port: 81, pool: spared}
    lab:
      network: {ipv4: 10.1.0.0/16, ipv6: "fd00:1::/64"}
      clients:
"""
CLIENT = '        - {name: NAME, addresses: [198.18.NUMBER.2/24, "2001:db8:NUMBER::2/64"]}\n'


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    clients = (CLIENT.replace("NAME", name).replace("NUMBER", name[1:]) for name in CLIENTS)
    site = write_site(tmp_path_factory.mktemp("site"), SITE + "".join(clients))
    with Lab(lab_name(), site) as lab:
        lab.up()
        yield lab


@pytest.mark.parametrize("version", [4, 6])
def test_a_client_has_one_host_whichever_unit_it_meets(lab: Lab, version: int) -> None:
    before = {unit: connections_of(lab, unit).total() for unit in ("u1", "u2")}
    for client in CLIENTS:
        assert len({ask(lab, version, "/", client=client) for _ in range(12)}) == 1
    for unit, count in before.items():
        assert connections_of(lab, unit).total() > count


def live(lab: Lab, unit: str) -> dict[str, int]:
    hosts: dict[str, int] = lab.status(unit)["live"]["spared"]
    return hosts


@pytest.mark.parametrize("version", [4, 6])
def test_two_choices_share_out_what_lives(lab: Lab, version: int) -> None:
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    with ExitStack() as stack:
        held = []
        for _ in range(24):
            with lab.enter_netns("c1"):
                held.append(stack.enter_context(socket.socket(family)))
            held[-1].settimeout(5)
            held[-1].connect((VIP[version], 81))
        loads = [live(lab, unit) for unit in ("u1", "u2")]
        assert sum(sum(hosts.values()) for hosts in loads) == 24
        for hosts in loads:
            assert abs(hosts["h1"] - hosts["h2"]) <= 1
        for sock in held:
            sock.shutdown(socket.SHUT_WR)
            assert sock.recv(1) == b""  # the host has had the FIN, so the unit has, too
        assert [live(lab, unit) for unit in ("u1", "u2")] == [{"h1": 0, "h2": 0}] * 2
