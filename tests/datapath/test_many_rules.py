"""Hundreds of rules that overlap: the program and the oracle choose the same one."""

from __future__ import annotations

import random
from typing import Any

import pytest
from http_oracle import judge
from rule_bench import RuleBench

pytestmark = pytest.mark.datapath

HOSTS = [f"h{n}.example" for n in range(6)]
PATHS = ["/", "/a", "/a/b", "/a/b/c", "/b", "/b/c"]
SEED = 20


def rule(chance: random.Random) -> dict[str, Any]:
    """Most ask several things, so that late rules are chosen often."""
    asked: dict[str, Any] = {
        "host": chance.choice([*HOSTS, *(f"*.{name}" for name in HOSTS), "*.example"]),
        "path": chance.choice(PATHS),
        "path_prefix": chance.choice(PATHS),
        "query": {chance.choice("ab"): chance.choice("123")},
        "header_prefix": {"x": chance.choice(["", "1", "12", "123"])},
        "cookie": {"c": chance.choice("123")},
    }
    keys = chance.sample(sorted(asked), chance.choice([3, 4, 4, 5]))
    return {key: asked[key] for key in keys}


def request(chance: random.Random) -> bytes:
    host = chance.choice(["", "w.", "v.w."]) + chance.choice(HOSTS)
    query = f"a={chance.choice('123')}&b={chance.choice('123')}"
    lines = [
        f"GET {chance.choice(PATHS)}?{query} HTTP/1.1",
        f"Host: {host}",
        f"X: {chance.choice(['9', '1', '12', '1234'])}",
        f"Cookie: c={chance.choice('123')}",
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def test_the_first_of_300_rules_that_holds_is_chosen() -> None:
    chance = random.Random(SEED)
    chosen = set()
    with RuleBench([rule(chance) for _ in range(300)]) as bench:
        for _ in range(150):
            data = request(chance)
            wanted = judge(bench.rules, data)
            assert bench.says(data) == wanted, data
            chosen.add(wanted)
    # In every word of their bits.
    assert {number // 64 for number in chosen if isinstance(number, int)} >= {0, 1, 2}
