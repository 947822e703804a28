"""Which unit is handed what this one does not know."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

from pointsman.config.load import load_site
from pointsman.config.model import Address, Site
from pointsman.forwarder.next_hops import NextHop
from pointsman.forwarder.peers import next_unit, successors

DEMO = Path(__file__).parents[2] / "site.yaml"
HOP = NextHop(3, bytes(6), bytes(6))


def three_units() -> Site:
    site = load_site(DEMO)
    third = site.units[1].model_copy(
        update={"name": "u3", "tunnel": [ip_address("10.1.1.3"), ip_address("fd00:1::1:3")]}
    )
    return site.model_copy(update={"units": [*site.units, third]})


def test_successors_go_round() -> None:
    site = three_units()
    after = [
        [str(address) for address in successors(site, unit, version)]
        for unit in site.units
        for version in (4, 6)
    ]
    assert after == [
        ["10.1.1.2", "10.1.1.3"],
        ["fd00:1::1:2", "fd00:1::1:3"],
        ["10.1.1.3", "10.1.1.1"],
        ["fd00:1::1:3", "fd00:1::1:1"],
        ["10.1.1.1", "10.1.1.2"],
        ["fd00:1::1:1", "fd00:1::1:2"],
    ]


def test_the_next_one_that_can_be_reached() -> None:
    near, far = ip_address("10.1.1.2"), ip_address("10.1.1.3")
    reachable: list[tuple[dict[Address, NextHop | None], Address | None]] = [
        ({near: HOP, far: HOP}, near),
        ({near: None, far: HOP}, far),
        ({far: HOP}, far),
        ({near: None, far: None}, None),
    ]
    for hops, expected in reachable:
        found = next_unit(iter([near, far]), hops)
        assert (found and found[0]) == expected
