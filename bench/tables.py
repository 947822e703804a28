"""The results as Markdown tables and figures, put between marks in README.md and the manual."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from bars import Bar, bars
from loads import LOADS
from results import Results
from targets import TARGETS

__all__ = ["figures", "packets_table", "put_between_marks", "readme_table", "tables"]

SHOWN = ("pointsman", "haproxy", "nginx")
CPU_TITLES = {"keepalive": "keep-alive request", "close": "one-request connection"}


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _note(results: Results) -> str:
    return (
        f"Medians of {results.rounds} rounds of {results.slices} interleaved seconds each "
        f"({results.machine}; client, router, unit, host with nginx, and the proxies are "
        "namespaces of that one machine, XDP generic). × is the ratio to no load balancer in the "
        "same round."
    )


def readme_table(results: Results) -> str:
    """What a newcomer wants to know."""
    rows = [_load_row(results, load.name, f"{load.title}, {load.unit}", SHOWN) for load in LOADS]
    rows += _cpu_rows(results, SHOWN)
    head = ["load", *(TARGETS[name].title for name in ("direct", *SHOWN))]
    return f"{_markdown(head, rows)}\n\n{_note(results)} By `make bench`."


def _load_row(results: Results, load: str, title: str, shown: Sequence[str]) -> list[str]:
    found = results.loads[load]
    cells = [title, f"{median(found['direct'].figure):,.0f}"]
    for target in shown:
        if target in found:
            ratio = results.ratio(load, target, "direct")
            cells.append(f"{median(found[target].figure):,.0f} (×{ratio:.2f})")
        else:
            cells.append("")
    return cells


def _cpu_rows(results: Results, shown: Sequence[str]) -> list[list[str]]:
    rows = []
    for load, costs in results.cpu.items():
        cells = [f"CPU between client and host per {CPU_TITLES[load]}, µs", "0"]
        for target in shown:
            cost = median(costs[target].between) if target in costs else None
            cells.append("" if cost is None else f"{cost / 1000:.2f}")
        rows.append(cells)
    return rows


def tables(results: Results) -> dict[str, str]:
    """Mark to text, for docs/performance.md."""
    shown = [name for name in TARGETS if name != "direct"]
    head = ["load", *(TARGETS[name].title for name in ("direct", *shown))]
    loads = [_load_row(results, load.name, f"{load.title}, {load.unit}", shown) for load in LOADS]
    latency = [
        [f"{load.title}, p50 / p99, ms", *(_latency(results, load.name, name) for name in TARGETS)]
        for load in LOADS
    ]
    machine = [
        [
            f"CPU of the whole machine per {CPU_TITLES[load]}, µs",
            *(
                f"{median(costs[name].machine) / 1000:.1f}" if name in costs else ""
                for name in TARGETS
            ),
        ]
        for load, costs in results.cpu.items()
    ]
    rates = {target: f"{median(rates):,.0f}" for target, rates in results.datagrams.items()}
    datagrams = ["UDP datagrams/s, one flow, one CPU", *(rates.get(name, "") for name in TARGETS)]
    rows = [*loads, datagrams, *latency, *_cpu_rows(results, shown), *machine]
    return {
        "loads": f"{_markdown(head, rows)}\n\n{_note(results)}",
        "packets": packets_table(results),
        "memory": _markdown(
            ["memory of maps", "MB"], [[k, f"{v:,.1f}"] for k, v in results.memory.items()]
        ),
        "budgets": _markdown(
            ["budget", "measured", "met"],
            [
                [text, f"{found['figure']:.3g}", "yes" if found["met"] else "**no**"]
                for text, found in results.budgets.items()
            ],
        ),
    }


def _latency(results: Results, load: str, target: str) -> str:
    found = results.loads[load].get(target)
    return f"{median(found.p50_ms):.2f} / {median(found.p99_ms):.1f}" if found else ""


def packets_table(results: Results) -> str:
    """What a packet costs on every path, beside the floors."""
    rows = [
        [
            path,
            f"{found['ns']:.0f}",
            f"{found['lookup_ns']:.0f}",
            f"{found['ratio']:.1f}",
            f"{found['insert_ns']:.0f}" if "insert_ns" in found else "",
        ]
        for path, found in results.packets.items()
    ]
    return _markdown(
        ["path", "ns", "parse + lookup, ns", "ratio", "parse + lookup + insertion, ns"], rows
    )


def figures(results: Results) -> dict[str, str]:
    """File name to SVG."""
    found = {
        f"{load.name}.svg": bars(
            f"{load.title}, {load.unit}",
            [
                Bar(
                    TARGETS[target].title,
                    median(results.loads[load.name][target].figure),
                    "own" if target in ("pointsman", "plain") else "other",
                )
                for target in load.targets
            ],
        )
        for load in LOADS
    }
    rows = [Bar("floor: parse + one lookup", _floor(results, "lookup_ns"), "floor")]
    rows += [Bar("floor: … + one insertion", _floor(results, "insert_ns"), "floor")]
    rows += [Bar(path, summary["ns"]) for path, summary in results.packets.items()]
    return {**found, "packets.svg": bars("ns a packet, above a bare XDP_TX", rows)}


def _floor(results: Results, name: str) -> float:
    return min(summary[name] for summary in results.packets.values() if name in summary)


def put_between_marks(path: Path, mark: str, text: str) -> None:
    """Replaces what stands between `<!-- MARK: begin -->` and its end. ValueError without them."""
    pattern = re.compile(rf"(<!-- {mark}: begin -->\n).*?(<!-- {mark}: end -->)", re.DOTALL)
    made, count = pattern.subn(lambda match: f"{match[1]}{text}\n{match[2]}", path.read_text())
    if count != 1:
        raise ValueError(f"{path}: {count} places marked {mark}")
    path.write_text(made)
