"""A browser's connections, opened ahead of need, are still good two minutes later."""

from __future__ import annotations

import pytest
from http_clients import VIP
from waiting_clients import broken_within, waiting_connections

from pointsman.lab.lab import Lab

pytestmark = pytest.mark.lab

IDLE_S = 120
PROBE_EVERY_S = 45
"""Chrome's habit: two probes before the first byte."""


@pytest.mark.timeout(IDLE_S + 80)
def test_connections_that_wait_two_minutes_are_served(demo_lab: Lab) -> None:
    """All wait the same two minutes: inspected and plain service, both families, three each."""
    targets = [(VIP[version], port) for version in (4, 6) for port in (80, 81)] * 3
    with waiting_connections(demo_lab, "c1", targets, probe_every_s=PROBE_EVERY_S) as waiting:
        assert broken_within(waiting, IDLE_S) == []
        for connection in waiting:
            answer = connection.ask("/b/late")
            assert answer.startswith(b"HTTP/1.1 200 "), connection
            if connection.port == 80:
                assert answer.split(b"\r\n\r\nhost ")[1].split()[0] in (b"h2", b"h3")
