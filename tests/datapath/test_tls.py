"""TLS hellos: the program and the oracle (tls_oracle.py) must agree on every one."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rule_bench import UNDECIDED, RuleBench
from tls_hello import Hello, alpn, extension, from_command, from_python, server_name
from tls_oracle import judge

pytestmark = pytest.mark.datapath

FIRST_DATA = 1380
"""Bytes of a first segment that a bundle can carry, of either family."""

LONG = "l" * 115 + ".long"
RULES: list[dict[str, Any]] = [
    {"sni": "www.Example.org", "alpn": "h2"},
    {"sni": "www.example.org"},
    {"sni": "*.example.org"},
    {"alpn": "acme-tls/1"},
    {"sni": "localhost"},
    {"sni": LONG},
    {"sni": "*." + "w" * 118},
]
GREASE = extension(0x1A1A, b"\0")
FILLED = [
    GREASE,
    extension(23, b""),
    extension(10, b"\0\4\0\x1d\0\x17"),
    extension(43, b"\4\3\4\3\3"),
    extension(0xFE0D, bytes(186)),
]


@pytest.fixture(scope="module")
def ruled() -> Iterator[RuleBench]:
    with RuleBench(RULES, inspect="tls") as bench:
        yield bench


@pytest.fixture(scope="module")
def named() -> Iterator[RuleBench]:
    """Rules that ask for the name alone."""
    with RuleBench([{"sni": "*.example.org"}], inspect="tls") as bench:
        yield bench


def check(bench: RuleBench, data: bytes, version: int = 4) -> int | str | None:
    wanted = judge(bench.rules, data)
    assert bench.says(data, version) == wanted, data.hex()
    return wanted


@pytest.mark.parametrize(
    ("extensions", "rule"),
    [
        ([server_name(b"www.example.org"), alpn(b"h2", b"http/1.1")], 0),
        ([alpn(b"h2", b"http/1.1"), *FILLED, server_name(b"www.example.org")], 0),
        ([GREASE, alpn(b"http/1.1", b"h2"), server_name(b"WWW.EXAMPLE.ORG.")], 0),
        ([server_name(b"www.example.org"), alpn(b"http/1.1")], 1),
        ([server_name(b"www.example.org"), *FILLED], 1),
        ([server_name(b"a.example.org")], 2),
        ([server_name(b"a.b.c.Example.Org")], 2),
        ([server_name(b"example.org")], None),
        ([server_name(b".example.org")], None),
        ([server_name(b"xexample.org")], None),
        ([server_name(b"a.example.org.evil")], None),
        ([server_name(b".")], None),
        ([server_name(b"a.example.org..")], None),
        ([server_name(b"a\0.example.org")], 2),
        ([server_name(b"\0www.example.org")], 2),
        ([server_name(b"www.example.org\0")], None),
        ([alpn(b"acme-tls/1"), server_name(b"other")], 3),
        ([alpn(b"acme-tls/1" * 20, b"x")], None),
        ([alpn(b"acme-tls/1")], 3),
        ([alpn(*[b"%d" % n for n in range(100)], b"acme-tls/1")], 3),
        ([server_name(LONG.encode())], 5),
        ([server_name(b"x" + LONG.encode())], None),
        ([server_name(b"a" * (255 - 12) + b".example.org")], 2),
        ([server_name(b"a" * (256 - 12) + b".example.org")], None),
        ([server_name(b"a" * 255)], None),
        ([server_name(b"a" * 1000)], None),
        ([server_name(b"a." + b"w" * 118)], 6),
        ([server_name(b"a" * 130 + b"." + b"w" * 118)], 6),
        ([], None),
        (None, None),
        (FILLED, None),
        ([extension(n, b"") for n in range(100, 400)], None),
        # A name of no bytes, and what else contradicts itself.
        ([server_name(b"")], UNDECIDED),
        ([extension(0, b"")], UNDECIDED),
        ([extension(0, b"\0\0")], UNDECIDED),
        ([extension(0, b"\0\4\0\0\5abcde")], UNDECIDED),
        ([extension(0, b"\0\x08\0\0\6abcde")], UNDECIDED),
        ([extension(0, b"\0\x08\1\0\5abcde")], UNDECIDED),
        ([extension(16, b"")], UNDECIDED),
        ([extension(16, b"\0\0")], UNDECIDED),
        ([extension(16, b"\0\1\0")], UNDECIDED),
        ([extension(16, b"\0\3\3h2")], UNDECIDED),
        ([extension(16, b"\0\4\2h2\0")], UNDECIDED),
        ([server_name(b"a"), server_name(b"a.example.org")], UNDECIDED),
        ([GREASE[:-1]], UNDECIDED),
        ([b"\0"], UNDECIDED),
    ],
)
def test_hellos(
    ruled: RuleBench, version: int, extensions: Sequence[bytes] | None, rule: int | str | None
) -> None:
    assert check(ruled, Hello(extensions).pack(), version) == rule


NAMED = [alpn(b"h2"), server_name(b"www.example.org")]


@pytest.mark.parametrize(
    ("hello", "rule"),
    [
        (Hello(NAMED, record_version=b"\3\3").pack(), 0),
        (Hello(NAMED, version=b"\3\1").pack(), 0),
        (Hello(NAMED, session=b"").pack(), 0),
        (Hello(NAMED, compressions=b"\1\0").pack(), 0),
        (Hello(NAMED).pack() + b"\x14\3\3\0\1\1", 0),
        (Hello(NAMED, record_version=b"\2\0").pack(), UNDECIDED),
        (Hello(NAMED, version=b"\2\0").pack(), UNDECIDED),
        (Hello(NAMED, session=bytes(33)).pack(), UNDECIDED),
        (Hello(NAMED, suites=b"").pack(), UNDECIDED),
        (Hello(NAMED, suites=b"\0\1\2").pack(), UNDECIDED),
        (Hello(NAMED, compressions=b"").pack(), UNDECIDED),
        (Hello(NAMED).pack(record_bytes=100), UNDECIDED),
        (Hello([*NAMED, *FILLED]).pack(record_bytes=200), 0),
        (b"\x15\3\3\0\2\1\0", UNDECIDED),
        (b"\x16\3\1\0\4\1\0\0\0", UNDECIDED),
        (b"GET / HTTP/1.1\r\nHost: www.example.org\r\n\r\n", UNDECIDED),
        (b"\x80\x2e\1\3\1\0\x15\0\0\0\x10" + bytes(37), UNDECIDED),
    ],
)
def test_what_is_around_the_extensions(
    ruled: RuleBench, hello: bytes, rule: int | str | None
) -> None:
    assert check(ruled, hello) == rule


def test_every_truncation_is_undecided_or_right(ruled: RuleBench) -> None:
    hello = Hello([*FILLED, *NAMED, extension(21, bytes(30))]).pack()
    answers = [check(ruled, hello[:size]) for size in range(1, len(hello) + 1)]
    decided = answers.index(0)
    assert set(answers[:decided]) == {UNDECIDED}
    assert set(answers[decided:]) == {0}
    # All that is asked for is there, though the padding is not.
    assert decided + 1 == len(hello) - 34


def test_a_name_is_enough_where_nothing_else_is_asked(named: RuleBench) -> None:
    start = Hello([server_name(b"a.example.org")]).pack()
    hello = Hello([server_name(b"a.example.org"), extension(51, bytes(60000))]).pack(16384)
    assert check(named, hello[:1300]) == 0
    assert check(named, hello[: len(start)]) == 0
    assert check(named, hello[: len(start) - 1]) == UNDECIDED
    behind = Hello([extension(51, bytes(1400)), server_name(b"a.example.org")]).pack()
    assert check(named, behind[:1300]) == UNDECIDED


def test_a_missing_name_is_known_once_the_last_extension_has_begun(named: RuleBench) -> None:
    hello = Hello([*FILLED, extension(21, bytes(200))]).pack()
    assert check(named, hello[:-200]) is None
    assert check(named, hello[:-201]) == UNDECIDED


@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize(
    ("name", "protocols", "rule"),
    [
        ("www.example.org", ["h2", "http/1.1"], 0),
        ("www.example.org", [], 1),
        ("Sub.example.org", ["h2"], 2),
        ("other.example", ["acme-tls/1"], 3),
        ("other.example", [], None),
    ],
)
def test_hellos_of_pythons_ssl(
    ruled: RuleBench, newest: ssl.TLSVersion, name: str, protocols: list[str], rule: int | None
) -> None:
    hello = from_python(name, protocols, newest=newest)
    assert check(ruled, hello) == rule
    for size in range(1, len(hello)):
        assert check(ruled, hello[:size]) in (rule, UNDECIDED)


@pytest.mark.parametrize(
    ("command", "rule"),
    [
        ("openssl s_client -connect 127.0.0.1:{port} -servername www.example.org -alpn h2", 0),
        ("openssl s_client -connect 127.0.0.1:{port} -servername a.example.org -tls1_2", 2),
        ("openssl s_client -connect 127.0.0.1:{port} -noservername -tls1_3", None),
        ("curl -s --http1.1 https://localhost:{port}/ --ipv4 -m 5", 4),
        ("curl -s --resolve www.example.org:{port}:127.0.0.1 https://www.example.org:{port}/", 0),
    ],
)
def test_hellos_of_real_clients(ruled: RuleBench, command: str, rule: int | None) -> None:
    assert check(ruled, from_command(command.split())) == rule


NAMES = st.sampled_from(
    [b"www.example.org", b"A.example.org.", b"example.org", b"other", LONG.encode(), b"", b"."]
) | st.binary(max_size=20)
EXTENSIONS = st.one_of(
    NAMES.map(server_name),
    st.lists(st.sampled_from([b"h2", b"acme-tls/1", b"x"]), max_size=4).map(lambda p: alpn(*p)),
    st.builds(extension, st.integers(0, 60) | st.sampled_from([0x0A0A]), st.binary(max_size=40)),
    st.binary(max_size=6),
)
HELLOS = st.builds(
    Hello,
    st.none() | st.lists(EXTENSIONS, max_size=8),
    record_version=st.sampled_from([b"\3\1", b"\3\3", b"\3\0", b"\2\0"]),
    session=st.binary(max_size=34),
    suites=st.sampled_from([b"\x13\1", b"\x13\1\x13\2", b"", b"\x13"]),
)
FUZZ = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@settings(FUZZ, max_examples=500)
@given(
    hello=HELLOS,
    record_bytes=st.none() | st.integers(1, 300),
    cut=st.just(0) | st.integers(0, 80),
    noise=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=2),
)
def test_any_hello_is_judged_as_by_the_oracle(
    ruled: RuleBench,
    hello: Hello,
    record_bytes: int | None,
    cut: int,
    noise: list[tuple[int, int]],
) -> None:
    data = bytearray(hello.pack(record_bytes))
    for at, value in noise:
        data[at % len(data)] = value
    check(ruled, bytes(data[: max(1, min(len(data) - cut, FIRST_DATA))]))


@settings(FUZZ, max_examples=200)
@given(data=st.binary(min_size=1, max_size=1300))
def test_any_bytes_are_judged_as_by_the_oracle(ruled: RuleBench, data: bytes) -> None:
    check(ruled, data)
    check(ruled, b"\x16\3\1\4\0\1\0\3\xfc" + data)
