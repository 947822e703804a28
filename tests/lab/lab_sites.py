"""Sites for labs, written down for one test."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

__all__ = ["write_site"]

HOST = "interface: e0, max_mappings: 10_000"
UNIT = "interface: e0, max_flows: 10_000"


def write_site(folder: Path, text: str) -> Path:
    """`HOST` and `UNIT` in it stand for what hosts and units of every small lab have."""
    path = folder / "site.yaml"
    path.write_text(dedent(text).replace("HOST", HOST).replace("UNIT", UNIT))
    return path
