"""Labs for the tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from lab_names import lab_name

from pointsman.lab.lab import Lab

DEMO = Path(__file__).parents[2] / "examples" / "demo.yaml"


@pytest.fixture(scope="session")
def demo_site() -> Path:
    return DEMO


@pytest.fixture(scope="module")
def bare_lab() -> Iterator[Lab]:
    """The demo site's network and nginx, and none of our agents."""
    with Lab(lab_name(), DEMO) as lab:
        lab.up(agents=False)
        yield lab


@pytest.fixture(scope="module")
def demo_lab() -> Iterator[Lab]:
    """All of the demo site, agents and all."""
    with Lab(lab_name(), DEMO) as lab:
        lab.up()
        yield lab
