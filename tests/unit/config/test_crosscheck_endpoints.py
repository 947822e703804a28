"""Endpoints of their own in the site file."""

from __future__ import annotations

from typing import Any

import pytest
from site_edits import Document, findings, node, the_only

from pointsman.config import crosscheck_endpoints
from pointsman.config.model import Address

MEMBERS = ("pools", 0, "members")


def members(document: Document, *given: dict[str, Any]) -> None:
    node(document, "pools", 0)["members"] = [{"host": "h1"} | member for member in given]


@pytest.mark.parametrize(
    "given",
    [
        [{"port": 8080}, {"port": 8081}],
        [{"port": 8080}, {"port": 8080, "addresses": ["10.1.0.77", "fd00:1::77"]}],
        [{"addresses": ["10.1.0.77", "fd00:1::77"]}, {"addresses": ["10.1.0.78", "fd00:1::78"]}],
        [{}, {"port": 8080}],
        [{"port": 8080, "addresses": ["10.1.0.11", "fd00:1::11"]}],
    ],
)
def test_several_on_a_host(given: list[dict[str, Any]]) -> None:
    assert findings(lambda document: members(document, *given)) == []


def test_the_same_place_twice_however_it_is_said() -> None:
    given: list[dict[str, Any]] = [
        {"port": 8080},
        {"port": 8080, "addresses": ["10.1.0.11", "fd00:1::77"]},
    ]
    found = the_only(findings(lambda document: members(document, *given)))
    assert found.path == (*MEMBERS, 1)
    assert found.what == "endpoint 10.1.0.11 port 8080 is there twice"


@pytest.mark.parametrize(
    ("address", "owner"),
    [
        ("10.1.0.12", "host h2"),
        ("10.1.0.1", "unit u1"),
        ("fd00:1::1:2", "unit u2"),
        ("203.0.113.10", "service web"),
    ],
)
def test_an_address_of_somebody_else(address: str, owner: str) -> None:
    found = findings(lambda document: members(document, {"addresses": [address]}))
    assert (*MEMBERS, 0, "addresses") in [one.path for one in found]
    assert any(one.what.startswith(f"{address} belongs to ") for one in found)
    if not owner.startswith("service"):
        assert any(one.what == f"{address} belongs to {owner}" for one in found)


def test_an_address_of_no_machine() -> None:
    found = findings(lambda document: members(document, {"addresses": ["127.0.0.5"]}))
    assert "127.0.0.5 is no address of one machine" in [one.what for one in found]


def test_two_addresses_of_one_family() -> None:
    given = {"addresses": ["10.1.0.77", "10.1.0.78"]}
    found = the_only(findings(lambda document: members(document, given)))
    assert found.what == "two IPv4 addresses"


def test_two_places_with_one_id(monkeypatch: pytest.MonkeyPatch) -> None:
    def same(address: Address, port: int) -> bytes:
        return bytes([address.version])

    monkeypatch.setattr(crosscheck_endpoints, "place_id", same)
    found = findings(lambda document: members(document, {"port": 8080}, {"port": 8081}))
    assert found[0].path == (*MEMBERS, 1)
    assert found[0].what == (
        "endpoint 10.1.0.11 port 8081 and endpoint 10.1.0.11 port 8080 have the same id"
    )
