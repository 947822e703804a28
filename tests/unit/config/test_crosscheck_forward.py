"""What ways of forwarding ask of the site."""

from __future__ import annotations

import pytest
from site_edits import Document, Edit, findings, node

from pointsman.config.crosscheck import Finding


def forwarded(way: str, **changes: object) -> Edit:
    """Another service, that goes this way to pool b: hosts h2 and h3."""
    service = {"name": "more", "addresses": ["203.0.113.10"], "port": 90, "pool": "b"}
    return lambda d: d["services"].append({**service, "forward": way, **changes})


def on_hosts_without_agent(edit: Edit) -> Edit:
    def both(document: Document) -> None:
        node(document, "hosts", 1)["agent"] = False
        document["services"] = []
        edit(document)

    return both


NAT = "unit u1 has no IPv4 address under `nat`"
GIVE = "give it one, or take another way of forwarding"


@pytest.mark.parametrize(
    ("edit", "finding"),
    [
        (forwarded("nat"), Finding(("services", 2, "forward"), NAT, GIVE)),
        (
            forwarded("nat", port=None, protocol="gre"),
            Finding(("services", 2, "forward"), "nat carries no gre", "take: half-nat, l2"),
        ),
        (
            forwarded("half-nat", port=None, protocol="ah"),
            Finding(("services", 2, "forward"), "half-nat carries no ah", "take: l2"),
        ),
        (
            forwarded("tunnel", port=None, protocol="esp"),
            Finding(("services", 2, "forward"), "tunnel carries no esp", "take: half-nat, l2"),
        ),
        (
            on_hosts_without_agent(forwarded("tunnel")),
            Finding(
                ("services", 0, "pool"),
                "host h2 of pool b has no agent, and the tunnel ends there",
                "run `pointsman host` there, or take a way of forwarding that needs none, "
                "and no `inspect`",
            ),
        ),
        (
            on_hosts_without_agent(forwarded("half-nat", inspect="http")),
            Finding(
                ("services", 0, "pool"),
                "host h2 of pool b has no agent, and it uploads connections",
                "run `pointsman host` there, or take a way of forwarding that needs none, "
                "and no `inspect`",
            ),
        ),
    ],
)
def test_finding(edit: Edit, finding: Finding) -> None:
    assert finding in findings(edit)


@pytest.mark.parametrize("way", ["half-nat", "l2"])
def test_hosts_without_agent_take_other_ways(way: str) -> None:
    assert findings(on_hosts_without_agent(forwarded(way))) == []


def test_layer_2_to_an_endpoint_of_its_own() -> None:
    def edit(document: Document) -> None:
        node(document, "pools", 1)["members"][0]["port"] = 8080
        forwarded("l2")(document)

    (finding,) = findings(edit)
    assert finding.path == ("services", 2, "forward")
    assert finding.what == ("l2 rewrites nothing, and host h2 of pool b has an endpoint of its own")


def test_units_that_can_translate() -> None:
    def edit(document: Document) -> None:
        for number, unit in enumerate(document["units"]):
            unit["nat"] = [f"10.1.3.{number + 1}"]
        forwarded("nat")(document)

    assert findings(edit) == []


def test_nat_addresses_belong_to_nobody_else() -> None:
    (finding,) = findings(lambda d: node(d, "units", 0).update(nat=["10.1.0.11"]))
    assert finding == Finding(
        ("hosts", 0, "addresses"),
        "10.1.0.11 belongs to NAT of unit u1 already",
        "give host h1 its own",
    )


def test_a_range_of_ports_that_ends_before_it_begins() -> None:
    (finding,) = findings(
        lambda d: node(d, "units", 0).update(nat_ports={"first": 5000, "last": 4000})
    )
    assert finding.path == ("units", 0, "nat_ports")
