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


def rule(**conditions: Any) -> Edit:
    """Replaces the first rule of service web."""

    def edit(document: Document) -> None:
        document["services"][0]["rules"][0] = {**conditions, "pool": "a"}

    return edit


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
            "add `inspect: http`",
        ),
    ],
)
def test_wrong_rule(edit: Edit, path: tuple[str | int, ...], what: str, mend: str) -> None:
    assert the_only(findings(edit)) == Finding(path, what, mend)


@pytest.mark.parametrize(
    ("key", "fits", "too_long"),
    [
        ("path", "/" + 61 * "é", "/" + 62 * "é"),
        ("path_prefix", "/" + 61 * "é", "/" + 62 * "é"),
        ("host", 62 * "é", 63 * "é"),
        ("host", 41 * "İ", 42 * "İ"),  # lower case takes three bytes of what takes two
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


def test_1024_rules_and_no_more(tmp_path: Path) -> None:
    document: Document = yaml.safe_load(SITE.read_text())
    document["services"][0]["rules"] = [{"path": f"/{i}", "pool": "a"} for i in range(1024)]
    path = tmp_path / "site.yaml"
    path.write_text(yaml.safe_dump(document))
    assert len(load_site(path).services[0].rules) == 1024
    document["services"][0]["rules"].append({"path": "/", "pool": "a"})
    path.write_text(yaml.safe_dump(document))
    with pytest.raises(SiteError, match=r"services\[0\].rules: .* at most 1024 items"):
        load_site(path)
