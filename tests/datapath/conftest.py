"""Programs loaded once a module; every test starts with empty tables."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from bench import UnitBench
from host_bench import HostBench
from host_wire import HostWire, host_wire
from site_file import KEY, make_site


@pytest.fixture(scope="module")
def loaded_unit() -> Iterator[UnitBench]:
    with UnitBench(make_site(), KEY) as bench:
        yield bench


@pytest.fixture
def unit(loaded_unit: UnitBench) -> UnitBench:
    loaded_unit.reset()
    return loaded_unit


@pytest.fixture(scope="module")
def loaded_host() -> Iterator[HostBench]:
    with HostBench(make_site(), KEY) as bench:
        yield bench


@pytest.fixture
def wire(loaded_host: HostBench) -> Iterator[HostWire]:
    """The host on an interface of its own."""
    loaded_host.reset()
    with host_wire(loaded_host) as wire:
        yield wire


@pytest.fixture(params=[4, 6], ids=["ipv4", "ipv6"])
def version(request: pytest.FixtureRequest) -> int:
    value: int = request.param
    return value
