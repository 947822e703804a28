"""A YAML file as plain values, with the line of each: what `load.py` tells people errors by."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from pointsman.errors import SiteError

__all__ = ["Document", "Key", "one_line", "read_document"]

MAX_BYTES = 4 << 20
MAX_DEPTH = 20
MAX_VALUES = 1_000_000
"""Far above what MAX_BYTES can say in earnest; aliases of aliases multiply."""
BAD_SCALAR = (yaml.YAMLError, ValueError, OverflowError, LookupError, AttributeError)
"""What PyYAML's constructors raise for text that their tag does not fit: `!!bool maybe`."""

Key = tuple[str | int, ...]
"""Where a value stands: `("services", 0, "port")`."""


@dataclass
class Document:
    """What a file says."""

    path: Path
    value: Any = None
    """Of dict, list, str, int, float, bool, None alone."""
    lines: dict[Key, int] = field(default_factory=dict)
    """Of every value; for one in a mapping, the line of its key."""

    def nearest(self, key: Key) -> Key:
        """The innermost part of `key` that the file has."""
        while key not in self.lines and key:
            key = key[:-1]
        return key


def read_document(path: Path) -> Document:
    """Raises SiteError for what is no readable YAML, or no plain data."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SiteError(f"site file {path}: {error.strerror}", "name a readable file") from error
    if len(data) > MAX_BYTES:
        raise SiteError(f"site file {path}: larger than {MAX_BYTES} bytes", "split the site")
    document = Document(path)
    try:
        node = yaml.compose(data.decode(), Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        problem = one_line(str(error.problem))
        raise SiteError(f"{path}:{line}: {problem}", "mend the YAML") from None
    except RecursionError:
        raise _too_deep(path, 1) from None
    except (yaml.YAMLError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise SiteError(f"{path}:1: not YAML in UTF-8 ({reason})", "mend the YAML") from None
    if node is None:
        raise SiteError(f"{path}:1: the file is empty", "begin with examples/demo.yaml")
    document.value = _Reader(document).value(node, ())
    return document


def one_line(text: str) -> str:
    """Keys and values may hold anything; what people see holds no line end and no escape."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _too_deep(path: Path, line: int) -> SiteError:
    return SiteError(
        f"{path}:{line}: nested too deeply", f"no key of a site file is {MAX_DEPTH} levels down"
    )


def _shown(node: yaml.Node) -> str:
    text = repr(node.value)
    return text if len(text) <= 60 else f"{text[:57]}…"


class _Reader:
    """Turns nodes into plain values, and notes where each began."""

    def __init__(self, document: Document) -> None:
        self._path = document.path
        self._lines = document.lines
        self._scalars = yaml.SafeLoader("")

    def value(self, node: yaml.Node, at: Key) -> Any:
        self._lines[at] = node.start_mark.line + 1
        if len(at) > MAX_DEPTH:
            raise _too_deep(self._path, node.start_mark.line + 1)
        if len(self._lines) > MAX_VALUES:
            raise self._error(node, f"more than {MAX_VALUES} values", "use fewer aliases")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, at)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*at, i)) for i, item in enumerate(node.value)]
        return self._scalar(node)

    def _mapping(self, node: yaml.MappingNode, at: Key) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise self._error(key_node, "a key that is no text", "use plain keys")
            key = self._unicode(key_node, str(key_node.value))
            if key in mapping:
                raise self._error(key_node, f"key {key!r} is there twice", "keep one of them")
            mapping[key] = self.value(value_node, (*at, key))
            self._lines[(*at, key)] = key_node.start_mark.line + 1
        return mapping

    def _scalar(self, node: yaml.Node) -> str | int | float | None:
        try:
            value = self._scalars.construct_object(node)
        except BAD_SCALAR:
            kind = node.tag.removeprefix("tag:yaml.org,2002:")
            raise self._error(node, f"{_shown(node)} is no {kind}", "mend or quote it") from None
        if isinstance(value, str):
            return self._unicode(node, value)
        if value is not None and not isinstance(value, int | float):
            kind = type(value).__name__
            raise self._error(node, f"{_shown(node)} reads as a {kind}", "put it in quotes")
        return value

    def _unicode(self, node: yaml.Node, text: str) -> str:
        """YAML's escapes can spell half a character."""
        try:
            text.encode()
        except UnicodeEncodeError:
            raise self._error(
                node, f"{_shown(node)} is no Unicode", "remove the \\ud… escape"
            ) from None
        return text

    def _error(self, node: yaml.Node, what: str, mend: str) -> SiteError:
        return SiteError(f"{self._path}:{node.start_mark.line + 1}: {one_line(what)}", mend)
