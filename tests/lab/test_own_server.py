"""A lab whose host runs what its user brings; here, Python's own HTTP server."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab_names import lab_name

from pointsman.lab.lab import Lab

pytestmark = pytest.mark.lab

SITE = Path(__file__).parents[2] / "examples" / "own-server.yaml"
VIP = "203.0.113.20"


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab(lab_name(), SITE) as made:
        made.up()
        yield made


def curl(lab: Lab, *options: str) -> subprocess.CompletedProcess[str]:
    argv = ["curl", "--silent", "--max-time", "5", *options, f"http://{VIP}:8000/hello"]
    return lab.run("c1", argv, check=False)


def test_nobody_listens_at_first(lab: Lab) -> None:
    """The host's stack refuses in the service's name, and the host's daemon counts it."""
    done = curl(lab)
    assert done.returncode in (52, 56)  # curl: connected, then reset
    assert lab.status("h1")["reasons"]["no_listener"] == 1


def test_what_the_user_starts_is_reached(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "hello").write_text("from my own server\n")
    argv = [sys.executable, "-u", "-m", "http.server", "8000", "--directory", str(tmp_path)]
    server = lab.popen("h1", argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert server.stdout is not None
    assert server.stderr is not None
    assert "Serving HTTP" in server.stdout.readline()
    assert curl(lab).stdout == "from my own server\n"
    assert server.stderr.readline().startswith("198.51.100.2 ")
    server.terminate()
    server.communicate()
