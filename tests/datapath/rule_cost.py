"""What it costs to judge a first segment, by the number of rules.

    python tests/datapath/rule_cost.py

prints ns per segment. It is all that the unit does with the segment up to the choice of a pool:
parse, look the route up, prove the cookie, copy and sum the segment, read it, judge. The pools have
nobody to give, so the program drops the segment as it came, and BPF_PROG_TEST_RUN can repeat it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bench import UnitBench
from packets import Client
from site_file import KEY, make_site
from tls_hello import Hello, alpn, server_name

from pointsman.config.model import Site
from pointsman.datapath import testrun

__all__ = ["COUNTS", "HOSTILE", "SHAPES", "first_segment_ns"]

COUNTS = (10, 100, 1000, 4000)
REPEAT = 20_000
TRIES = 5
AGENT = b"User-Agent: curl/8.5.0\r\nAccept: */*\r\nAccept-Encoding: gzip, br\r\n"
Rules = list[dict[str, Any]]


def request(host: str, path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: {host}\r\n".encode() + AGENT + b"\r\n"


def hello(name: str) -> bytes:
    return Hello([alpn(b"h2", b"http/1.1"), server_name(name.encode())]).pack()


def _numbered(count: int, **pattern: str) -> Rules:
    return [{key: text.format(n) for key, text in pattern.items()} for n in range(count)]


def _mixed(count: int) -> Rules:
    """Every class leaves every word of the rules' bits standing until they are and-ed."""
    return [{"path": f"/{n}"} if n % 2 else {"host": f"h{n}.example"} for n in range(count)]


SHAPES: dict[str, tuple[str, Callable[[int], Rules], Callable[[int], bytes]]] = {
    "paths": (
        "http",
        lambda count: _numbered(count, path="/shop/{}"),
        lambda count: request("www.example", f"/shop/{count - 1}"),
    ),
    "path prefixes": (
        "http",
        lambda count: _numbered(count, path_prefix="/shop/{}/"),
        lambda count: request("www.example", f"/shop/{count - 1}/x"),
    ),
    "hosts and prefixes": (
        "http",
        lambda count: _numbered(count, host="h{}.example", path_prefix="/api/"),
        lambda count: request(f"h{count - 1}.example", "/api/x"),
    ),
    "one host, paths": (
        "http",
        lambda count: _numbered(count, host="www.example", path="/shop/{}"),
        lambda count: request("www.example", f"/shop/{count - 1}"),
    ),
    "hosts or paths": (
        "http",
        _mixed,
        lambda count: request("www.example", f"/{count - 1}"),
    ),
    "server names": (
        "tls",
        lambda count: _numbered(count, sni="h{}.example"),
        lambda count: hello(f"h{count - 1}.example"),
    ),
    "wildcard names": (
        "tls",
        lambda count: _numbered(count, sni="*.h{}.example"),
        lambda count: hello(f"www.h{count - 1}.example"),
    ),
}


LINES = b"GET /x HTTP/1.1\r\n"
# The same rule each, and a segment as full of what it asks for as a client can make it.
HOSTILE: dict[str, tuple[str, dict[str, Any], bytes]] = {
    "1,300 parameters": ("http", {"query": {"x": "y"}}, LINES.replace(b"x", b"?" + b"&" * 1300)),
    "1,300 cookies": (
        "http",
        {"cookie": {"x": "y"}},
        LINES + b"Cookie: " + b";" * 1300 + b"\r\n\r\n",
    ),
    "300 cookies as long as the rule's": (
        "http",
        {"cookie": {"x": "y"}},
        LINES + b"Cookie: " + b"x=z;" * 300 + b"\r\n\r\n",
    ),
    "440 headers": (
        "http",
        {"header": {"x": "y"}, "header_prefix": {"z": ""}},
        LINES + b"a:\n" * 440 + b"\r\n",
    ),
    "600 protocols": ("tls", {"alpn": "h2"}, Hello([alpn(*[b"x"] * 600)]).pack()),
}


def first_segment_ns(inspect: str, rules: Rules, data: bytes, repeat: int = REPEAT) -> int:
    """Mean of the quickest of some tries, nanoseconds. AssertionError if a rule is not chosen."""
    with UnitBench(_site(inspect, rules), KEY) as bench:
        client = Client(4, service_port=80)
        frame = client.data(data, bench.shake_hands(client))
        assert bench.send(frame).reason == "no_host"
        assert bench.datapath.undecided.total(0) == 0
        program = bench.datapath.program_fd("forward")
        runs = [testrun.test_run(program, frame, repeat=repeat) for _ in range(TRIES)]
        assert {run.data for run in runs} == {frame}
        return min(run.duration_ns for run in runs)


def _site(inspect: str, rules: Rules) -> Site:
    described = make_site([]).model_dump(mode="json", exclude_none=True)
    for pool in described["pools"]:
        for member in pool["members"]:
            member["weight"] = 0
    pooled = [rule | {"pool": "a"} for rule in rules]
    described["services"][0] |= {"inspect": inspect, "rules": pooled}
    return Site.model_validate(described)


def main() -> None:
    print(f"{'ns per first segment, rules:':30}", *(f"{count:>7}" for count in (0, *COUNTS)))
    for name, (inspect, rules, data) in SHAPES.items():
        figures = [
            first_segment_ns(inspect, rules(count), data(max(count, 1))) for count in (0, *COUNTS)
        ]
        print(f"{name:30}", *(f"{figure:>7}" for figure in figures), flush=True)
    print("and with one rule:")
    for name, (inspect, rule, segment) in HOSTILE.items():
        print(f"{name:38} {first_segment_ns(inspect, [rule], segment, 2000):>7}", flush=True)


if __name__ == "__main__":
    main()
