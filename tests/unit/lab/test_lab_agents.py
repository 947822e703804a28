"""Waiting for an agent, with small processes that behave as one."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pointsman.errors import PointsmanError
from pointsman.lab import agents
from pointsman.lab.plan import Kind
from pointsman.lab.state import LabRecord, LabState

SERVER = """
import socket, sys
with socket.socket(socket.AF_UNIX) as listener:
    listener.bind(sys.argv[1])
    listener.listen()
    for answer in sys.argv[2:]:
        with listener.accept()[0] as connection:
            connection.sendall(answer.encode())
    listener.accept()
"""


@pytest.fixture
def state(tmp_path: Path) -> LabState:
    state = LabState("demo", tmp_path)
    state.create(LabRecord(name="demo", site=Path("/etc/site.yaml"), nodes=[]))
    return state


class Agents:
    """Starts them, and ends them after the test."""

    def __init__(self, state: LabState) -> None:
        self.state = state
        self.started: list[subprocess.Popen[bytes]] = []

    def start(self, *argv: str) -> subprocess.Popen[bytes]:
        with self.state.log("u1").open("w") as log:
            agent = subprocess.Popen([sys.executable, "-c", *argv], stdout=log, stderr=log)
        self.started.append(agent)
        return agent


@pytest.fixture
def starter(state: LabState) -> Iterator[Agents]:
    starter = Agents(state)
    yield starter
    for agent in starter.started:
        agent.kill()
        agent.wait()


def test_ready_after_some_answers_that_say_no(state: LabState, starter: Agents) -> None:
    answers = ["", "{", "[]", '{"ready": false}', '{"ready": true}', '{"asked": "again"}']
    agent = starter.start(SERVER, str(state.socket("u1")), *answers)
    agents.wait_ready("u1", agent, state, time.monotonic() + 15)
    assert agents.ask(state.socket("u1")) == {"asked": "again"}


def test_agent_that_ends_leaves_its_last_words(state: LabState, starter: Agents) -> None:
    script = "print(*range(9), sep='\\n'); import sys; sys.exit('interface e9: none')"
    agent = starter.start(script)
    with pytest.raises(PointsmanError) as caught:
        agents.wait_ready("u1", agent, state, time.monotonic() + 15)
    assert caught.value.what.startswith("agent u1 ended with status 1")
    assert "interface e9: none" in caught.value.what
    assert " 4 |" not in caught.value.what


def test_agent_that_never_is_ready_is_given_up(state: LabState, starter: Agents) -> None:
    agent = starter.start("import signal; signal.pause()")
    with pytest.raises(PointsmanError, match="agent u1 was not ready in time"):
        agents.wait_ready("u1", agent, state, time.monotonic() + 0.2)


def test_command_line_names_all_it_needs(state: LabState) -> None:
    argv = agents.command(Kind.HOST, "h1", Path("/etc/site.yaml"), state)
    assert argv[3] == "host"
    options = dict(zip(argv[4::2], argv[5::2], strict=True))
    assert options == {
        "--site": "/etc/site.yaml",
        "--node": "h1",
        "--run-dir": str(state.agents),
        "--key-file": str(state.key_file),
    }
