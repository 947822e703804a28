"""Horizontal bars as SVG: what the figures in docs/performance.md need, and no more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

__all__ = ["Bar", "bars"]

LEFT, WIDTH, ROW, TOP = 290, 420, 22, 34
"""Pixels: room for labels, the longest bar, a row, the title."""
COLOURS = {"own": "#1f6f8b", "other": "#b8b8b8", "floor": "#e0a030"}
STYLE = "font-family:sans-serif;font-size:12px"


@dataclass(frozen=True)
class Bar:
    label: str
    value: float
    kind: str = "own"
    """own, other or floor."""


def bars(title: str, rows: Sequence[Bar], digits: int = 0) -> str:
    """One bar a row, each to the same scale. ValueError if there is nothing to draw."""
    longest = max((bar.value for bar in rows), default=0)
    if longest <= 0:
        raise ValueError(f"{title}: no bar longer than 0")
    height = TOP + ROW * len(rows) + 8
    width = LEFT + WIDTH + 80
    size = f'width="{width}" height="{height}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} style="{STYLE}">',
        f'<rect {size} fill="#ffffff"/>',
        f'<text x="8" y="20" font-weight="bold">{escape(title)}</text>',
    ]
    for number, bar in enumerate(rows):
        y = TOP + ROW * number
        length = max(bar.value, 0) / longest * WIDTH
        shape = f'width="{length:.1f}" height="{ROW - 7}" fill="{COLOURS[bar.kind]}"'
        lines += [
            f'<text x="{LEFT - 8}" y="{y + 13}" text-anchor="end">{escape(bar.label)}</text>',
            f'<rect x="{LEFT}" y="{y + 2}" {shape}/>',
            f'<text x="{LEFT + length + 6:.1f}" y="{y + 13}">{bar.value:,.{digits}f}</text>',
        ]
    return "\n".join([*lines, "</svg>"]) + "\n"
