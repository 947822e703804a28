"""A PROXY protocol header in front: rules look behind it, the application gets it as it came."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from http_oracle import judge
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rdp_oracle import request
from rule_bench import UNDECIDED, RuleBench
from tls_hello import Hello, server_name

pytestmark = pytest.mark.datapath

V1 = b"PROXY TCP4 192.0.2.1 203.0.113.10 56324 443\r\n"
LONGEST = b"PROXY UNKNOWN " + b"f" * 91 + b"\r\n"
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
GET = b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n"


def v2(body: bytes = bytes(12), command: int = 0x21, family: int = 0x11) -> bytes:
    return SIGNATURE + bytes([command, family]) + len(body).to_bytes(2, "big") + body


@pytest.fixture(scope="module")
def http() -> Iterator[RuleBench]:
    rules = [{"path": "/a"}, {"host": "*.h"}]
    with RuleBench(rules, inspect="http", proxy_protocol=True) as bench:
        yield bench


def stripped(data: bytes) -> bytes | None:
    """What is behind the header; None if there is no whole one."""
    first = re.match(rb"(?=.{8,107}?)PROXY .*?\r\n", data[:107], re.DOTALL)
    if first:
        return data[first.end() :]
    size = 16 + int.from_bytes(data[14:16], "big")
    if data.startswith(SIGNATURE) and data[12:13] and data[12] >> 4 == 2 and size <= len(data):
        return data[size:]
    return None


def check(bench: RuleBench, data: bytes, version: int = 4) -> int | str | None:
    behind = stripped(data)
    wanted = UNDECIDED if behind is None else judge(bench.rules, behind)
    assert bench.says(data, version) == wanted, data
    return wanted


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (V1 + GET, 0),
        (b"PROXY UNKNOWN\r\n" + GET, 0),
        (b"PROXY TCP6 2001:db8::1 2001:db8::2 1 2\r\n" + GET, 0),
        (LONGEST + GET, 0),
        (LONGEST.replace(b"ff", b"fff", 1) + GET, UNDECIDED),
        (V1[:-2] + GET, UNDECIDED),
        (V1.replace(b"\r\n", b"\n") + GET, UNDECIDED),
        (V1.lower() + GET, UNDECIDED),
        (V1, UNDECIDED),
        (b"PROXY ", UNDECIDED),
        (v2() + GET, 0),
        (v2(b"", command=0x20, family=0) + GET, 0),
        (v2(bytes(36), family=0x21) + GET, 0),
        (v2(bytes(12) + b"\4\2\0" + bytes(512)) + GET, 0),
        (v2(bytes(1200)) + GET, 0),
        (v2(bytes(1200))[:-1], UNDECIDED),
        (v2(bytes(65535))[:1300], UNDECIDED),
        (v2(command=0x11) + GET, UNDECIDED),
        (v2(), UNDECIDED),
        (GET, UNDECIDED),
        (V1 + v2() + GET, UNDECIDED),
        (v2() + GET.replace(b"/a", b"/b"), None),
    ],
)
def test_headers(http: RuleBench, version: int, data: bytes, rule: int | str | None) -> None:
    assert check(http, data, version) == rule


@pytest.mark.parametrize("header", [V1, LONGEST, v2(), v2(bytes(60))])
def test_every_truncation(http: RuleBench, header: bytes) -> None:
    whole = header + GET
    answers = [check(http, whole[:size]) for size in range(1, len(whole) + 1)]
    assert answers == [UNDECIDED] * (len(whole) - 1) + [0]


@pytest.mark.parametrize("header", [V1, v2()])
def test_other_inspectors_look_behind_it_too(header: bytes) -> None:
    hello = Hello([server_name(b"a.example")]).pack()
    with RuleBench([{"sni": "a.example"}], inspect="tls", proxy_protocol=True) as bench:
        assert bench.says(header + hello) == 0
        assert bench.says(hello) == UNDECIDED
    wanted = request(b"Cookie: mstshash=alice\r\n")
    with RuleBench([{"mstshash": "alice"}], inspect="rdp", proxy_protocol=True) as bench:
        assert bench.says(header + wanted) == 0
        assert bench.says(wanted) == UNDECIDED


def test_without_the_key_a_header_is_no_request() -> None:
    with RuleBench([{"path": "/a"}], inspect="http") as bench:
        assert bench.says(V1 + GET) == UNDECIDED
        assert bench.says(GET) == 0


@settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    header=st.sampled_from([V1, LONGEST, b"PROXY UNKNOWN\r\n"])
    | st.builds(v2, st.binary(max_size=60), st.integers(0, 255), st.integers(0, 255)),
    noise=st.lists(st.tuples(st.integers(0, 120), st.integers(0, 255)), max_size=2),
    cut=st.just(0) | st.integers(0, 60),
)
def test_any_header_is_stepped_over_or_undecided(
    http: RuleBench, header: bytes, noise: list[tuple[int, int]], cut: int
) -> None:
    data = bytearray(header + GET)
    for at, value in noise:
        data[at % len(data)] = value
    check(http, bytes(data[: max(1, len(data) - cut)]))
