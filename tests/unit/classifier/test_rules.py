"""Rules as tables: what each text satisfies, and what the program then makes of a request."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pointsman.classifier.rules import Compiled, MatchClass, Table, compile_rules, conditions
from pointsman.config.model import Rule
from pointsman.datapath import abi

PATHS = ["/", "/a", "/a/b", "/ab", "/b"]
RULES = st.builds(
    Rule,
    pool=st.just("p"),
    method=st.none() | st.sampled_from(["GET", "POST"]),
    host=st.none() | st.sampled_from(["a.example", "B.example"]),
    path=st.none() | st.sampled_from(PATHS),
    path_prefix=st.none() | st.sampled_from(PATHS),
    header=st.none() | st.sampled_from([{"X-A": "1"}, {"x-a": "2"}]),
    cookie=st.none() | st.sampled_from([{"c": "1"}, {"C": "1"}]),
)
Request = dict[str, str]
REQUESTS = st.fixed_dictionaries(
    {
        "method": st.sampled_from(["GET", "POST", "PUT"]),
        "host": st.sampled_from(["a.example", "b.example", "c.example"]),
        "path": st.sampled_from([*PATHS, "/a/b/c", "/c"]),
        "x-a": st.sampled_from(["1", "2", "3"]),
        "c": st.sampled_from(["1", "2"]),
    }
)


def rules(*described: dict[str, Any]) -> list[Rule]:
    return [Rule(pool="p", **conditions) for conditions in described]


def test_classes_are_the_packet_programs() -> None:
    assert {one.name: int(one) for one in MatchClass} == {
        one.name: int(one) for one in abi.MatchClass
    }
    assert len(abi.Ruleset.unpack(bytes(abi.Ruleset.SIZE)).indifferent) == len(MatchClass)


def test_texts_are_as_the_program_builds_them() -> None:
    (rule,) = rules(
        {
            "method": "GET",
            "host": "WWW.Example",
            "path": "/É",
            "path_prefix": "/a",
            "header": {"X-Name": "Some Value"},
            "header_prefix": {"X-Begins": "Some"},
            "cookie": {"Name": "v"},
            "query": {"Q": "v"},
        }
    )
    assert list(conditions(rule)) == [
        (Table.EXACT, MatchClass.HOST, b"www.example"),
        (Table.EXACT, MatchClass.METHOD, b"GET"),
        (Table.EXACT, MatchClass.PATH, b"/\xc3\x89"),
        (Table.PREFIX, MatchClass.PREFIX, b"/a"),
        (Table.EXACT, MatchClass.HEADER, b"x-name\0Some Value"),
        (Table.PREFIX, MatchClass.HEADER_PREFIX, b"x-begins\0Some"),
        (Table.EXACT, MatchClass.COOKIE, b"Name=v"),
        (Table.EXACT, MatchClass.QUERY, b"Q=v"),
    ]


def test_texts_of_other_protocols() -> None:
    (rule,) = rules({"sni": "*.Example.org", "alpn": "h2", "mstshash": "DOMAIN\\Ünique"})
    assert list(conditions(rule)) == [
        (Table.PREFIX, MatchClass.HOST, b"gro.elpmaxe."),
        (Table.EXACT, MatchClass.ALPN, b"h2"),
        (Table.EXACT, MatchClass.MSTSHASH, "domain\\Ünique".encode()),
    ]
    assert compile_rules([rule]).wildcards
    assert not compile_rules(rules({"sni": "example.org", "alpn": "h2"})).wildcards


def test_no_rules() -> None:
    assert compile_rules([]) == Compiled(0, 0, (0,) * len(MatchClass), {}, {})


def test_bit_i_is_rule_i() -> None:
    compiled = compile_rules(
        rules({"path": "/a"}, {"path": "/b", "method": "GET"}, {"path": "/a", "host": "h"})
    )
    assert compiled.rules == 3
    assert compiled.classes == 1 << MatchClass.METHOD | 1 << MatchClass.HOST | 1 << MatchClass.PATH
    assert compiled.matches == {
        (MatchClass.PATH, b"/a"): 0b101,
        (MatchClass.PATH, b"/b"): 0b010,
        (MatchClass.METHOD, b"GET"): 0b010,
        (MatchClass.HOST, b"h"): 0b100,
    }
    assert compiled.indifferent == (0b101, 0b011, 0b000, *[0b111] * 7)


def test_longer_prefixes_speak_for_the_shorter() -> None:
    compiled = compile_rules(
        rules({"path_prefix": "/"}, {"path_prefix": "/a/b"}, {"path_prefix": "/a"})
    )
    assert compiled.prefixes == {
        (MatchClass.PREFIX, b"/"): 0b001,
        (MatchClass.PREFIX, b"/a"): 0b101,
        (MatchClass.PREFIX, b"/a/b"): 0b111,
    }
    assert compiled.matches == {}


def test_prefixes_of_different_classes_have_nothing_in_common() -> None:
    compiled = compile_rules(rules({"host": "*.a"}, {"host": "*.b.a"}, {"path_prefix": "/a"}))
    assert compiled.prefixes == {
        (MatchClass.HOST, b"a."): 0b001,
        (MatchClass.HOST, b"a.b."): 0b011,
        (MatchClass.PREFIX, b"/a"): 0b100,
    }


def test_prefixes_that_only_look_alike_inherit_nothing() -> None:
    compiled = compile_rules(rules({"path_prefix": "/ab"}, {"path_prefix": "/ba"}))
    assert compiled.prefixes == {
        (MatchClass.PREFIX, b"/ab"): 0b01,
        (MatchClass.PREFIX, b"/ba"): 0b10,
    }


@given(made=st.lists(RULES, max_size=8), request=REQUESTS)
def test_tables_choose_what_the_rules_say(made: list[Rule], request: Request) -> None:
    first = next((i for i, rule in enumerate(made) if satisfied(rule, request)), None)
    assert chosen(compile_rules(made), request) == first


def satisfied(rule: Rule, request: Request) -> bool:
    """As the manual has it, rule by rule."""
    return (
        rule.method in (None, request["method"])
        and (rule.host is None or rule.host.lower() == request["host"])
        and rule.path in (None, request["path"])
        and request["path"].startswith(rule.path_prefix or "")
        and all(request["x-a"] == value for value in (rule.header or {}).values())
        and all(name == "c" and request["c"] == v for name, v in (rule.cookie or {}).items())
    )


def chosen(compiled: Compiled, request: Request) -> int | None:
    """As the program has it: class by class, the lowest bit of what is left."""
    path = request["path"].encode()
    texts = {
        MatchClass.METHOD: request["method"].encode(),
        MatchClass.HOST: request["host"].encode(),
        MatchClass.PATH: path,
        MatchClass.HEADER: b"x-a\0" + request["x-a"].encode(),
        MatchClass.COOKIE: b"c=" + request["c"].encode(),
    }
    left = (1 << compiled.rules) - 1
    for match_class in MatchClass:
        if match_class is MatchClass.PREFIX:
            fitting = [key for key in compiled.prefixes if path.startswith(key[1])]
            found = compiled.prefixes[max(fitting, key=lambda key: len(key[1]))] if fitting else 0
        else:
            found = compiled.matches.get((match_class, texts.get(match_class, b"")), 0)
        if compiled.classes >> match_class & 1:
            left &= found | compiled.indifferent[match_class]
    return (left & -left).bit_length() - 1 if left else None
