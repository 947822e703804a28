"""Labs for the tests."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path

import pytest
from cpu import bpf_statistics
from exact_counts import miscounted
from http_clients import VIP
from lab_names import lab_name
from waiting_clients import Answer, ask_after, waiting_connections

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


@pytest.fixture(scope="session", autouse=True)
def _runs_are_counted() -> Iterator[None]:
    """From before any agent starts."""
    with bpf_statistics():
        yield


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Function) -> Generator[None, object, object]:
    """After every test in a lab, each packet that an agent's programs saw has one outcome."""
    result = yield
    labs = {id(lab): lab for lab in item.funcargs.values() if isinstance(lab, Lab)}
    for lab in labs.values():
        if lab.state.dir.exists():
            assert miscounted(lab) == {}
    return result


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Who waits for minutes comes last: the others' tests are that wait."""
    items.sort(key=_waits_long)


def _waits_long(item: pytest.Item) -> bool:
    return "long_wait" in getattr(item, "fixturenames", [])


@pytest.fixture(scope="session", autouse=True)
def _begin_long_wait(request: pytest.FixtureRequest) -> None:
    """With the first test, if one of them needs it."""
    if any(map(_waits_long, request.session.items)):
        request.getfixturevalue("long_wait")


@pytest.fixture(scope="session")
def long_wait() -> Iterator[Future[list[Answer]]]:
    """c1's connections to inspected and plain service, three each, silent for two minutes."""
    targets = [(VIP[version], port) for version in (4, 6) for port in (80, 81)] * 3
    with Lab(lab_name(), DEMO) as lab, ThreadPoolExecutor(1) as executor:
        lab.up()
        with waiting_connections(lab, "c1", targets, probe_every_s=45) as connections:
            answers = executor.submit(ask_after, connections, 120, "/b/late")
            yield answers
            wait([answers])
