"""Next hops out of routes, neighbours and interfaces."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from pointsman.config.model import Host
from pointsman.forwarder.next_hops import NextHop, Way, next_hops, ways
from pointsman.system.network import Neighbours, Route

H1, H1_6, H2 = ip_address("10.1.0.11"), ip_address("fd00:1::11"), ip_address("10.1.0.12")
GATEWAY = ip_address("10.1.255.254")
MAC, GATEWAY_MAC, OWN_MAC, OTHER_MAC = (bytes([2, 0, 0, 0, 0, number]) for number in range(4))
WAY: Way = (0, H1)
MACS = {3: OWN_MAC, 4: OTHER_MAC}


def test_a_way_for_every_address_of_every_host() -> None:
    hosts = [
        Host(name="h1", interface="e0", addresses=[H1, H1_6]),
        Host(name="h2", interface="e0", addresses=[H2]),
    ]
    assert list(ways(hosts)) == [(0, H1), (0, H1_6), (1, H2)]


def test_host_on_the_link() -> None:
    found = next_hops({WAY: Route(3, H1)}, {(3, H1): MAC}, MACS, {})
    assert found == {WAY: NextHop(ifindex=3, dmac=MAC, smac=OWN_MAC)}


def test_host_behind_a_gateway() -> None:
    neighbours = {(4, GATEWAY): GATEWAY_MAC, (4, H1): MAC}
    found = next_hops({WAY: Route(4, GATEWAY)}, neighbours, MACS, {})
    assert found == {WAY: NextHop(ifindex=4, dmac=GATEWAY_MAC, smac=OTHER_MAC)}


def test_host_in_a_vlan() -> None:
    """The program puts the tag on, so frames leave by the interface below."""
    found = next_hops({WAY: Route(4, H1)}, {(4, H1): MAC}, MACS, {4: 3})
    assert found == {WAY: NextHop(ifindex=3, dmac=MAC, smac=OTHER_MAC)}


@pytest.mark.parametrize(
    ("route", "neighbours"),
    [
        (None, {(3, H1): MAC}),
        (Route(3, H1), {}),
        (Route(3, H1), {(4, H1): MAC}),
        (Route(3, GATEWAY), {(3, H1): MAC}),
        (Route(5, H1), {(5, H1): MAC}),
    ],
    ids=["no route", "no answer", "other link", "gateway silent", "interface down"],
)
def test_no_next_hop(route: Route | None, neighbours: Neighbours) -> None:
    assert next_hops({WAY: route}, neighbours, MACS, {}) == {WAY: None}


def test_one_way_lost_leaves_the_others() -> None:
    routes: dict[Way, Route | None] = {WAY: Route(3, H1), (0, H1_6): None, (1, H2): Route(3, H2)}
    found = next_hops(routes, {(3, H1): MAC, (3, H2): GATEWAY_MAC}, MACS, {})
    assert found == {
        WAY: NextHop(3, MAC, OWN_MAC),
        (0, H1_6): None,
        (1, H2): NextHop(3, GATEWAY_MAC, OWN_MAC),
    }
