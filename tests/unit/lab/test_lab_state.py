"""What a lab writes down, and the claim on its name."""

from __future__ import annotations

from pathlib import Path

import pytest

from pointsman.errors import PointsmanError
from pointsman.lab.plan import Kind
from pointsman.lab.processes import Process
from pointsman.lab.state import LabRecord, LabState, NodeRecord

RECORD = LabRecord(
    name="demo",
    site=Path("/etc/site.yaml"),
    nodes=[
        NodeRecord(
            name="h1", kind=Kind.HOST, netns="pm-demo-h1", device="e0", addresses=["10.1.0.11/16"]
        )
    ],
)


def test_record_is_read_as_written(tmp_path: Path) -> None:
    LabState("demo", tmp_path).create(RECORD)
    assert LabState("demo", tmp_path).read_record() == RECORD


def test_name_is_claimed_once(tmp_path: Path) -> None:
    LabState("demo", tmp_path).create(RECORD)
    with pytest.raises(PointsmanError) as caught:
        LabState("demo", tmp_path).create(RECORD)
    assert caught.value.what == "lab demo: exists already"
    assert "pointsman lab down --name demo" in caught.value.mend


def test_lab_that_is_not_up_is_named(tmp_path: Path) -> None:
    state = LabState("demo", tmp_path)
    assert state.read_record_if_any() is None
    with pytest.raises(PointsmanError, match="lab demo: there is none"):
        state.read_record()


def test_node_that_is_not_there_is_named_with_those_that_are() -> None:
    assert RECORD.node("h1").netns == "pm-demo-h1"
    with pytest.raises(PointsmanError, match="node h2: lab demo has none; take one of h1"):
        RECORD.node("h2")


def test_agents_process_is_read_as_written(tmp_path: Path) -> None:
    state = LabState("demo", tmp_path)
    state.create(RECORD)
    assert state.read_agent("h1") is None
    state.write_agent("h1", Process(pid=5, started=7))
    assert state.read_agent("h1") == Process(pid=5, started=7)
    state.remove()
    assert not state.exists()


@pytest.mark.parametrize("name", ["", "../x", "a/b", "Demo", "-a", "a b", "elevenchars", "a\n"])
def test_name_that_makes_no_path_or_namespace_is_refused(name: str) -> None:
    with pytest.raises(PointsmanError, match="the name can't be used"):
        LabState(name)
