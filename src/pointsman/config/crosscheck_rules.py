"""Which rules can never hold, or not at the service that has them (R-A7, R-E1)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pointsman.config.findings import Finding, Path
from pointsman.config.model import Inspect, Protocol, Rule, Service, Site

__all__ = ["MATCH_TEXT", "rule_findings"]

MATCH_TEXT = 124
"""Bytes of one condition that the packet programs compare (MATCH_TEXT of abi.h)."""
TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
HOST = re.compile(r"(\*\.)?[^.*:\[\]\x00-\x20][^*:\[\]\x00-\x20]*")
LITERAL = re.compile(r"\[[0-9A-Fa-f:.]+\]")
SEEN_BY = {
    Inspect.HTTP: (
        "method",
        "host",
        "path",
        "path_prefix",
        "query",
        "header",
        "header_prefix",
        "cookie",
    ),
    Inspect.TLS: ("sni", "alpn"),
    Inspect.RDP: ("mstshash",),
}


def rule_findings(site: Site) -> Iterator[Finding]:
    """Everything wrong with the rules of all services."""
    for i, service in enumerate(site.services):
        path: Path = ("services", i)
        if not service.inspect.uploads:
            yield from _looks_at_nothing(path, service)
        elif any(listen.protocol is not Protocol.TCP for listen in service.listens):
            yield Finding(
                (*path, "inspect"),
                f"`inspect: {service.inspect}` looks at TCP alone",
                "take it away, or make what is not TCP a service of its own",
            )
        for j, rule in enumerate(service.rules):
            yield from _rule((*path, "rules", j), rule, service.inspect)


def _looks_at_nothing(path: Path, service: Service) -> Iterator[Finding]:
    if service.rules and service.inspect is Inspect.QUIC:
        yield Finding(
            (*path, "rules"),
            f"service {service.name} has rules, but goes by connection ids",
            "take them away",
        )
    elif service.rules:
        yield Finding(
            (*path, "rules"),
            f"service {service.name} has rules, but looks at nothing",
            "add `inspect: http`, `tls` or `rdp`",
        )
    if service.proxy_protocol:
        yield Finding(
            (*path, "proxy_protocol"),
            f"service {service.name} looks at nothing, so not behind a PROXY header either",
            "take `proxy_protocol` away; the application gets the header as it comes",
        )


def _rule(path: Path, rule: Rule, inspect: Inspect) -> Iterator[Finding]:
    given = _texts(rule)
    if not given:
        yield Finding(path, "the rule asks nothing", "add a condition, or use the default pool")
    for key, text in given.items():
        if inspect in SEEN_BY and key not in SEEN_BY[inspect]:
            (needed,) = (kind for kind, keys in SEEN_BY.items() if key in keys)
            yield Finding(
                (*path, key),
                f"`{key}` is nothing that `inspect: {inspect}` sees",
                f"use one of {', '.join(SEEN_BY[inspect])}; `{key}` needs `inspect: {needed}`",
            )
        if len(text.encode()) > MATCH_TEXT:
            yield Finding(
                (*path, key), f"longer than {MATCH_TEXT} bytes", "shorten it, or use a path_prefix"
            )
    yield from _names(path, rule)
    yield from _paths(path, rule)
    yield from _headers(path, rule)


def _texts(rule: Rule) -> dict[str, str]:
    """What the packet programs compare, by key of the site file."""
    single = ("method", "host", "path", "path_prefix", "sni", "alpn", "mstshash")
    pairs = {"header": "\0", "header_prefix": "\0", "cookie": "=", "query": "="}
    texts = {key: getattr(rule, key) for key in single}
    for key, between in pairs.items():
        for name, value in (getattr(rule, key) or {}).items():
            texts[key] = f"{name}{between}{value}"
    return {key: text for key, text in texts.items() if text is not None}


def _names(path: Path, rule: Rule) -> Iterator[Finding]:
    for key, name in (("host", rule.host), ("sni", rule.sni)):
        if name is None or (key == "host" and LITERAL.fullmatch(name)):
            continue
        if not name.isascii():
            yield Finding((*path, key), f"{name!r} is not ASCII", "write it as clients do: xn--…")
        elif name.endswith("."):
            yield Finding((*path, key), f"{name!r} ends with a dot", "take the dot away")
        elif not HOST.fullmatch(name):
            yield Finding(
                (*path, key),
                f"{name!r} is no name of a host",
                "write `www.example.org`, or `*.example.org` for all below, without a port",
            )


def _paths(path: Path, rule: Rule) -> Iterator[Finding]:
    for key, text in (("path", rule.path), ("path_prefix", rule.path_prefix)):
        if text is None:
            continue
        if not text.startswith("/"):
            yield Finding((*path, key), f"{text!r} begins with no /", "begin it with /")
        if re.search(r"[?#\x00-\x20]", text):
            yield Finding(
                (*path, key),
                f"{text!r} has what no path has",
                "write it as clients send it: %20, and what follows a ? as `query`",
            )
    for name, value in (rule.query or {}).items():
        if "=" in name or re.search(r"[&#\x00-\x20]", name + value):
            yield Finding(
                (*path, "query"),
                f"{name}={value} is no one parameter",
                "name one, written as clients send it: %20, %26",
            )


def _headers(path: Path, rule: Rule) -> Iterator[Finding]:
    for key, header in (("header", rule.header), ("header_prefix", rule.header_prefix)):
        for name in header or {}:
            if not TOKEN.fullmatch(name):
                yield Finding(
                    (*path, key), f"{name!r} is no header name", "use letters, digits and -"
                )
            if name.lower() in ("host", "cookie"):
                yield Finding(
                    (*path, key), f"{name} has a condition of its own", f"use `{name.lower()}:`"
                )
