"""Laws of what is not Python's: maps say whose they are, scripts parse; and tests don't sleep."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BPF = ROOT / "src" / "pointsman" / "datapath" / "bpf"
MAP = re.compile(r"^\} (\w+) SEC\(\"\.maps\"\);", re.MULTILINE)
COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
POLLING = "until"
"""The one name of helpers that ask until something holds; they alone may sleep."""


def speechless(text: str, word: str) -> list[str]:
    """Maps of a header that no comment above them both names and says `word` of."""
    found = []
    for one in MAP.finditer(text):
        above = COMMENT.findall(text[: one.start()])
        if not any(
            re.search(rf"\b{one[1]}\b", comment) and f"{word}:" in comment for comment in above
        ):
            found.append(one[1])
    return found


def sleeps(tree: ast.AST, function: str = "") -> Iterator[int]:
    """Lines that sleep outside a polling helper."""
    for node in ast.iter_child_nodes(tree):
        inside = node.name if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else function
        if isinstance(node, ast.Call) and inside != POLLING:
            called = ast.unparse(node.func)
            # sleep(0) lets other tasks run; it waits for no time to pass.
            if called.split(".")[-1] == "sleep" and ast.unparse(node.args[0]) != "0":
                yield node.lineno
        yield from sleeps(node, inside)


@pytest.mark.parametrize("header", ["unit_maps.h", "host_maps.h"])
@pytest.mark.parametrize("word", ["Owner", "Life"])
def test_every_map_says_whose_it_is_and_for_how_long(header: str, word: str) -> None:
    text = (BPF / "lib" / header).read_text()
    assert MAP.search(text)
    assert speechless(text, word) == []


def test_map_without_a_word_is_seen() -> None:
    text = '/* a. Owner: me. */\n} a SEC(".maps");\n} b SEC(".maps");\n'
    assert speechless(text, "Owner") == ["b"]
    assert speechless(text, "Life") == ["a", "b"]


def test_no_test_sleeps() -> None:
    found = {
        str(path.relative_to(ROOT)): lines
        for path in sorted((ROOT / "tests").rglob("*.py"))
        if (lines := list(sleeps(ast.parse(path.read_text()))))
    }
    assert found == {}


def test_sleep_is_seen() -> None:
    code = "import time\ntime.sleep(1)\ndef until(): time.sleep(1)\nasync def f(): await sleep(.1)"
    assert list(sleeps(ast.parse(code))) == [2, 4]


@pytest.mark.parametrize("script", sorted(ROOT.glob("tools/*.sh")), ids=lambda path: path.name)
def test_script_parses(script: Path) -> None:
    shell = script.read_text().splitlines()[0].removeprefix("#!")
    done = subprocess.run([shell, "-n", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
