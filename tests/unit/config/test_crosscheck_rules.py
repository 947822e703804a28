"""What is wrong with a service's rules."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from site_edits import SITE, WEB, Document, Edit, findings, node, the_only

from pointsman.config.crosscheck import Finding
from pointsman.config.load import load_site
from pointsman.errors import SiteError

RULE = (*WEB, "rules", 0)


def rule(inspect: str = "http", **conditions: Any) -> Edit:
    """Replaces the rules of service web."""

    def edit(document: Document) -> None:
        document["services"][0]["inspect"] = inspect
        document["services"][0]["rules"] = [{**conditions, "pool": "a"}]

    return edit


def name(key: str, name: str) -> Edit:
    return rule("tls" if key == "sni" else "http", **{key: name})


@pytest.mark.parametrize(
    ("edit", "path", "what", "mend"),
    [
        (rule(), RULE, "the rule asks nothing", "add a condition, or use the default pool"),
        (
            rule(header={"X Y": "1"}),
            (*RULE, "header"),
            "'X Y' is no header name",
            "use letters, digits and -",
        ),
        (
            rule(header={"Host": "a"}),
            (*RULE, "header"),
            "Host has a condition of its own",
            "use `host:`",
        ),
        (
            rule(header={"COOKIE": "a=b"}),
            (*RULE, "header"),
            "COOKIE has a condition of its own",
            "use `cookie:`",
        ),
        (rule(path="a"), (*RULE, "path"), "'a' begins with no /", "begin it with /"),
        (rule(path_prefix="a"), (*RULE, "path_prefix"), "'a' begins with no /", "begin it with /"),
        (
            lambda d: node(d, "services", 0).update(inspect="none"),
            (*WEB, "rules"),
            "service web has rules, but looks at nothing",
            "add `inspect: http`, `tls` or `rdp`",
        ),
        (
            lambda d: node(d, "services", 1).update(proxy_protocol=True),
            ("services", 1, "proxy_protocol"),
            "service plain looks at nothing, so not behind a PROXY header either",
            "take `proxy_protocol` away; the application gets the header as it comes",
        ),
        (
            lambda d: node(d, "services", 0).update(protocol="udp"),
            (*WEB, "inspect"),
            "`inspect: http` looks at TCP alone",
            "take it away, or make what is not TCP a service of its own",
        ),
        (
            rule(header_prefix={"cookie": "a"}),
            (*RULE, "header_prefix"),
            "cookie has a condition of its own",
            "use `cookie:`",
        ),
        (
            rule(path="/a b"),
            (*RULE, "path"),
            "'/a b' has what no path has",
            "write it as clients send it: %20, and what follows a ? as `query`",
        ),
        (
            rule(path_prefix="/a?b=1"),
            (*RULE, "path_prefix"),
            "'/a?b=1' has what no path has",
            "write it as clients send it: %20, and what follows a ? as `query`",
        ),
        (
            rule(query={"a=b": "c"}),
            (*RULE, "query"),
            "a=b=c is no one parameter",
            "name one, written as clients send it: %20, %26",
        ),
        (
            rule(query={"a": "b&c"}),
            (*RULE, "query"),
            "a=b&c is no one parameter",
            "name one, written as clients send it: %20, %26",
        ),
    ],
)
def test_wrong_rule(edit: Edit, path: tuple[str | int, ...], what: str, mend: str) -> None:
    assert the_only(findings(edit)) == Finding(path, what, mend)


@pytest.mark.parametrize(
    ("inspect", "conditions"),
    [
        ("http", {"sni": "a"}),
        ("http", {"alpn": "h2"}),
        ("http", {"mstshash": "a"}),
        ("tls", {"host": "a"}),
        ("tls", {"query": {"a": "b"}}),
        ("tls", {"mstshash": "a"}),
        ("rdp", {"sni": "a"}),
        ("rdp", {"header_prefix": {"a": "b"}}),
    ],
)
def test_a_condition_must_suit_what_the_service_looks_at(
    inspect: str, conditions: dict[str, Any]
) -> None:
    finding = the_only(findings(rule(inspect, **conditions)))
    (key,) = conditions
    assert finding.path == (*RULE, key)
    assert finding.what == f"`{key}` is nothing that `inspect: {inspect}` sees"
    assert f"`{key}` needs `inspect: " in finding.mend


@pytest.mark.parametrize(
    ("inspect", "conditions"),
    [
        ("tls", {"sni": "*.example.org", "alpn": "h2"}),
        ("tls", {"sni": "Example.org"}),
        ("rdp", {"mstshash": "DOMAIN\\user"}),
        ("http", {"host": "*.example.org", "query": {"a": "b=c"}}),
        ("http", {"host": "[2001:db8::1]", "header_prefix": {"accept-language": ""}}),
        ("http", {"header": {"a": "b"}, "header_prefix": {"c": "d"}}),
    ],
)
def test_conditions_that_suit(inspect: str, conditions: dict[str, Any]) -> None:
    assert findings(rule(inspect, **conditions)) == []


@pytest.mark.parametrize("key", ["host", "sni"])
@pytest.mark.parametrize(
    "wrong",
    ["*", "*.", "a.*", "a*.example", "*a.example", "*.*.example", "*..a", ".a", "a:80", "a b"],
)
def test_wildcards_and_ports_in_wrong_places(key: str, wrong: str) -> None:
    finding = the_only(findings(name(key, wrong)))
    assert finding.path == (*RULE, key)
    ends = f"{wrong!r} ends with a dot"
    assert finding.what == (ends if wrong.endswith(".") else f"{wrong!r} is no name of a host")


@pytest.mark.parametrize("key", ["host", "sni"])
def test_names_as_clients_send_them(key: str) -> None:
    assert the_only(findings(name(key, "bücher.example"))).mend == "write it as clients do: xn--…"
    assert the_only(findings(name(key, "a.example."))).mend == "take the dot away"


def test_a_server_name_is_no_address() -> None:
    assert the_only(findings(name("sni", "[2001:db8::1]"))).path == (*RULE, "sni")


@pytest.mark.parametrize(
    ("key", "fits", "too_long"),
    [
        ("path", "/" + 61 * "é", "/" + 62 * "é"),
        ("path_prefix", "/" + 61 * "é", "/" + 62 * "é"),
        ("query", {"name": 119 * "v"}, {"name": 120 * "v"}),
        ("header_prefix", {"X-Name": 117 * "v"}, {"X-Name": 118 * "v"}),
        ("method", 62 * "é", 63 * "é"),
        ("header", {"X-Name": 117 * "v"}, {"X-Name": 118 * "v"}),
        ("cookie", {"name": 119 * "v"}, {"name": 120 * "v"}),
    ],
)
def test_condition_fits_what_the_programs_compare(key: str, fits: Any, too_long: Any) -> None:
    assert findings(rule(**{key: fits})) == []
    finding = the_only(findings(rule(**{key: too_long})))
    assert finding.path == (*RULE, key)
    assert finding.what == "longer than 124 bytes"
    assert finding.mend


def test_4096_rules_and_no_more(tmp_path: Path) -> None:
    document: Document = yaml.safe_load(SITE.read_text())
    document["services"][0]["rules"] = [{"path": f"/{i}", "pool": "a"} for i in range(4096)]
    path = tmp_path / "site.yaml"
    path.write_text(yaml.safe_dump(document))
    assert len(load_site(path).services[0].rules) == 4096
    document["services"][0]["rules"].append({"path": "/", "pool": "a"})
    path.write_text(yaml.safe_dump(document))
    with pytest.raises(SiteError, match=r"services\[0\].rules: .* at most 4096 items"):
        load_site(path)
