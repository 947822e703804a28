"""The plan of a lab, from the site alone."""

from __future__ import annotations

from ipaddress import ip_address, ip_interface, ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml

from pointsman.config.model import Site
from pointsman.errors import SiteError
from pointsman.lab.plan import FarNetwork, Kind, Plan, Route, make_plan

DEMO = Path(__file__).parents[3] / "examples" / "demo.yaml"


@pytest.fixture
def demo() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(DEMO.read_text())
    return document


def plan_of(document: dict[str, Any]) -> Plan:
    return make_plan(Site.model_validate(document))


def test_every_unit_host_and_client_is_a_node(demo: dict[str, Any]) -> None:
    kinds = {node.name: node.kind for node in plan_of(demo).nodes}
    assert kinds == {
        **dict.fromkeys(["u1", "u2"], Kind.UNIT),
        **dict.fromkeys(["h1", "h2", "h3"], Kind.HOST),
        **dict.fromkeys(["c1", "c2"], Kind.CLIENT),
    }


def test_bystander_is_on_the_lan(demo: dict[str, Any]) -> None:
    demo["lab"]["bystanders"] = [{"name": "proxy", "addresses": ["10.1.0.99"]}]
    node = plan_of(demo).nodes[-3]
    assert (node.name, node.kind) == ("proxy", Kind.BYSTANDER)
    assert node.addresses == (ip_interface("10.1.0.99/16"),)
    assert node.gateways == (ip_address("10.1.255.254"),)
    assert node.router_addresses == ()


def test_router_takes_the_last_addresses_of_the_lan(demo: dict[str, Any]) -> None:
    assert plan_of(demo).lan_addresses == (
        ip_interface("10.1.255.254/16"),
        ip_interface("fd00:1::ffff/64"),
    )


def test_host_answers_through_the_router(demo: dict[str, Any]) -> None:
    host = next(node for node in plan_of(demo).nodes if node.name == "h1")
    assert host.addresses == (ip_interface("10.1.0.11/16"), ip_interface("fd00:1::11/64"))
    assert host.gateways == (ip_address("10.1.255.254"), ip_address("fd00:1::ffff"))


def test_host_of_one_family_gets_no_gateway_of_the_other(demo: dict[str, Any]) -> None:
    demo["hosts"][0]["addresses"] = ["10.1.0.11"]
    host = next(node for node in plan_of(demo).nodes if node.name == "h1")
    assert host.gateways == (ip_address("10.1.255.254"),)


def test_router_takes_the_first_address_of_a_clients_networks(demo: dict[str, Any]) -> None:
    client = next(node for node in plan_of(demo).nodes if node.name == "c1")
    assert client.router_addresses == (
        ip_interface("198.51.100.1/24"),
        ip_interface("2001:db8:1::1/64"),
    )
    assert client.gateways == (ip_address("198.51.100.1"), ip_address("2001:db8:1::1"))


def test_client_with_more_addresses_has_one_default_route(demo: dict[str, Any]) -> None:
    demo["lab"]["clients"][0]["addresses"] = [
        "198.51.100.2/24",
        "198.51.100.3/24",
        "192.168.0.2/24",
    ]
    client = next(node for node in plan_of(demo).nodes if node.name == "c1")
    assert client.router_addresses == (
        ip_interface("198.51.100.1/24"),
        ip_interface("192.168.0.1/24"),
    )
    assert client.gateways == (ip_address("198.51.100.1"),)


def test_each_virtual_address_is_routed_once_over_all_units(demo: dict[str, Any]) -> None:
    assert plan_of(demo).routes == (
        Route(ip_address("203.0.113.10"), (ip_address("10.1.0.1"), ip_address("10.1.0.2"))),
        Route(ip_address("2001:db8:10::10"), (ip_address("fd00:1::1"), ip_address("fd00:1::2"))),
    )


def test_second_router_stands_before_its_client(demo: dict[str, Any]) -> None:
    demo["lab"]["routers"] = [{"name": "r1", "node": "c2", "mtu": 1280, "delay_ms": 10}]
    plan = plan_of(demo)
    router, client = plan.nodes[-2:]
    assert (router.name, router.kind, router.behind) == ("r1", Kind.ROUTER, "router")
    assert (router.mtu, router.delay_ms, router.forwards) == (1280, 10, True)
    assert router.gateways == (ip_address("169.254.0.1"), ip_address("fe80::1"))
    assert (client.name, client.behind, client.mtu, client.delay_ms) == ("c2", "r1", 1500, 0)
    assert client.gateways == (ip_address("192.0.2.1"), ip_address("2001:db8:2::1"))
    assert plan.far_networks == (
        FarNetwork(ip_network("192.0.2.0/24"), ip_address("169.254.0.2"), "r1"),
        FarNetwork(ip_network("2001:db8:2::/64"), ip_address("fe80::2"), "r1"),
    )
    assert list(plan.at_ports("r1")) == list(client.router_addresses)


def test_host_behind_a_second_router_is_in_a_network_of_its_own(demo: dict[str, Any]) -> None:
    put_h3_behind_a_router(demo)
    plan = plan_of(demo)
    host = plan.node("h3")
    assert not host.on_lan
    assert host.addresses == (ip_interface("10.9.0.13/24"), ip_interface("fd00:9::13/64"))
    assert host.gateways == (ip_address("10.9.0.1"), ip_address("fd00:9::1"))
    assert [far.network for far in plan.far_networks] == [
        ip_network("10.9.0.0/24"),
        ip_network("fd00:9::/64"),
    ]


def put_h3_behind_a_router(document: dict[str, Any]) -> None:
    document["hosts"][2]["addresses"] = ["10.9.0.13", "fd00:9::13"]
    network = {"ipv4": "10.9.0.0/24", "ipv6": "fd00:9::/64"}
    document["lab"]["routers"] = [{"name": "r1", "node": "h3", "network": network}]


def test_host_with_a_unit_as_gateway_and_the_unit_that_forwards(demo: dict[str, Any]) -> None:
    demo["lab"]["gateways"] = {"h1": "u2"}
    plan = plan_of(demo)
    assert plan.node("h1").gateways == (ip_address("10.1.0.2"), ip_address("fd00:1::2"))
    assert plan.node("h2").gateways == (ip_address("10.1.255.254"), ip_address("fd00:1::ffff"))
    assert [node.name for node in plan.nodes if node.forwards] == ["u2"]


def set_lab_missing(document: dict[str, Any]) -> None:
    del document["lab"]


def set_no_unit_of_the_family(document: dict[str, Any]) -> None:
    for unit in document["units"]:
        unit["addresses"] = unit["addresses"][:1]


def set_client_on_the_routers_address(document: dict[str, Any]) -> None:
    document["lab"]["clients"][0]["addresses"] = ["198.51.100.1/24"]


def set_client_without_room(document: dict[str, Any]) -> None:
    document["lab"]["clients"][0]["addresses"] = ["198.51.100.1/32"]


def set_clients_in_one_network(document: dict[str, Any]) -> None:
    document["lab"]["clients"][1]["addresses"] = ["198.51.100.3/24"]


def set_address_twice(document: dict[str, Any]) -> None:
    document["lab"]["bystanders"] = [{"name": "proxy", "addresses": ["10.1.0.11"]}]


def set_host_on_the_routers_address(document: dict[str, Any]) -> None:
    document["hosts"][1]["addresses"] = ["10.1.255.254"]


def set_client_in_a_far_hosts_network(document: dict[str, Any]) -> None:
    put_h3_behind_a_router(document)
    document["lab"]["clients"][1]["addresses"] = ["10.9.0.77/24"]


def set_reserved_name(document: dict[str, Any]) -> None:
    document["lab"]["clients"][1]["name"] = "router"


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (set_lab_missing, "lab: missing"),
        (set_no_unit_of_the_family, "2001:db8:10::10 of a service: no unit has an IPv6"),
        (set_client_on_the_routers_address, "client c1: address 198.51.100.1/24"),
        (set_client_without_room, "client c1: address 198.51.100.1/32"),
        (set_clients_in_one_network, "client c2: network 198.51.100.0/24 overlaps that of c1"),
        (set_address_twice, "address 10.1.0.11"),
        (set_host_on_the_routers_address, "address 10.1.255.254"),
        (set_client_in_a_far_hosts_network, "client c2: network 10.9.0.0/24 overlaps that of h3"),
        (set_reserved_name, "node router"),
    ],
)
def test_what_makes_no_network_is_named(demo: dict[str, Any], spoil: Any, named: str) -> None:
    spoil(demo)
    with pytest.raises(SiteError) as caught:
        plan_of(demo)
    assert named in caught.value.what
