"""Reads a site file; what is wrong with it is told with file, line and key."""

from __future__ import annotations

import difflib
import json
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from pointsman.config.crosscheck import Finding, crosscheck
from pointsman.config.document import Document, Key, one_line, read_document
from pointsman.config.model import Site
from pointsman.errors import SiteError

__all__ = ["load_site"]

WORDS = {
    "int_type": ("is no number", "write a whole number, without quotes"),
    "list_type": ("is no list", "put it in [ ]"),
    "model_type": ("is no mapping", "write `key: value` there"),
    "dict_type": ("is no mapping", "write `key: value` there"),
    "string_type": ("is no text", "put text there, in quotes"),
}
"""pydantic's kinds of error, where its own words would not help an operator."""


def load_site(path: Path) -> Site:
    """The site that a YAML file describes.

    Raises SiteError for the first thing that is wrong, and says how many more there are.
    """
    document = read_document(path)
    try:
        # Strict, as JSON is read: no number from "80" or true, no address from 11.
        site = Site.model_validate_json(json.dumps(document.value), strict=True)
    except ValidationError as error:
        raise _site_error(document, _findings(document, error)) from None
    findings = crosscheck(site)
    if findings:
        raise _site_error(document, findings)
    return site


def _site_error(document: Document, findings: list[Finding]) -> SiteError:
    first = findings[0]
    more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
    line = document.lines[document.nearest(first.path)]
    where = f"{_dotted(first.path)}: " if first.path else ""
    what = one_line(f"{where}{first.what}")
    return SiteError(f"{document.path}:{line}: {what}", one_line(first.mend) + more)


def _dotted(path: Key) -> str:
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _findings(document: Document, error: ValidationError) -> list[Finding]:
    """One a value: a union complains once for each of its branches."""
    found: dict[Key, Finding] = {}
    # An unknown key first: the one that is missing is often the same, well spelt.
    for details in sorted(error.errors(), key=lambda each: each["type"] != "extra_forbidden"):
        finding = _finding(document, details)
        found.setdefault((*finding.path, finding.what), finding)
    return list(found.values())


def _finding(document: Document, details: ErrorDetails) -> Finding:
    # Branches of unions are part of pydantic's path, and no part of the file's.
    path = document.nearest(details["loc"])
    name = str(details["loc"][-1]) if details["loc"] else ""
    if details["type"] == "extra_forbidden":
        return Finding(path, f"unknown key {name}", _did_you_mean(path))
    if details["type"] == "missing":
        return Finding(path, f"key {name} is missing", "add it")
    value = details["input"]
    shown = "the value" if isinstance(value, dict | list) else json.dumps(value, ensure_ascii=False)
    if len(shown) > 60:
        shown = f"{shown[:57]}…"
    what, mend = _words(details)
    return Finding(path, f"{shown} {what}", mend)


def _words(details: ErrorDetails) -> tuple[str, str]:
    """What is wrong with a value, and the mend."""
    kind, where = details["type"], str(details["loc"][-1:])
    if kind == "value_error":  # only the ipaddress module raises any
        if "interface" in where:
            return "is no IP address with prefix length", "write it like 192.0.2.1/24"
        if "address" in where:
            return "is no IP address", 'write it like 192.0.2.1 or "2001:db8::1"'
        return "is no network", 'write it like 192.0.2.0/24 or "2001:db8::/64", the rest all zeros'
    if kind == "string_pattern_mismatch":  # nobody should have to read a regular expression
        if "interface" in where:
            return "is no interface's name", "take 1 to 15 characters, no space, / or :"
        if "listen" in str(details["loc"]):
            return "is no protocol and port", "write it like tcp/80, udp/5000-6000 or gre"
        return "is no name", "take 1 to 15 of a-z, 0-9 and -, a letter first"
    # `Input should be 'none' or 'http'`: what follows the subject.
    _, should, rest = details["msg"].replace(" after validation", "").partition("should ")
    return WORDS.get(kind, (should + rest or f"is wrong ({details['msg']})", "change it"))


def _did_you_mean(path: Key) -> str:
    known = _known_keys(path[:-1])
    near = difflib.get_close_matches(str(path[-1]), known, n=1)
    return f"did you mean {near[0]}?" if near else f"take one of: {', '.join(known)}"


def _known_keys(path: Key) -> list[str]:
    """What the part of the site at `path` may have."""
    model: type[BaseModel] = Site
    for part in path:
        if isinstance(part, str):
            inner = _model_in(model.model_fields[part].annotation)
            assert inner is not None, path
            model = inner
    return list(model.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The model in `list[Unit]` or `Lab | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_model_in, get_args(annotation))), None)
