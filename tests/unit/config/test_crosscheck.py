"""What is wrong with a site whose parts are each well formed."""

from __future__ import annotations

from pathlib import Path

import pytest
from site_edits import SITE, WEB, Document, Edit, findings, node, the_only

from pointsman.config.crosscheck import MAX_MEMBERS, Finding
from pointsman.config.crosscheck_rules import MATCH_TEXT
from pointsman.config.load import load_site
from pointsman.datapath import abi
from pointsman.errors import SiteError


def test_site_has_nothing_wrong() -> None:
    assert findings(lambda _: None) == []


@pytest.mark.parametrize(
    ("edit", "path", "what"),
    [
        (lambda d: node(d, "units", 1).update(name="u1"), ("units", 1), "node u1"),
        (lambda d: node(d, "hosts", 2).update(name="u2"), ("hosts", 2), "node u2"),
        (
            lambda d: node(d["lab"], "clients", 0).update(name="u1"),
            ("lab", "clients", 0),
            "node u1",
        ),
        (
            lambda d: d["lab"].update(bystanders=[{"name": "c1", "addresses": ["10.1.0.9"]}]),
            ("lab", "bystanders", 0),
            "node c1",
        ),
        (lambda d: d["pools"].append({**node(d, "pools", 0)}), ("pools", 3), "pool a"),
        (lambda d: node(d, "services", 1).update(name="web"), ("services", 1), "service web"),
        (
            lambda d: node(d, "pools", 0).update(members=[{"host": "h1"}, {"host": "h1"}]),
            ("pools", 0, "members", 1),
            "endpoint h1",
        ),
    ],
)
def test_name_given_twice(edit: Edit, path: tuple[str | int, ...], what: str) -> None:
    first = findings(edit)[0]
    assert first.path[: len(path)] == path
    assert first.what == f"{what} is there twice"
    assert first.mend == "give each its own name"


@pytest.mark.parametrize(
    ("kind", "key", "address"),
    [
        ("services", "addresses", "0.0.0.0"),
        ("services", "addresses", "127.0.0.1"),
        ("services", "addresses", "224.0.0.1"),
        ("services", "addresses", "255.255.255.255"),
        ("services", "addresses", "::"),
        ("services", "addresses", "::1"),
        ("services", "addresses", "ff02::1"),
        ("services", "addresses", "::ffff:c000:201"),
        ("hosts", "addresses", "fe80::1"),
        ("hosts", "addresses", "fe80::1%e0"),
        ("units", "addresses", "169.254.0.1"),
        ("units", "tunnel", "240.0.0.1"),
    ],
)
def test_address_that_no_router_forwards(kind: str, key: str, address: str) -> None:
    place = 1 if ":" in address else 0
    first = findings(lambda d: node(d, kind, 0)[key].__setitem__(place, address))[0]
    what = f"{address} is no address of one machine"
    assert first == Finding((kind, 0, key), what, "take one that routers forward")


def test_pools_and_hosts_may_share_a_name() -> None:
    def edit(document: Document) -> None:
        document["pools"][0]["name"] = "h1"
        document["services"][0]["rules"][0]["pool"] = "h1"

    assert findings(edit) == []


def test_pool_whose_weights_are_all_0_is_drained() -> None:
    assert findings(lambda d: node(d, "pools", 0)["members"][0].update(weight=0)) == []


@pytest.mark.parametrize(
    ("kind", "key", "addresses"),
    [
        ("units", "addresses", ["10.1.0.1", "10.1.0.3"]),
        ("units", "tunnel", ["fd00:1::1:1", "fd00:1::1:3"]),
        ("hosts", "addresses", ["10.1.0.11", "10.1.0.19"]),
    ],
)
def test_two_addresses_of_a_family(kind: str, key: str, addresses: list[str]) -> None:
    family = "IPv6" if ":" in addresses[0] else "IPv4"
    first = findings(lambda d: node(d, kind, 0).update({key: addresses}))[0]
    assert first == Finding((kind, 0, key), f"two {family} addresses", "keep one of each family")


@pytest.mark.parametrize(
    ("edit", "finding"),
    [
        (
            lambda d: node(d, "units", 0)["tunnel"].__setitem__(0, "10.1.0.2"),
            Finding(
                ("units", 1, "addresses"),
                "10.1.0.2 belongs to the tunnel of unit u1 already",
                "give unit u2 its own",
            ),
        ),
        (
            lambda d: node(d, "units", 0)["tunnel"].__setitem__(0, "10.1.0.11"),
            Finding(
                ("hosts", 0, "addresses"),
                "10.1.0.11 belongs to the tunnel of unit u1 already",
                "give host h1 its own",
            ),
        ),
        (
            lambda d: node(d, "units", 1)["tunnel"].__setitem__(0, "10.1.1.1"),
            Finding(
                ("units", 1, "tunnel"),
                "10.1.1.1 belongs to the tunnel of unit u1 already",
                "give the tunnel of unit u2 its own",
            ),
        ),
        (
            lambda d: node(d, "services", 1)["addresses"].__setitem__(0, "10.1.1.2"),
            Finding(
                ("services", 1, "addresses"),
                "10.1.1.2 belongs to the tunnel of unit u2",
                "take an address for services alone",
            ),
        ),
        (
            lambda d: node(d, "services", 1)["addresses"].__setitem__(0, "10.1.0.13"),
            Finding(
                ("services", 1, "addresses"),
                "10.1.0.13 belongs to host h3",
                "take an address for services alone",
            ),
        ),
        (
            lambda d: node(d, "services", 1).update(port=80, addresses=["203.0.113.10"]),
            Finding(
                ("services", 1, "addresses"),
                "203.0.113.10 tcp/80 is service web already",
                "give one of them another address or port",
            ),
        ),
        (
            lambda d: node(d, "services", 1)["addresses"].append("203.0.113.10"),
            Finding(
                ("services", 1, "addresses"),
                "203.0.113.10 tcp/81 is service plain already",
                "give one of them another address or port",
            ),
        ),
    ],
)
def test_address_with_two_meanings(edit: Edit, finding: Finding) -> None:
    assert the_only(findings(edit)) == finding


@pytest.mark.parametrize(
    ("edit", "path", "what", "mend"),
    [
        (
            lambda d: node(d, "services", 1).update(pool="al"),
            ("services", 1, "pool"),
            "no pool is named al",
            "name one of: a, all, b",
        ),
        (
            lambda d: node(d, "services", 0)["rules"][1].update(pool="c"),
            (*WEB, "rules", 1, "pool"),
            "no pool is named c",
            "name one of: a, all, b",
        ),
        (
            lambda d: node(d, "pools", 1)["members"][1].update(host="h4"),
            ("pools", 1, "members", 1, "host"),
            "no host is named h4",
            "name one of: h1, h2, h3",
        ),
    ],
)
def test_unknown_reference(edit: Edit, path: tuple[str | int, ...], what: str, mend: str) -> None:
    assert the_only(findings(edit)) == Finding(path, what, mend)


GIVE = "give it one, or take that family's address from the service"


@pytest.mark.parametrize(
    ("edit", "what"),
    [
        (
            lambda d: node(d, "hosts", 1).update(addresses=["10.1.0.12"]),
            "host h2 of pool b has no IPv6 address",
        ),
        (
            lambda d: node(d, "hosts", 0).update(addresses=["fd00:1::11"]),
            "host h1 of pool a has no IPv4 address",
        ),
        (
            lambda d: node(d, "units", 1).update(tunnel=["10.1.1.2"]),
            "unit u2 has no IPv6 address under `tunnel`",
        ),
        (
            lambda d: node(d, "units", 0).update(addresses=["fd00:1::1"]),
            "unit u1 has no IPv4 address under `addresses`",
        ),
    ],
)
def test_node_without_the_family_of_a_vip(edit: Edit, what: str) -> None:
    assert findings(edit)[0] == Finding((*WEB, "addresses"), what, GIVE)


def test_family_that_no_service_has_is_needed_nowhere() -> None:
    def edit(document: Document) -> None:
        for service in document["services"]:
            service["addresses"] = ["203.0.113.10"]
        for entry in [*document["units"], *document["hosts"]]:
            entry["addresses"] = entry["addresses"][:1]
        for unit in document["units"]:
            unit["tunnel"] = unit["tunnel"][:1]

    assert findings(edit) == []


def test_limits_are_the_packet_programs() -> None:
    assert MATCH_TEXT == abi.MATCH_TEXT


def test_a_pool_has_so_many_members_and_no_more() -> None:
    names = [f"g{i}" for i in range(MAX_MEMBERS + 1)]

    def edit(document: Document) -> None:
        del document["lab"]
        document["services"] = [{**document["services"][1], "addresses": ["203.0.113.10"]}]
        document["pools"] = [{"name": "all", "members": [{"host": name} for name in names]}]
        document["hosts"] = [
            {"name": name, "interface": "e0", "addresses": [f"10.9.{i >> 8}.{i & 255}"]}
            for i, name in enumerate(names)
        ]

    def edit_and_take_one_out(document: Document) -> None:
        edit(document)
        del document["pools"][0]["members"][7]

    assert the_only(findings(edit)) == Finding(
        ("pools", 0, "members"),
        "more than 16384 members",
        "make it several pools",
    )
    assert findings(edit_and_take_one_out) == []


@pytest.mark.parametrize(
    ("edit", "path", "what", "mend"),
    [
        (
            lambda d: node(d, "hosts", 0)["addresses"].__setitem__(0, "10.2.0.11"),
            ("hosts", 0, "addresses"),
            "10.2.0.11 is outside the lab's network",
            "widen `lab.network`",
        ),
        (
            lambda d: node(d, "units", 0)["tunnel"].__setitem__(0, "10.2.0.1"),
            ("units", 0, "tunnel"),
            "10.2.0.1 is outside the lab's network",
            "widen `lab.network`",
        ),
        (
            lambda d: d["lab"].update(bystanders=[{"name": "proxy", "addresses": ["10.2.0.9"]}]),
            ("lab", "bystanders", 0, "addresses"),
            "10.2.0.9 is outside the lab's network",
            "widen `lab.network`",
        ),
        (
            lambda d: d["lab"]["clients"][1].update(addresses=["10.1.7.2/24"]),
            ("lab", "clients", 1, "addresses"),
            "10.1.7.2/24 overlaps the lab's network",
            "give clients networks of their own",
        ),
        (
            lambda d: d["lab"]["clients"][1].update(addresses=["10.9.0.2/8"]),
            ("lab", "clients", 1, "addresses"),
            "10.9.0.2/8 overlaps the lab's network",
            "give clients networks of their own",
        ),
    ],
)
def test_lab(edit: Edit, path: tuple[str | int, ...], what: str, mend: str) -> None:
    assert the_only(findings(edit)) == Finding(path, what, mend)


def test_lab_without_a_network_of_a_family() -> None:
    first = findings(lambda d: d["lab"]["network"].update(ipv6=None))[0]
    assert first == Finding(
        ("units", 0, "addresses"), "the lab has no network for fd00:1::1", "add lab.network.ipv6"
    )


def test_site_without_a_lab_may_have_any_addresses() -> None:
    def edit(document: Document) -> None:
        del document["lab"]
        document["hosts"][0]["addresses"][0] = "192.0.2.77"

    assert findings(edit) == []


def test_several_findings_are_counted_and_the_first_has_its_line(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(
        SITE.read_text().replace("pool: b}", "pool: x}").replace("host: h3", "host: h9")
    )
    with pytest.raises(SiteError) as caught:
        load_site(path)
    assert caught.value.what == f"{path}:16: pools[1].members[1].host: no host is named h9"
    assert caught.value.mend == "name one of: h1, h2, h3 (and 2 more)"


def test_unit_without_a_forwarder() -> None:
    found = the_only(findings(lambda d: node(d, "units", 0).update(roles=["classifier"])))
    assert found == Finding(
        ("units", 0, "roles"),
        "unit u1 has no forwarder, and packets come to forwarders",
        "add `forwarder`",
    )
