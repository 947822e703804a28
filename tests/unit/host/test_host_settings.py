"""What the site file means for one host."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from site_edits import SITE, Document

from pointsman.config.endpoints import own_places
from pointsman.config.model import Site
from pointsman.host.settings import host_vips

VIPS = ["203.0.113.10", "2001:db8:10::10"]


def site(*members: dict[str, Any], **service: Any) -> Site:
    """Host h1 is in one pool alone, behind one service."""
    document: Document = yaml.safe_load(SITE.read_text())
    document["pools"] = [{"name": "one", "members": [{"host": "h1"} | m for m in members]}]
    document["services"] = [{"name": "web", "addresses": VIPS, "port": 80, "pool": "one"} | service]
    return Site.model_validate(document)


@pytest.mark.parametrize(
    ("members", "forward", "vips"),
    [
        ([{}], "tunnel", VIPS),
        ([{"port": 8080}], "tunnel", []),
        ([{"addresses": ["10.1.0.77"]}], "tunnel", []),
        ([{"port": 8080}, {}], "tunnel", VIPS),
        ([{}], "l2", VIPS),
        ([{}], "nat", []),
        ([{}], "half-nat", []),
    ],
)
def test_virtual_ips_that_the_host_must_have(
    members: list[dict[str, Any]], forward: str, vips: list[str]
) -> None:
    made = site(*members, forward=forward)
    assert [str(address) for address in host_vips(made, made.hosts[0])] == vips
    assert host_vips(made, made.hosts[1]) == []


def test_endpoints_of_its_own() -> None:
    made = site({"port": 8080}, {"addresses": ["10.1.0.77"]}, {})
    places = sorted(f"{address} {port}" for address, port in own_places(made, "h1").values())
    assert places == ["10.1.0.11 8080", "10.1.0.77 0", "fd00:1::11 0", "fd00:1::11 8080"]
    assert own_places(made, "h2") == {}


@pytest.mark.parametrize(("forward", "inspect", "count"), [("nat", "none", 0), ("l2", "http", 2)])
def test_only_those_that_bundles_reach(forward: str, inspect: str, count: int) -> None:
    made = site({"port": 8080}, forward=forward, inspect=inspect)
    assert len(own_places(made, "h1")) == count
