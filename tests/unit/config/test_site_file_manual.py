"""docs/site-file.md has every key of the site file and no other, and its example can run."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from pointsman.config import model
from pointsman.config.load import load_site

MANUAL = Path(__file__).parents[3] / "docs" / "site-file.md"
SECTIONS: dict[str, type[BaseModel]] = {
    "Top": model.Site,
    "Cluster": model.Cluster,
    "Tunnel": model.Tunnel,
    "Timeouts": model.Timeouts,
    "Units": model.Unit,
    "Hosts": model.Host,
    "Pools": model.Pool,
    "Services": model.Service,
    "Rules": model.Rule,
    "Lab": model.Lab,
}
WORDS = {"all defaults", "none", "any", "both"}
"""What the manual says of defaults that are no scalar."""


def model_in(annotation: Any) -> type[BaseModel] | None:
    """The model in `list[Unit]` or `Lab | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(model_in, get_args(annotation))), None)


def keys(part: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Of a part, and of the parts in it that have no section of their own."""
    for name, field in part.model_fields.items():
        yield prefix + name, field
        inner = model_in(field.annotation)
        if inner is not None and inner not in SECTIONS.values():
            many = "[]" if "list" in str(field.annotation) else ""
            yield from keys(inner, f"{prefix}{name}{many}.")


def manual() -> dict[str, dict[str, tuple[str, str]]]:
    """Section to key to type and default."""
    found = {}
    for section in MANUAL.read_text().split("\n## ")[1:]:
        rows = re.findall(r"^\| `([^`]+)` \| (.*?) \| (.*?) ?\| .*\|$", section, re.MULTILINE)
        found[section.split("\n")[0]] = {key: (kind, default) for key, kind, default in rows}
    return found


def test_every_model_is_in_the_manual() -> None:
    models = {
        one
        for name in model.__all__
        if isinstance(one := getattr(model, name), type) and issubclass(one, BaseModel)
    }
    in_manual = {
        inner
        for part in SECTIONS.values()
        for _, f in keys(part)
        if (inner := model_in(f.annotation))
    }
    assert in_manual | {model.Site} == models


@pytest.mark.parametrize("section", SECTIONS)
def test_section_has_the_keys_of_its_part(section: str) -> None:
    assert list(manual()[section]) == [key for key, _ in keys(SECTIONS[section])]


def test_there_is_no_other_section() -> None:
    assert list(manual()) == list(SECTIONS)


@pytest.mark.parametrize("section", SECTIONS)
def test_defaults_and_limits_are_the_models(section: str) -> None:
    for key, field in keys(SECTIONS[section]):
        kind, default = manual()[section][key]
        if field.is_required():
            assert default == "", key
        elif isinstance(field.default, int | str):
            shown = json.dumps(field.default)
            assert default == (f"`{field.default}`" if isinstance(field.default, str) else shown)
        elif key != "key_file":
            assert default in WORDS, key
        limits = [
            str(limit)
            for one in field.metadata
            for limit in (getattr(one, "ge", None), getattr(one, "le", None))
            if limit is not None
        ]
        if limits:
            assert kind == " to ".join(limits), key


def test_example_can_run(tmp_path: Path) -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", MANUAL.read_text(), re.DOTALL)
    path = tmp_path / "site.yaml"
    path.write_text(example)
    assert load_site(path).cluster.name == "shop"
