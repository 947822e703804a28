"""The way to clients: the default route, as the kernel has it."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address

import pytest
from namespace import new_namespace, run

from pointsman.system.netlink import Netlink
from pointsman.system.network import Route

pytestmark = pytest.mark.datapath

NEAR, FAR = {4: "10.1.0.2", 6: "fd00:1::2"}, {4: "10.1.0.3", 6: "fd00:1::3"}


@pytest.fixture(autouse=True)
def namespace() -> Iterator[None]:
    """With e0, which is joined to e1, and has addresses."""
    with new_namespace():
        run("ip", "link", "add", "e0", "up", "type", "veth", "peer", "name", "e1")
        run("ip", "link", "set", "e1", "up")
        run("ip", "address", "add", "10.1.0.1/16", "dev", "e0")
        run("ip", "address", "add", "fd00:1::1/64", "dev", "e0", "nodad")
        yield


def add(version: int, *words: str) -> None:
    run("ip", f"-{version}", "route", "add", "default", *words)


def found(version: int) -> Route | None:
    with Netlink() as netlink:
        return netlink.default_route(version)


def route(address: str) -> Route:
    with Netlink() as netlink:
        return Route(netlink.interface("e0").index, ip_address(address))


def test_none(version: int) -> None:
    assert found(version) is None


def test_one_without_a_neighbour(version: int) -> None:
    add(version, "dev", "e0")
    assert found(version) is None


def test_the_kernels_favourite(version: int) -> None:
    add(version, "via", FAR[version], "metric", "200")
    assert found(version) == route(FAR[version])
    add(version, "via", NEAR[version], "metric", "100")
    assert found(version) == route(NEAR[version])


def test_one_of_several_next_hops(version: int) -> None:
    hops = [
        word
        for address in (NEAR[version], FAR[version])
        for word in ("nexthop", "via", address, "dev", "e0")
    ]
    add(version, *hops)
    assert found(version) in (route(NEAR[version]), route(FAR[version]))
