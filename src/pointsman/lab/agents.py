"""The agents, `pointsman unit` and `pointsman host`: how to start them, how to ask them."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from pointsman.errors import PointsmanError
from pointsman.lab.plan import Kind
from pointsman.lab.state import LabState

__all__ = ["READY_WITHIN_S", "ask", "command", "wait_ready"]

READY_WITHIN_S = 15.0
ANSWER_WITHIN_S = 5.0
LOOK_EVERY_S = 0.05
LAST_WORDS = 5
"""Lines of its log."""


def command(kind: Kind, node: str, site: Path, state: LabState) -> list[str]:
    """The command line of a node's agent."""
    return [
        *(sys.executable, "-m", "pointsman.cli.main", kind.value),
        *("--site", str(site)),
        *("--node", node),
        *("--run-dir", str(state.agents)),
        *("--key-file", str(state.key_file)),
    ]


def ask(path: Path) -> dict[str, Any]:
    """The agent's status. Raises OSError if it does not answer, ValueError if not in JSON."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(ANSWER_WITHIN_S)
        connection.connect(str(path))
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    document = json.loads(answer)
    if not isinstance(document, dict):
        raise ValueError(f"{path}: a JSON object was expected")
    return document


def wait_ready(node: str, agent: subprocess.Popen[Any], state: LabState, deadline: float) -> None:
    """Until it says so. `deadline` is of time.monotonic().

    Raises PointsmanError with its last words if it ends instead, or the time is over.
    """
    path = state.socket(node)
    while time.monotonic() < deadline:
        try:
            if ask(path).get("ready") is True:
                return
        except (OSError, ValueError):
            # No socket yet, one left by a killed agent, or closed half way: look again.
            pass
        try:
            agent.wait(LOOK_EVERY_S)
        except subprocess.TimeoutExpired:
            continue
        raise _failure(node, f"ended with status {agent.returncode}", state)
    raise _failure(node, "was not ready in time", state)


def _failure(node: str, what: str, state: LabState) -> PointsmanError:
    lines = state.log(node).read_text(errors="replace").splitlines()[-LAST_WORDS:]
    # No hint at the log: if this ends the lab's coming up, the log goes with the lab.
    return PointsmanError(
        f"agent {node} {what}: {' | '.join(lines) or 'no word'}", "mend that and start it again"
    )
