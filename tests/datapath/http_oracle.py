"""What a request head means to the rules, said a second way: by splitting, not by stepping."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from pointsman.config.model import Rule

__all__ = ["UNDECIDED", "judge", "name_fits"]

UNDECIDED = "undecided"
MATCH_TEXT = 124
TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
REQUEST_LINE = re.compile(
    rb"(?P<method>" + TOKEN + rb") "
    rb"(?:(?P<scheme>[^/\x00-\x20][^/\x00-\x20]*/[^/\x00-\x20]*)/(?P<authority>[^/\x00-\x20]*))?"
    rb"(?P<path>/[^\x00-\x20?#]*)(?:\?(?P<query>[^\x00-\x20#]*))?(?:#[^\x00-\x20]*)? "
    rb"(?P<version>[^\n]*)\n"
)
HEADER = re.compile(rb"(?P<name>" + TOKEN + rb"):(?P<value>[^\n]*)\n")


@dataclass
class Request:
    method: bytes
    path: bytes
    parameters: list[bytes]
    hosts: list[bytes]
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    cookies: list[bytes] = field(default_factory=list)


def judge(rules: Sequence[Rule], data: bytes) -> int | str | None:
    """The number of the first rule that holds, None if none does, or UNDECIDED."""
    request = _read(
        data, any(rule.host or rule.header or rule.header_prefix or rule.cookie for rule in rules)
    )
    if request is None:
        return UNDECIDED if rules else None
    for number, rule in enumerate(rules):
        if _holds(rule, request):
            return number
    return None


def _read(data: bytes, headers: bool) -> Request | None:
    line = REQUEST_LINE.match(data)
    if not line or not re.match(rb"HTTP/1\..", line["version"], re.DOTALL):
        return None
    authority = line["authority"]
    request = Request(
        line["method"],
        line["path"],
        (line["query"] or b"").split(b"&"),
        [] if authority is None else [_host(authority)],
    )
    position = line.end()
    while headers:
        if data[position : position + 1] == b"\n" or data[position : position + 2] == b"\r\n":
            break
        header = HEADER.match(data, position)
        if not header:
            return None
        position = header.end()
        _note(request, header["name"].lower(), header["value"], authority is not None)
    return request


def _note(request: Request, name: bytes, value: bytes, has_authority: bool) -> None:
    if name == b"host":
        if not has_authority:
            request.hosts.append(_host(_trim(value)))
    elif name == b"cookie":
        request.cookies += [_trim(part) for part in value.split(b";")]
    else:
        request.headers.append((name, _trim(value)))


def _trim(value: bytes) -> bytes:
    return value.rstrip(b" \t\r").lstrip(b" \t")


def _host(text: bytes) -> bytes:
    bracketed = re.match(rb"\[[^\]]*\][^:]*", text)
    name = (bracketed[0] if bracketed else text.split(b":")[0]).lower()
    return name[:-1] if name.endswith(b".") else name


def name_fits(wanted: str, name: bytes) -> bool:
    """Whether a host's name in lower case is the one wanted, or below it (`*.`)."""
    known = wanted.lower().encode()
    if known.startswith(b"*."):
        # No name is longer than 255 bytes, and the packet programs look up none that is.
        return len(name) > len(known) - 1 and name.endswith(known[1:]) and len(name) <= 255
    return name == known


def _holds(rule: Rule, request: Request) -> bool:
    headers = request.headers
    asked = [
        rule.method is None or rule.method.encode() == request.method,
        rule.host is None or any(name_fits(rule.host, name) for name in request.hosts),
        rule.path is None or rule.path.encode() == request.path,
        rule.path_prefix is None or request.path.startswith(rule.path_prefix.encode()),
        all(
            (name.lower().encode(), value.encode()) in request.headers
            for name, value in (rule.header or {}).items()
        ),
        all(
            any(n == name.lower().encode() and v.startswith(begin.encode()) for n, v in headers)
            for name, begin in (rule.header_prefix or {}).items()
        ),
        all(f"{n}={v}".encode() in request.parameters for n, v in (rule.query or {}).items()),
        all(f"{n}={v}".encode() in request.cookies for n, v in (rule.cookie or {}).items()),
    ]
    return all(asked)
