"""Labs whose names no other test run on this machine has."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from pointsman.lab.lab import Lab

DEMO = Path(__file__).parents[2] / "examples" / "demo.yaml"

_numbers = count()


def lab_name() -> str:
    """At most 10 characters: process ids have at most 22 bits."""
    return f"t{os.getpid():x}-{next(_numbers)}"


@pytest.fixture(scope="session")
def demo_site() -> Path:
    return DEMO


@pytest.fixture(scope="module")
def bare_lab() -> Iterator[Lab]:
    """The demo site's network and nginx, and none of our agents."""
    with Lab(lab_name(), DEMO) as lab:
        lab.up(agents=False)
        yield lab
