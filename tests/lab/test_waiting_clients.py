"""A browser's connections, opened ahead of need, are still good two minutes later."""

from __future__ import annotations

from concurrent.futures import Future

import pytest
from waiting_clients import Answer

pytestmark = pytest.mark.lab


@pytest.mark.timeout(200)
def test_connections_that_wait_two_minutes_are_served(long_wait: Future[list[Answer]]) -> None:
    """They have sent two keep-alive probes each, and no byte."""
    answers = long_wait.result()
    assert len(answers) == 12
    for connection, answer in answers:
        assert answer.startswith(b"HTTP/1.1 200 "), connection
        if connection.port == 80:
            assert answer.split(b"\r\n\r\nhost ")[1].split()[0] in (b"h2", b"h3")
