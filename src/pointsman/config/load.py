"""Reads a site file; what is wrong with it is told with file, line and key."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from pointsman.config import model
from pointsman.config.crosscheck import Finding, crosscheck
from pointsman.config.model import Site
from pointsman.errors import SiteError

__all__ = ["load_site"]

MAX_BYTES = 4 << 20
MAX_DEPTH = 20
Key = tuple[str | int, ...]
Lines = dict[Key, int]


def load_site(path: Path) -> Site:
    """The site that a YAML file describes.

    Raises SiteError for the first thing that is wrong, and says how many more there are.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SiteError(f"site file {path}: {error.strerror}", "name a readable file") from error
    if len(data) > MAX_BYTES:
        raise SiteError(f"site file {path}: larger than {MAX_BYTES} bytes", "split the site")
    lines: Lines = {}
    document = _read_yaml(path, data, lines)
    try:
        site = Site.model_validate(document)
    except ValidationError as error:
        findings = [_finding(details) for details in error.errors()]
        raise _site_error(path, lines, findings) from None
    findings = crosscheck(site)
    if findings:
        raise _site_error(path, lines, findings)
    return site


def _site_error(path: Path, lines: Lines, findings: Sequence[Finding]) -> SiteError:
    first = findings[0]
    more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
    where = _dotted(first.path)
    return SiteError(
        f"{path}:{_line(lines, first.path)}: {where + ': ' if where else ''}{first.what}",
        first.mend + more,
    )


def _line(lines: Lines, path: Key) -> int:
    """Of the node, or of the nearest one around it that the file has."""
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path, 1)


def _dotted(path: Key) -> str:
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


# ---- YAML, with the line of every node


def _read_yaml(path: Path, data: bytes, lines: Lines) -> Any:
    try:
        node = yaml.compose(data.decode(), Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise SiteError(f"{path}:{line}: {error.problem}", "mend the YAML") from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise SiteError(
            f"{path}:1: not YAML in UTF-8 ({str(error).splitlines()[0]})", "mend the YAML"
        ) from None
    if node is None:
        raise SiteError(f"{path}:1: the file is empty", "begin with examples/demo.yaml")
    return _Reader(path, lines).value(node, ())


class _Reader:
    """Turns nodes into plain values, and notes where each began."""

    def __init__(self, path: Path, lines: Lines) -> None:
        self._path = path
        self._lines = lines
        self._scalars = yaml.SafeLoader("")

    def value(self, node: yaml.Node, at: Key) -> Any:
        self._lines[at] = node.start_mark.line + 1
        if len(at) > MAX_DEPTH:
            raise self._error(node, "nested too deeply", "no key of a site file goes that deep")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, at)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*at, i)) for i, item in enumerate(node.value)]
        try:
            return self._scalars.construct_object(node)  # type: ignore[no-untyped-call]
        except (yaml.YAMLError, ValueError, OverflowError) as error:
            message = str(error).splitlines()[0]
            raise self._error(node, f"no value ({message})", "mend or quote it") from None

    def _mapping(self, node: yaml.MappingNode, at: Key) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise self._error(key_node, "a key that is no text", "use plain keys")
            key = str(key_node.value)
            if key in mapping:
                raise self._error(key_node, f"key {key} is there twice", "keep one of them")
            mapping[key] = self.value(value_node, (*at, key))
            self._lines[(*at, key)] = key_node.start_mark.line + 1
        return mapping

    def _error(self, node: yaml.Node, what: str, mend: str) -> SiteError:
        return SiteError(f"{self._path}:{node.start_mark.line + 1}: {what}", mend)


# ---- pydantic's findings, in our words


def _finding(details: ErrorDetails) -> Finding:
    # Unions add the name of the branch that failed; that is no key of the file.
    path = tuple(
        part for part in details["loc"] if isinstance(part, int) or part in _ALL_KEYS or not part
    )
    if details["type"] == "extra_forbidden":
        path = details["loc"]
        return Finding(path, f"unknown key {path[-1]}", _did_you_mean(str(path[-1])))
    if details["type"] == "missing":
        path = details["loc"]
        return Finding(path[:-1], f"key {path[-1]} is missing", "add it")
    message = details["msg"][0].lower() + details["msg"][1:]
    return Finding(path, message, "see docs/site-file.md")


def _did_you_mean(key: str) -> str:
    near = difflib.get_close_matches(key, _ALL_KEYS, n=1)
    return f"did you mean {near[0]}?" if near else "remove it, or see docs/site-file.md"


_ALL_KEYS = frozenset(
    field
    for name in model.__all__
    if isinstance(kind := getattr(model, name), type) and issubclass(kind, BaseModel)
    for field in kind.model_fields
)
