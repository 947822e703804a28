"""What a site file gets wrong is told with file, line, key and mend."""

from __future__ import annotations

from pathlib import Path

import pytest
from site_edits import SITE

from pointsman.config.load import load_site
from pointsman.config.model import Inspect
from pointsman.errors import SiteError

EXAMPLES = Path(__file__).parents[3] / "examples"
SERVICE_KEYS = (
    "name, addresses, protocol, port, listen, forward, inspect, quic, proxy_protocol, rules, pool"
)


def refusal(tmp_path: Path, text: str | bytes) -> tuple[str, str]:
    """What the loader says of a file with this content: what is wrong, and the mend."""
    path = tmp_path / "site.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(SiteError) as caught:
        load_site(path)
    return caught.value.what.removeprefix(f"{path}"), caught.value.mend


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_example_loads(path: Path) -> None:
    assert load_site(path).services


def test_site_loads() -> None:
    site = load_site(SITE)
    assert [service.name for service in site.services] == ["web", "plain"]
    assert site.services[0].inspect is Inspect.HTTP
    assert site.tunnel.port == 7471


@pytest.mark.parametrize(
    ("old", "new", "what", "mend"),
    [
        (
            "inspect: http",
            "inspct: http",
            ":23: services[0].inspct: unknown key inspct",
            "did you mean inspect?",
        ),
        (
            "inspect: http",
            "zzz: http",
            ":23: services[0].zzz: unknown key zzz",
            f"take one of: {SERVICE_KEYS}",
        ),
        (
            "{host: h1}]}\n  - {name: b",
            "{hst: h1}]}\n  - {name: b",
            ":15: pools[0].members[0].hst: unknown key hst",
            "did you mean host? (and 1 more)",
        ),
        (
            "{path_prefix: /a, pool: a}",
            "{path_prefix: /a}",
            ":25: services[0].rules[0]: key pool is missing",
            "add it",
        ),
        (
            "port: 80\n",
            "port: 80\n    port: 82\n",
            ":23: key 'port' is there twice",
            "keep one of them",
        ),
        (
            "port: 80\n",
            "port: 80000\n",
            ":22: services[0].port: 80000 should be less than or equal to 65535",
            "change it",
        ),
        (
            "port: 80\n",
            'port: "80"\n',
            ':22: services[0].port: "80" is no number',
            "write a whole number, without quotes",
        ),
        (
            "port: 80\n",
            "port: true\n",
            ":22: services[0].port: true is no number",
            "write a whole number, without quotes",
        ),
        (
            "inspect: http",
            "inspect: htp",
            ":23: services[0].inspect: \"htp\" should be 'none', 'http', 'tls', 'rdp' or 'quic'",
            "change it",
        ),
        (
            '10.1.0.12, "fd00:1::12"',
            '10.1.0.12, "fd00:1::g"',
            ':11: hosts[1].addresses[1]: "fd00:1::g" is no IP address',
            'write it like 192.0.2.1 or "2001:db8::1"',
        ),
        (
            "[10.1.0.12,",
            "[12,",
            ":11: hosts[1].addresses[0]: 12 is no text",
            "put text there, in quotes",
        ),
        (
            "198.51.100.2/24",
            "1.2.3.4/33",
            ':36: lab.clients[0].addresses[0]: "1.2.3.4/33" is no IP address with prefix length',
            "write it like 192.0.2.1/24",
        ),
        (
            "{name: demo}",
            "{name: Demo}",
            ':3: cluster.name: "Demo" is no name',
            "take 1 to 15 of a-z, 0-9 and -, a letter first",
        ),
        (
            "{name: h1, interface: e0",
            '{name: h1, interface: "e 0"',
            ':10: hosts[0].interface: "e 0" is no interface\'s name',
            "take 1 to 15 characters, no space, / or :",
        ),
        (
            "ipv4: 10.1.0.0/16",
            "ipv4: 10.1.0.1/16",
            ':34: lab.network.ipv4: "10.1.0.1/16" is no network',
            'write it like 192.0.2.0/24 or "2001:db8::/64", the rest all zeros',
        ),
        (
            "cluster: {name: demo}",
            "cluster:",
            ":3: cluster: null is no mapping",
            "write `key: value` there",
        ),
        (
            "members: [{host: h1}]}\n  - {name: b",
            "members: h1}\n  - {name: b",
            ':15: pools[0].members: "h1" is no list',
            "put it in [ ]",
        ),
        (
            "path_prefix: /a",
            "header: {x-a: 1}",
            ":25: services[0].rules[0].header.x-a: 1 is no text",
            "put text there, in quotes",
        ),
        (
            "path_prefix: /a",
            "header: {x: a, y: b}",
            ":25: services[0].rules[0].header: the value should have at most 1 item, not more",
            "change it",
        ),
        (
            "inspect: http",
            '"a\\nb": http',
            ":23: services[0].a\\nb: unknown key a\\nb",
            f"take one of: {SERVICE_KEYS}",
        ),
    ],
)
def test_wrong_key_or_value(tmp_path: Path, old: str, new: str, what: str, mend: str) -> None:
    site = SITE.read_text()
    assert site.count(old) == 1
    assert refusal(tmp_path, site.replace(old, new)) == (what, mend)


@pytest.mark.parametrize(
    ("scalar", "what", "mend"),
    [
        ("2026-01-02", "'2026-01-02' reads as a date", "put it in quotes"),
        ("2026-99-99", "'2026-99-99' is no timestamp", "mend or quote it"),
        ("!!bool maybe", "'maybe' is no bool", "mend or quote it"),
        ('!!int ""', "'' is no int", "mend or quote it"),
        ("!!timestamp x", "'x' is no timestamp", "mend or quote it"),
        ("!!python/name:os.system x", "'x' is no python/name:os.system", "mend or quote it"),
        ("!!binary aaaa", "'aaaa' reads as a bytes", "put it in quotes"),
        ('"\\ud800"', "'\\ud800' is no Unicode", "remove the \\ud… escape"),
        ("!%0A x", "'x' is no !\\n", "mend or quote it"),
        ("9" * 5000, "'" + 56 * "9" + "… is no int", "mend or quote it"),
    ],
)
def test_scalar_that_is_no_plain_value(tmp_path: Path, scalar: str, what: str, mend: str) -> None:
    assert refusal(tmp_path, f"cluster:\n  name: {scalar}\n") == (f":2: {what}", mend)


@pytest.mark.parametrize(
    ("content", "what", "mend"),
    [
        ("", ":1: the file is empty", "begin with examples/demo.yaml"),
        ("- 1\n", ":1: the value is no mapping", "write `key: value` there"),
        ("a:\n\t- b\n", ":2: found character '\\t' that cannot start any token", "mend the YAML"),
        ("a: *b\n", ":1: found undefined alias 'b'", "mend the YAML"),
        ("a: b\n---\na: b\n", ":2: but found another document", "mend the YAML"),
        ("a: 1\n? [b]\n: 2\n", ":2: a key that is no text", "use plain keys"),
        ("a: &a [*a]\n", ":1: nested too deeply", "no key of a site file is 20 levels down"),
        ("[" * 100_000, ":1: nested too deeply", "no key of a site file is 20 levels down"),
        (
            b"a: \xff\n",
            (
                ":1: not YAML in UTF-8 ('utf-8' codec can't decode byte 0xff in position 3: "
                "invalid start byte)"
            ),
            "mend the YAML",
        ),
        (
            b"\0",
            (
                ":1: not YAML in UTF-8 (unacceptable character #x0000: "
                "special characters are not allowed)"
            ),
            "mend the YAML",
        ),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_no_yaml_of_ours(tmp_path: Path, content: str | bytes, what: str, mend: str) -> None:
    assert refusal(tmp_path, content) == (what, mend)


def test_aliases_do_not_multiply(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)]
    what, mend = refusal(tmp_path, "\n".join(lines))
    assert what == ":1: more than 1000000 values"
    assert mend == "use fewer aliases"


def test_aliases_may_save_typing(tmp_path: Path) -> None:
    text = SITE.read_text().replace('[203.0.113.10, "2001:db8:10::10"]', "&vips [203.0.113.10]", 1)
    path = tmp_path / "site.yaml"
    path.write_text(text.replace('[203.0.113.10, "2001:db8:10::10"]', "*vips"))
    site = load_site(path)
    assert site.services[0].addresses == site.services[1].addresses


def test_file_too_large(tmp_path: Path) -> None:
    what, mend = refusal(tmp_path, b"#" * ((4 << 20) + 1))
    assert what.endswith("larger than 4194304 bytes")
    assert mend == "split the site"


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(SiteError) as caught:
        load_site(tmp_path / "none.yaml")
    assert caught.value.what == f"site file {tmp_path}/none.yaml: No such file or directory"
    assert caught.value.mend == "name a readable file"


def test_folder_instead_of_a_file(tmp_path: Path) -> None:
    with pytest.raises(SiteError, match="Is a directory; name a readable file"):
        load_site(tmp_path)
