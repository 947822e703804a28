"""Two commits' figures side by side.

    python bench/compare.py A [B]

A and B are commits whose bench/results.json is meant, or files. B is by default the working
tree's.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from results import Results

__all__ = ["comparison"]

ROOT = Path(__file__).resolve().parent.parent
RESULTS = "bench/results.json"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("a")
    parser.add_argument("b", nargs="?", default=str(ROOT / RESULTS))
    options = parser.parse_args()
    try:
        first, second = (Results.parse(_text(name)) for name in (options.a, options.b))
    except (OSError, ValueError, TypeError, subprocess.CalledProcessError) as error:
        print(f"no results to compare: {error}", file=sys.stderr)
        return 2
    print("\n".join(comparison(first, second)))
    return 0


def _text(name: str) -> str:
    if Path(name).is_file():
        return Path(name).read_text()
    command = ["git", "-C", str(ROOT), "show", f"{name}:{RESULTS}"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def comparison(first: Results, second: Results) -> list[str]:
    """A line a figure that either has: both, and the second's ratio to the first."""
    a, b = first.medians(), second.medians()
    width = max(map(len, {*a, *b}))
    lines = [f"{'':{width}} {first.commit:>12} {second.commit:>12}  ratio"]
    for name in [*a, *(name for name in b if name not in a)]:
        cells = [f"{found[name]:12,.2f}" if name in found else f"{'—':>12}" for found in (a, b)]
        both = name in a and name in b and a[name]
        lines.append(
            f"{name:{width}} {' '.join(cells)}  {b[name] / a[name]:.2f}"
            if both
            else f"{name:{width}} {' '.join(cells)}"
        )
    return lines


if __name__ == "__main__":
    sys.exit(main())
