"""Real clients reach real nginx hosts, chosen by what they ask for, answered directly."""

from __future__ import annotations

from collections import Counter

import pytest
from http_clients import VIP, connections_of, fetch, one_request_connections, url

from pointsman.lab.lab import Lab

pytestmark = pytest.mark.lab

CLIENT = {4: "198.51.100.2", 6: "2001:db8:1::2"}


def hosts_of(lab: Lab, version: int, path: str, port: int = 80, times: int = 12) -> Counter[str]:
    answers = (fetch(lab, url(version, path, port)) for _ in range(times))
    return Counter(answer.split()[1] for answer in answers)


@pytest.mark.parametrize("version", [4, 6])
def test_paths_reach_their_pools(demo_lab: Lab, version: int) -> None:
    assert set(hosts_of(demo_lab, version, "/a/x")) == {"h1"}
    assert set(hosts_of(demo_lab, version, "/abc?d")) == {"h1"}
    assert set(hosts_of(demo_lab, version, "/b")) == {"h2", "h3"}
    assert set(hosts_of(demo_lab, version, "/other", times=24)) == {"h1", "h2", "h3"}
    assert set(hosts_of(demo_lab, version, "/a", port=81, times=24)) == {"h1", "h2", "h3"}


@pytest.mark.parametrize("version", [4, 6])
def test_the_hosts_log_has_the_clients_own_address(demo_lab: Lab, version: int) -> None:
    mark = f"/a/log-{version}"
    fetch(demo_lab, url(version, mark))
    lines = demo_lab.nginx("h1").access_log.read_text().splitlines()
    (line,) = [line for line in lines if mark in line]
    assert line.split()[0] == CLIENT[version]


def test_both_units_work(demo_lab: Lab) -> None:
    before = {unit: connections_of(demo_lab, unit).total() for unit in ("u1", "u2")}
    result = one_request_connections(demo_lab, 4, "/b", count=200, parallel=10)
    assert result.failures == {}
    for unit, count in before.items():
        assert connections_of(demo_lab, unit).total() - count > 20


@pytest.mark.parametrize("version", [4, 6])
def test_the_units_forward_no_byte_of_an_answer(demo_lab: Lab, version: int) -> None:
    size = 10_000_000
    demo_lab.make_file("ten", size)
    interfaces = {unit: _received(demo_lab, unit) for unit in ("u1", "u2")}
    counted = {unit: _counted(demo_lab, unit) for unit in ("u1", "u2")}
    fetch(demo_lab, url(version, "/a/files/ten"), "--output", "/dev/null")
    # Requests and acknowledgements only: what the program counted, and what the wire brought.
    assert 0 < sum(_counted(demo_lab, u) - n for u, n in counted.items()) < size / 20
    assert sum(_received(demo_lab, u) - n for u, n in interfaces.items()) < size / 20
    # No packet's source is a service, so no answer came by.
    for unit in ("u1", "u2"):
        assert demo_lab.status(unit)["reasons"]["no_route"] == 0


def _received(lab: Lab, unit: str) -> int:
    out = lab.run(unit, ["cat", "/proc/net/dev"]).stdout
    (line,) = [line for line in out.splitlines() if line.strip().startswith("e0:")]
    return int(line.split(":")[1].split()[0])


def _counted(lab: Lab, unit: str) -> int:
    traffic = lab.status(unit)["traffic"]
    return sum(total["bytes"] for hosts in traffic.values() for total in hosts.values())


def test_answers_come_from_the_service_not_from_the_host(demo_lab: Lab) -> None:
    out = fetch(demo_lab, url(4, "/a"), "--write-out", "%{remote_ip}", "--output", "/dev/null")
    assert out == VIP[4]
