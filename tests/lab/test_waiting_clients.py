"""A browser's connections, opened ahead of need, are still good two minutes later."""

from __future__ import annotations

import pytest
from waiting_clients import LongWait, broken_within

pytestmark = pytest.mark.lab

IDLE_S = 120


@pytest.mark.timeout(IDLE_S + 80)
def test_connections_that_wait_two_minutes_are_served(long_wait: LongWait) -> None:
    """They have sent two keep-alive probes each, and no byte."""
    assert broken_within(long_wait.connections, long_wait.left_of(IDLE_S)) == []
    for connection in long_wait.connections:
        answer = connection.ask("/b/late")
        assert answer.startswith(b"HTTP/1.1 200 "), connection
        if connection.port == 80:
            assert answer.split(b"\r\n\r\nhost ")[1].split()[0] in (b"h2", b"h3")
