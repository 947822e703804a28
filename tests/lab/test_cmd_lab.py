"""`pointsman lab`, as an operator types it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab_names import lab_name

from pointsman.lab import namespaces
from pointsman.lab.lab import Lab
from pointsman.lab.state import labs_up

pytestmark = pytest.mark.lab


def pointsman_lab(*argv: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pointsman.cli.main", "lab", *argv]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture(scope="module")
def name(demo_site: Path) -> Iterator[str]:
    name = lab_name()
    done = pointsman_lab("up", "--site", str(demo_site), "--name", name, "--no-agents")
    assert done.returncode == 0, done.stderr
    assert "fd00:1::11/64" in done.stdout
    yield name
    if name in labs_up():
        Lab.find(name).down()


def test_exec_passes_words_and_status_through(name: str) -> None:
    done = pointsman_lab("exec", "--name", name, "c1", "--", "sh", "-c", "echo here; exit 7")
    assert (done.returncode, done.stdout) == (7, "here\n")


def test_status_names_nodes_addresses_and_processes(name: str) -> None:
    status = json.loads(pointsman_lab("status", "--name", name, "--json").stdout)
    nodes = {node["name"]: node for node in status["nodes"]}
    assert nodes["u1"]["addresses"] == ["10.1.0.1/16", "fd00:1::1/64"]
    assert nodes["u1"]["agent"] is None
    assert Path(f"/proc/{nodes['h1']['nginx_pid']}").exists()
    assert name in pointsman_lab("status", "--name", name).stdout


def test_list_names_it(name: str) -> None:
    assert name in pointsman_lab("list").stdout.splitlines()


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["status", "--name", "nosuchlab"], "lab nosuchlab: there is none"),
        (["down", "--name", "nosuchlab"], "lab nosuchlab: there is none"),
        (["down", "--name", "No/Such"], "lab No/Such: the name can't be used"),
    ],
)
def test_unknown_lab_is_one_line_and_status_2(argv: list[str], words: str) -> None:
    done = pointsman_lab(*argv)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert words in line


def test_unknown_node_is_one_line_and_status_2(name: str) -> None:
    done = pointsman_lab("exec", "--name", name, "nosuch", "--", "true")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert f"node nosuch: lab {name} has none" in line


def test_second_up_is_refused(name: str, demo_site: Path) -> None:
    done = pointsman_lab("up", "--site", str(demo_site), "--name", name, "--no-agents")
    assert done.returncode == 2
    assert f"lab {name}: exists already" in done.stderr
    assert pointsman_lab("exec", "--name", name, "c1", "--", "true").returncode == 0


def test_down_takes_it_away(demo_site: Path) -> None:
    name = lab_name()
    up = pointsman_lab("up", "--site", str(demo_site), "--name", name, "--no-agents")
    assert up.returncode == 0, up.stderr
    netns = Lab.find(name).netns("h1")
    assert pointsman_lab("down", "--name", name).returncode == 0
    assert name not in labs_up()
    assert not namespaces.exists(netns)
