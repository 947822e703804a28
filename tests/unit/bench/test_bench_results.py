"""What the bench makes of its figures: medians, tables, bars, budgets, comparisons."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from bars import Bar, bars
from budgets import BUDGETS, judge
from compare import comparison
from loads import LOADS
from results import Cost, Figures, Results
from tables import figures, put_between_marks, readme_table, tables
from targets import TARGETS

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def results() -> Results:
    """Two rounds, in the second of which the machine was half as fast."""
    speeds = {
        "direct": 1000.0,
        "pointsman": 980.0,
        "plain": 990.0,
        "haproxy": 500.0,
        "haproxy-fresh": 400.0,
        "nginx": 450.0,
    }
    found = Results("abc1234", "2 CPUs", 2, 1)
    for load in LOADS:
        found.loads[load.name] = {
            name: Figures([speeds[name], speeds[name] / 2], [1.0, 2.0], [10.0, 20.0])
            for name in load.targets
        }
    for name in ("keepalive", "close"):
        found.cpu[name] = {
            "direct": Cost([], [20_000.0]),
            "pointsman": Cost([500.0], [21_000.0]),
            "plain": Cost([400.0], [21_000.0]),
            "haproxy": Cost([25_000.0], [50_000.0]),
            "nginx": Cost([30_000.0], [55_000.0]),
        }
    found.packets = {
        "established, IPv4": {"ns": 50, "lookup_ns": 25, "ratio": 2},
        "new plain, same client, IPv4": {"ns": 400, "lookup_ns": 25, "ratio": 16, "insert_ns": 160},
    }
    found.datagrams = {"direct": [300_000.0], "plain": [200_000.0]}
    found.memory = {"per million connections, IPv6": 137.0}
    return found


def test_ratios_are_taken_within_a_round(results: Results) -> None:
    assert results.ratio("keepalive", "pointsman", "direct") == pytest.approx(0.98)
    assert results.cpu_ratio("keepalive", "pointsman", "haproxy") == pytest.approx(1 / 50)


def test_budgets_say_what_is_missed(results: Results) -> None:
    assert judge(results) == ["new plain connection, against parse and one lookup ≤ 6: 16"]
    assert len(results.budgets) == len(BUDGETS)
    assert [found["met"] for found in results.budgets.values()].count(False) == 1
    results.loads["close"]["pointsman"].figure = [599.0, 299.0]
    assert len(judge(results)) == 2


def test_a_budget_without_its_figure_is_an_error(results: Results) -> None:
    results.memory.clear()
    with pytest.raises(KeyError):
        judge(results)


def test_results_survive_being_written(results: Results, tmp_path: Path) -> None:
    judge(results)
    results.write(tmp_path / "results.json")
    assert Results.parse((tmp_path / "results.json").read_text()) == results


def test_readme_table(results: Results) -> None:
    table = readme_table(results).splitlines()
    assert table[0] == "| load | no load balancer | Pointsman, by path | HAProxy | nginx |"
    assert table[2] == (
        "| keep-alive, small answers, requests/s | 750 | 735 (×0.98) | 375 (×0.50) | 338 (×0.45) |"
    )
    assert (
        "| CPU between client and host per keep-alive request, µs | 0 | 0.50 | 25.00 |"
        in (table[6])
    )


def test_every_table_has_as_many_cells_as_its_head(results: Results) -> None:
    judge(results)
    for text in tables(results).values():
        lines = [line for line in text.splitlines() if line.startswith("|")]
        assert len({line.count("|") for line in lines}) == 1
        assert len(lines) > 2


def test_figures_are_svg_with_a_bar_for_each(results: Results) -> None:
    made = figures(results)
    assert set(made) == {*(f"{load.name}.svg" for load in LOADS), "packets.svg"}
    for text in made.values():
        assert ElementTree.fromstring(text).tag.endswith("svg")
    assert made["close.svg"].count("<rect") == len(TARGETS) + 1


def test_bars_are_to_scale_and_escaped() -> None:
    root = ElementTree.fromstring(bars("a & b", [Bar("<x>", 10), Bar("y", 5, "floor")]))
    _, long, short = (e for e in root if e.tag.endswith("rect"))
    assert float(long.attrib["width"]) == 2 * float(short.attrib["width"])
    assert "<x>" in [e.text for e in root]
    with pytest.raises(ValueError, match="no bar"):
        bars("nothing", [])


def test_comparison_shows_both_and_what_one_lacks(results: Results) -> None:
    other = Results("def5678", "2 CPUs", 1, 1)
    other.packets = {"established, IPv4": {"ns": 25}, "late": {"ns": 7}}
    lines = comparison(results, other)
    assert lines[0].split() == ["abc1234", "def5678", "ratio"]
    assert [line.split()[-3:] for line in lines if "established" in line] == [
        ["50.00", "25.00", "0.50"]
    ]
    assert [line.split()[-2:] for line in lines if line.startswith("ns late")] == [["—", "7.00"]]


def test_compare_reads_files(results: Results, tmp_path: Path) -> None:
    results.write(tmp_path / "a.json")
    one = str(tmp_path / "a.json")
    command = [sys.executable, str(ROOT / "bench" / "compare.py"), one]
    done = subprocess.run([*command, one], capture_output=True, text=True)
    assert done.returncode == 0
    assert "1.00" in done.stdout
    refused = subprocess.run([*command, "no-such-commit"], capture_output=True, text=True)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.startswith("no results to compare: ")


def test_only_what_stands_between_the_marks_changes(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- x: begin -->\nold\n<!-- x: end -->\nb\n")
    put_between_marks(page, "x", "new \\1")
    assert page.read_text() == "a\n<!-- x: begin -->\nnew \\1\n<!-- x: end -->\nb\n"
    with pytest.raises(ValueError, match="0 places marked y"):
        put_between_marks(page, "y", "new")
