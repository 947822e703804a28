"""Agents in a lab: started, asked, killed, started again."""

from __future__ import annotations

import signal

import pytest

from pointsman.errors import PointsmanError
from pointsman.lab.lab import Lab

pytestmark = pytest.mark.lab


def test_all_are_ready_when_the_lab_is_up(demo_lab: Lab) -> None:
    agents = {node.name: node.agent for node in demo_lab.overview().nodes if node.agent_pid}
    assert set(agents) == {"u1", "u2", "h1", "h2", "h3"}
    assert all(said is not None and said["ready"] is True for said in agents.values())


@pytest.mark.parametrize("node", ["u2", "h3"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_killed_agent_is_silent_and_comes_back(
    demo_lab: Lab, node: str, number: signal.Signals
) -> None:
    demo_lab.kill_agent(node, number)
    with pytest.raises(PointsmanError, match=f"agent {node}: no answer"):
        demo_lab.status(node)
    demo_lab.start_agent(node)
    assert demo_lab.status(node)["ready"] is True


def test_second_agent_on_a_node_is_refused(demo_lab: Lab) -> None:
    with pytest.raises(PointsmanError, match="node u1: its agent runs already"):
        demo_lab.start_agent("u1")


@pytest.mark.parametrize("address", ["203.0.113.10", "[2001:db8:10::10]"])
@pytest.mark.parametrize("path", ["/a/small", "/b/small"])
def test_client_is_answered_through_a_virtual_address(
    demo_lab: Lab, address: str, path: str
) -> None:
    answer = demo_lab.run("c1", ["curl", "-sS", "-m", "5", f"http://{address}{path}"]).stdout
    assert answer.startswith("host h1 " if path.startswith("/a") else ("host h2 ", "host h3 "))
