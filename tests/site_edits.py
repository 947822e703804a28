"""The tests' site, edited, and what the cross-checks say of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from pointsman.config.crosscheck import Finding, crosscheck
from pointsman.config.model import Site

__all__ = ["SITE", "WEB", "Document", "Edit", "findings", "node", "the_only"]

SITE = Path(__file__).with_name("site.yaml")
WEB = ("services", 0)
Document = dict[str, Any]
Edit = Callable[[Document], Any]


def findings(edit: Edit) -> list[Finding]:
    """Of the site after an edit."""
    document: Document = yaml.safe_load(SITE.read_text())
    edit(document)
    return crosscheck(Site.model_validate(document))


def the_only(found: list[Finding]) -> Finding:
    assert len(found) == 1, found
    return found[0]


def node(document: Document, kind: str, number: int) -> Document:
    entry: Document = document[kind][number]
    return entry
