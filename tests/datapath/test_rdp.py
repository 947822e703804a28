"""RDP connection requests: the program and the oracle (rdp_oracle.py) must agree on every one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rdp_oracle import judge, request
from rule_bench import UNDECIDED, RuleBench

pytestmark = pytest.mark.datapath

NEGOTIATION = b"\1\0\x08\0\3\0\0\0"
RULES = [{"mstshash": "Alice"}, {"mstshash": "DOMAIN\\bob"}, {"mstshash": "u" * 120}]


@pytest.fixture(scope="module")
def ruled() -> Iterator[RuleBench]:
    with RuleBench(RULES, inspect="rdp") as bench:
        yield bench


def check(bench: RuleBench, data: bytes, version: int = 4) -> int | str | None:
    wanted = judge(bench.rules, data)
    assert bench.says(data, version) == wanted, data.hex()
    return wanted


def cookie(name: bytes) -> bytes:
    return b"Cookie: mstshash=" + name + b"\r\n"


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (request(cookie(b"alice") + NEGOTIATION), 0),
        (request(cookie(b"ALICE")), 0),
        (request(cookie(b"domain\\Bob") + NEGOTIATION) + b"more", 1),
        (request(cookie(b"U" * 120)), 2),
        (request(cookie(b"u" * 121)), None),
        (request(cookie(b"alice ")), None),
        (request(cookie(b"alice\0")), None),
        (request(cookie(b"")), None),
        (request(NEGOTIATION), None),
        (request(b""), None),
        (request(b"Cookie: msts=3640205228.15629.0000\r\n" + NEGOTIATION), None),
        (request(b"cookie: mstshash=alice\r\n"), None),
        (request(b"Cookie: mstshash=alice"), UNDECIDED),
        (request(b"Cookie: mstshash=alice\r"), UNDECIDED),
        (request(b"Cookie: mstshash=alice\n" + NEGOTIATION), UNDECIDED),
        (request(b"Cookie: mstshash=alice\ra\r\n"), UNDECIDED),
        (request(cookie(b"alice"))[:-1], UNDECIDED),
        (request(cookie(b"alice") + NEGOTIATION)[:-3], 0),
        (request(cookie(b"alice")).replace(b"\xe0", b"\xd0"), UNDECIDED),
        (b"\2" + request(cookie(b"alice"))[1:], UNDECIDED),
        (b"\3\0\0\x0b\7\xe0\0\0\0\0\0", UNDECIDED),
        (b"\3\0\1\4\xff\xe0\0\0\0\0\0" + cookie(b"alice"), UNDECIDED),
        (b"GET / HTTP/1.1\r\n\r\n", UNDECIDED),
    ],
)
def test_requests(ruled: RuleBench, version: int, data: bytes, rule: int | str | None) -> None:
    assert check(ruled, data, version) == rule


def test_every_truncation_is_undecided_or_right(ruled: RuleBench) -> None:
    whole = request(cookie(b"alice") + NEGOTIATION)
    answers = [check(ruled, whole[:size]) for size in range(1, len(whole) + 1)]
    assert answers.index(0) + 1 == len(whole) - len(NEGOTIATION)
    assert set(answers) == {0, UNDECIDED}


@settings(
    max_examples=400,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    name=st.sampled_from([b"alice", b"Domain\\bob", b"u" * 120]) | st.binary(max_size=240),
    behind=st.sampled_from([b"", NEGOTIATION]) | st.binary(max_size=9),
    cut=st.just(0) | st.integers(0, 60),
    noise=st.lists(st.tuples(st.integers(0, 60), st.integers(0, 255)), max_size=2),
)
def test_any_request_is_judged_as_by_the_oracle(
    ruled: RuleBench, name: bytes, behind: bytes, cut: int, noise: list[tuple[int, int]]
) -> None:
    data = bytearray(request((cookie(name) + behind)[:244]))
    for at, value in noise:
        data[at % len(data)] = value
    check(ruled, bytes(data[: max(1, len(data) - cut)]))
