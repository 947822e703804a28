"""Rules: the program and the oracle (http_oracle.py) must agree on every request."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from bench import UnitBench
from http_oracle import UNDECIDED, judge
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from packets import Client
from site_file import KEY, make_site

from pointsman.config.model import Rule

pytestmark = pytest.mark.datapath

RULES: list[dict[str, Any]] = [
    {"method": "POST", "path": "/a", "pool": "a"},
    {"host": "Shop.example", "path_prefix": "/cart", "pool": "b"},
    {"path_prefix": "/a/deep/", "header": {"X-Beta": "yes"}, "pool": "a"},
    {"path_prefix": "/a", "pool": "b"},
    {"cookie": {"group": "canary"}, "pool": "a"},
    {"host": "[2001:db8::1]", "pool": "b"},
    {"header": {"Accept": "text/html, */*"}, "pool": "b"},
    {"method": "DELETE", "pool": "a"},
    {"path": "/" + "p" * 100, "pool": "a"},
    {"path_prefix": "/" + "q" * 119, "pool": "b"},
    {"host": "*.Wild.example", "pool": "a"},
    {"query": {"lang": "fr"}, "pool": "a"},
    {"query": {"lang": "de"}, "path": "/", "pool": "b"},
    {"header_prefix": {"Accept-Language": "it"}, "pool": "a"},
    {"header_prefix": {"accept-language": ""}, "pool": "b"},
    {"header_prefix": {"X-Long": "l" * 117}, "pool": "b"},
]


@pytest.fixture(scope="module")
def ruled() -> Iterator[UnitBench]:
    with UnitBench(make_site(RULES), KEY) as bench:
        yield bench


def program_says(unit: UnitBench, data: bytes) -> int | str | None:
    """The number of the rule that the program chose: pools are made to tell (see below)."""
    unit.reset()
    client = Client(4, service_port=80)
    isn = unit.shake_hands(client)
    before = unit.datapath.undecided.total(0)
    outcome = unit.send(client.data(data, isn))
    assert outcome.reason == "bundled_data"
    if unit.datapath.undecided.total(0) > before:
        return UNDECIDED
    pool = next(p for p in range(3) if unit.datapath.cursors.get(p))
    return None if pool == 2 else pool


def pool_of(answer: int | str | None) -> int | str | None:
    """Rule numbers as the pool they lead to, for pools are what can be seen."""
    if isinstance(answer, int):
        return {"a": 0, "b": 1}[RULES[answer]["pool"]]
    return answer


def check(unit: UnitBench, data: bytes) -> int | str | None:
    for pool in range(3):
        unit.datapath.cursors.set(pool, 0)
    wanted = judge([Rule.model_validate(rule) for rule in RULES], data)
    assert program_says(unit, data) == pool_of(wanted), data
    return wanted


END = b" HTTP/1.1\r\nHost: other\r\n\r\n"


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (b"POST /a" + END, 0),
        (b"POST /a?x=1" + END, 0),
        (b"GET /a" + END, 3),
        (b"GET /abc" + END, 3),
        (b"get /a" + END, 3),
        (b"GET /cart/1 HTTP/1.1\r\nhOsT:  SHOP.example:8080 \r\n\r\n", 1),
        (b"GET http://shop.example/cart HTTP/1.1\r\nHost: other\r\n\r\n", 1),
        (b"GET http://other/cart HTTP/1.1\r\nHost: shop.example\r\n\r\n", None),
        (b"GET /cart/1 HTTP/1.1\r\nHost: other\r\n\r\n", None),
        (b"GET /a/deep/er HTTP/1.1\r\nx-BETA: yes\r\n\r\n", 2),
        (b"GET /a/deep/er HTTP/1.1\r\nx-beta: no\r\n\r\n", 3),
        (b"GET /a/deep/er HTTP/1.1\r\nx-beta: yes\0\r\n\r\n", 3),
        (b"GET / HTTP/1.1\r\nCookie: a=b; group=canary; c=d\r\n\r\n", 4),
        (b"GET / HTTP/1.1\r\nCookie: group=canary\r\n\r\n", 4),
        (b"GET / HTTP/1.1\r\nCookie: xgroup=canary\r\n\r\n", None),
        (b"GET / HTTP/1.1\r\nCookie: group=canary2\r\n\r\n", None),
        (b"GET / HTTP/1.1\r\nHost: [2001:DB8::1]:80\r\n\r\n", 5),
        (b"GET / HTTP/1.1\r\nAccept: \t text/html, */* \r\n\r\n", 6),
        (b"GET / HTTP/1.0\nAccept: text/html, */*\n\n", 6),
        (b"DELETE /x HTTP/1.1\r\n\r\n", 7),
        (b"GET /" + b"p" * 100 + END, 8),
        (b"GET /" + b"p" * 101 + END, None),
        (b"GET /" + b"q" * 119 + END, 9),
        (b"GET /" + b"q" * 500 + END, 9),
        (b"GET /" + b"q" * 118 + END, None),
        (b"GET / HTTP/1.1\r\n\r\n", None),
        (b"GET / HTTP/1.1\r\nHost: a.wild.example\r\n\r\n", 10),
        (b"GET / HTTP/1.1\r\nHost: A.b.WILD.example.:80\r\n\r\n", 10),
        (b"GET / HTTP/1.1\r\nHost: wild.example\r\n\r\n", None),
        (b"GET / HTTP/1.1\r\nHost: .wild.example\r\n\r\n", None),
        (b"GET / HTTP/1.1\r\nHost: awild.example\r\n\r\n", None),
        (b"GET / HTTP/1.1\r\nHost: .\r\n\r\n", None),
        (b"GET / HTTP/1.1\r\nHost: " + b"w" * 242 + b".wild.example\r\n\r\n", 10),
        (b"GET / HTTP/1.1\r\nHost: " + b"w" * 242 + b".wild.example.\r\n\r\n", 10),
        (b"GET / HTTP/1.1\r\nHost: " + b"w" * 243 + b".wild.example\r\n\r\n", None),
        (b"GET /cart HTTP/1.1\r\nHost: shop.example.\r\n\r\n", 1),
        (b"GET /?lang=fr HTTP/1.1\r\n\r\n", 11),
        (b"GET /?a&lang=fr&b HTTP/1.1\r\n\r\n", 11),
        (b"GET /?a&lang=fr#x HTTP/1.1\r\n\r\n", 11),
        (b"GET /?a#lang=fr HTTP/1.1\r\n\r\n", None),
        (b"GET /#?lang=fr HTTP/1.1\r\n\r\n", None),
        (b"GET /?xlang=fr HTTP/1.1\r\n\r\n", None),
        (b"GET /?lang=fr2 HTTP/1.1\r\n\r\n", None),
        (b"GET /?lang=%66r HTTP/1.1\r\n\r\n", None),
        (b"GET /?lang=de&lang=fr HTTP/1.1\r\n\r\n", 11),
        (b"GET http://h/?lang=de HTTP/1.1\r\n\r\n", 12),
        (b"GET / HTTP/1.1\r\nACCEPT-Language: it-CH, de\r\n\r\n", 13),
        (b"GET / HTTP/1.1\r\nAccept-Language: de, it\r\n\r\n", 14),
        (b"GET / HTTP/1.1\r\nAccept-Language:\r\n\r\n", 14),
        (b"GET / HTTP/1.1\r\nAccept-Languages: it\r\n\r\n", None),
        (b"GET / HTTP/1.1\r\nX-Long: " + b"l" * 300 + b"\r\n\r\n", 15),
        (b"GET / HTTP/1.1\r\nX-Long: " + b"l" * 116 + b"\r\n\r\n", None),
        (b"GET / HTTP/1.1\r\n" + b"N" * 300 + b": it\r\n\r\n", None),
        (b"GET / HTTP/1.1\r\nX: " + b"v" * 1200, UNDECIDED),
        (b"GET /?" + b"q" * 1200 + b"&lang=fr" + END, 11),
        (b"GET /cart HTTP/1.1\r\nX: " + b"v" * 1100 + b"\r\nHost: shop.example\r\n\r\n", 1),
        (b"GET / HTTP/1.1\r\nX: " + b"v" * 1100 + b"\r\nCookie: group=canary\r\n\r\n", 4),
        (b"OPTIONS * HTTP/1.1\r\n\r\n", UNDECIDED),
        (b"GET /a HTTP/1.1\r\nHost: other\r\n", UNDECIDED),
        (b"GET /a HTTP/1.1\r\nHost: other\r\n\r", UNDECIDED),
        (b"GET /a HTTP/2.0\r\n\r\n", UNDECIDED),
        (b"GET /a\r\n\r\n", UNDECIDED),
        (b"GET  /a HTTP/1.1\r\n\r\n", UNDECIDED),
        (b"GET /a HTTP/1.1\r\n Host: folded\r\n\r\n", UNDECIDED),
        (b"GET /a HTTP/1.1\r\nHost : spaced\r\n\r\n", UNDECIDED),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", UNDECIDED),
        (b"\x16\x03\x01\x02\x00\x01\x00", UNDECIDED),
        (b"\0", UNDECIDED),
    ],
)
def test_requests_people_send(ruled: UnitBench, data: bytes, rule: int | str | None) -> None:
    assert check(ruled, data) == rule


def _mix(*parts: bytes) -> st.SearchStrategy[bytes]:
    return st.sampled_from(parts) | st.binary(max_size=12)


TARGETS = _mix(
    b"/a",
    b"/a/deep/x",
    b"/cart",
    b"/",
    b"http://shop.example/cart",
    b"*",
    b"/a?q",
    b"/a#f",
    b"h:/",
    b"/?lang=fr",
)
HEADERS = _mix(
    b"Host: shop.example",
    b"Host: [2001:db8::1]",
    b"host:SHOP.example:1",
    b"X-Beta: yes",
    b"Cookie: group=canary",
    b"Cookie: a=1;group=canary ; b",
    b"Accept: text/html, */*",
    b"Accept:",
    b"Host: x.wild.example.",
    b"Accept-Language: it",
    b"accept-language: de",
    b" folded",
)


@settings(
    max_examples=400,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    method=_mix(b"GET", b"POST", b"DELETE"),
    target=TARGETS,
    version=_mix(b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0"),
    headers=st.lists(HEADERS, max_size=5),
    newline=st.sampled_from([b"\r\n", b"\n"]),
    cut=st.integers(0, 40),
)
def test_any_request_is_judged_as_by_the_oracle(
    ruled: UnitBench,
    method: bytes,
    target: bytes,
    version: bytes,
    headers: list[bytes],
    newline: bytes,
    cut: int,
) -> None:
    lines = [b" ".join([method, target, version]), *headers, b"", b""]
    data = newline.join(lines)
    check(ruled, data[: max(1, len(data) - cut)] if cut < 10 else data)


@settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.binary(min_size=1, max_size=1300))
def test_any_bytes_are_judged_as_by_the_oracle(ruled: UnitBench, data: bytes) -> None:
    check(ruled, data)


def test_the_last_of_4096_rules_is_found_as_fast(version: int) -> None:
    rules = [{"path": f"/{number}", "pool": "ab"[number % 2]} for number in range(4096)]
    with UnitBench(make_site(rules), KEY) as unit:
        for number, host in ((0, {0}), (63, {1, 2}), (64, {0}), (4094, {0}), (4095, {1, 2})):
            unit.reset()
            client = Client(version, service_port=80)
            isn = unit.shake_hands(client)
            unit.send(client.data(f"GET /{number} HTTP/1.1\r\n\r\n".encode(), isn))
            assert unit.host_of(client) in host
