"""What is wrong with a lab's second routers and gateways."""

from __future__ import annotations

import pytest
from site_edits import Document, Edit, findings, node, the_only

FAR = {"ipv4": "10.9.0.0/24", "ipv6": "fd00:9::/64"}


def put_h3_behind_a_router(document: Document, **router: object) -> None:
    node(document, "hosts", 2).update(addresses=["10.9.0.13", "fd00:9::13"])
    entry = {"name": "r1", "node": "h3", "network": FAR} | router
    document["lab"]["routers"] = [entry]


def test_host_behind_a_router_may_be_outside_the_labs_network() -> None:
    assert findings(put_h3_behind_a_router) == []


def set_routers(*entries: Document) -> Edit:
    return lambda document: document["lab"].update(routers=list(entries))


def set_gateways(gateways: dict[str, str]) -> Edit:
    return lambda document: document["lab"].update(gateways=gateways)


ROUTER = ("lab", "routers", 0)


@pytest.mark.parametrize(
    ("edit", "path", "what", "mend"),
    [
        (
            set_routers({"name": "r1", "node": "c9"}),
            (*ROUTER, "node"),
            "no client or host is named c9",
            "name one of: c1, c2, h1, h2, h3",
        ),
        (
            set_routers({"name": "r1", "node": "c1"}, {"name": "r2", "node": "c1"}),
            ("lab", "routers", 1, "node"),
            "c1 is behind router r1 already",
            "name another node, or take one router out",
        ),
        (
            set_routers({"name": "u1", "node": "c1"}),
            (*ROUTER, "name"),
            "node u1 is there twice",
            "give each its own name",
        ),
        (
            set_routers({"name": "r1", "node": "c1", "network": FAR}),
            (*ROUTER, "network"),
            "client c1 has networks by its addresses",
            "take it out",
        ),
        (
            lambda d: put_h3_behind_a_router(d, network={"ipv4": "10.9.0.0/24"}),
            ("hosts", 2, "addresses"),
            "router r1 has no network for fd00:9::13",
            "add it to lab.routers, network.ipv6",
        ),
        (
            lambda d: put_h3_behind_a_router(d, network=FAR | {"ipv4": "10.9.1.0/24"}),
            ("hosts", 2, "addresses"),
            "10.9.0.13 is outside router r1's network",
            "widen it in lab.routers, network.ipv4",
        ),
        (
            lambda d: node(d, "units", 0).update(nat=["10.2.0.9"]),
            ("units", 0, "nat"),
            "10.2.0.9 is outside the lab's network",
            "widen `lab.network`",
        ),
        (
            lambda d: node(d, "pools", 1).update(
                members=[{"host": "h2"}, {"host": "h3", "addresses": ["10.2.0.9"]}]
            ),
            ("pools", 1, "members", 1, "addresses"),
            "10.2.0.9 is outside the network of host h3",
            "take one of that network, or widen it",
        ),
        (
            lambda d: d["lab"].update(applications={"dns": "dns"}),
            ("lab", "applications", "dns"),
            "no service is named dns",
            "name one of: plain, web",
        ),
        (
            set_gateways({"c1": "u1"}),
            ("lab", "gateways", "c1"),
            "no host of the lab's network is named c1",
            "name one of: h1, h2, h3",
        ),
        (
            set_gateways({"h1": "u3"}),
            ("lab", "gateways", "h1"),
            "no unit is named u3",
            "name one of: u1, u2",
        ),
    ],
)
def test_what_is_wrong_is_found(
    edit: Edit, path: tuple[str | int, ...], what: str, mend: str
) -> None:
    finding = the_only(findings(edit))
    assert (finding.path, finding.what, finding.mend) == (path, what, mend)


def test_far_network_that_overlaps_the_labs() -> None:
    def edit(document: Document) -> None:
        network = {"ipv4": "10.0.0.0/8", "ipv6": "fd00:9::/64"}
        put_h3_behind_a_router(document, network=network)

    finding = the_only(findings(edit))
    assert finding.path == (*ROUTER, "network")
    assert finding.what == "10.0.0.0/8 overlaps the lab's network"
