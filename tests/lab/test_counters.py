"""Packets in are the sum over the outcomes, exactly, under load and whatever else arrives."""

from __future__ import annotations

import socket
import struct
from concurrent.futures import ThreadPoolExecutor
from random import Random

import pytest
from exact_counts import runs_and_outcomes
from http_clients import VIP, Result, one_request_connections

from pointsman.lab.lab import Lab

pytestmark = pytest.mark.lab

NOISE = 20_000
"""Packets of each family."""


def noise4(rng: Random) -> bytes:
    """An IPv4 packet to the virtual IP; the kernel fills in its length, source and checksum."""
    target = socket.inet_aton(VIP[4])
    fragment = rng.choice((0, 0, 0, 0x2000, 1, 0x1FFF))
    head = struct.pack(
        "!BBHHHBBHI", 0x45, 0, 0, rng.getrandbits(16), fragment, 64, rng.getrandbits(8), 0, 0
    )
    return head + target + rng.randbytes(rng.randrange(0, 600))


def send_noise(lab: Lab, seed: int) -> None:
    """Packets of any protocol over IPv4, datagrams to any port over IPv6."""
    rng = Random(seed)
    with lab.enter_netns("c1"):
        raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
        datagrams = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    with raw, datagrams:
        for _ in range(NOISE):
            raw.sendto(noise4(rng), (VIP[4], 0))
            data = rng.randbytes(rng.randrange(0, 600))
            datagrams.sendto(data, (VIP[6], rng.randrange(1, 1 << 16)))


def counts(lab: Lab) -> dict[str, tuple[int, int]]:
    agents = {node.name: node.agent_pid for node in lab.overview().nodes if node.agent_pid}
    return {name: runs_and_outcomes(lab, name, pid) for name, pid in agents.items()}


def test_every_packet_has_one_outcome_under_load(demo_lab: Lab) -> None:
    before = counts(demo_lab)
    with ThreadPoolExecutor(1) as executor:
        noise = executor.submit(send_noise, demo_lab, 1)
        for version in (4, 6):
            result = one_request_connections(demo_lab, version, "/a", count=2000, parallel=100)
            assert result == Result(2000, {})
        noise.result()
    after = counts(demo_lab)
    grown = {name: after[name][0] - before[name][0] for name in before}
    assert {name: outcomes for name, (_, outcomes) in after.items()} == {
        name: runs for name, (runs, _) in after.items()
    }
    units = [node.name for node in demo_lab.site.units]
    assert sum(grown[name] for name in units) > NOISE + 4000 * 3
    assert grown["h1"] > 4000 * 2
