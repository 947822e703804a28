"""Many connections from one client address: none refused, reset or timed out (TIME_WAIT too)."""

from __future__ import annotations

import pytest
from http_clients import Result, one_request_connections

from pointsman.lab.lab import Lab

pytestmark = pytest.mark.lab


@pytest.mark.parametrize("version", [4, 6])
def test_a_thousand_parallel_connections(demo_lab: Lab, version: int) -> None:
    result = one_request_connections(demo_lab, version, "/a", count=3000, parallel=1000)
    assert result == Result(3000, {})


@pytest.mark.timeout(240)
def test_a_hundred_thousand_consecutive_connections(demo_lab: Lab) -> None:
    before = demo_lab.status("h1")["reasons"]
    result = one_request_connections(demo_lab, 4, "/a", count=100_000, parallel=1, timeout=200)
    assert result == Result(100_000, {})
    after = demo_lab.status("h1")["reasons"]
    # Ports came round, so connections did meet their predecessors in TIME_WAIT.
    assert after["old_socket"] - before["old_socket"] > 10_000
    assert after["old_socket_stays"] == before["old_socket_stays"]
