"""Whatever a site file holds: it loads, or a SiteError says in one line why not."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pointsman.config.load import load_site
from pointsman.errors import SiteError

DEMO = (Path(__file__).parents[3] / "examples" / "demo.yaml").read_text()
PIECES = sorted(
    {*DEMO.split(), "&a", "*a", "!!int", "!!bool", "!!timestamp", "<<:", "|", "? ", "---"}
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def site_file() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder) / "site.yaml"


def loads_or_refuses(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    refusal = None
    try:
        load_site(path)
    except SiteError as error:
        refusal = error
    if refusal:
        assert str(refusal).isprintable()
        assert str(path) in refusal.what
        assert refusal.mend


@given(data=st.binary(max_size=200))
def test_any_bytes(site_file: Path, data: bytes) -> None:
    loads_or_refuses(site_file, data)


@given(
    pieces=st.lists(
        st.sampled_from(PIECES) | st.text(max_size=4) | st.sampled_from(["\n", "\n  ", "\n    "]),
        max_size=30,
    )
)
def test_any_yaml_like_text(site_file: Path, pieces: list[str]) -> None:
    loads_or_refuses(site_file, " ".join(pieces).encode(errors="surrogatepass"))


@given(value=VALUES)
def test_any_document(site_file: Path, value: Any) -> None:
    loads_or_refuses(site_file, yaml.safe_dump(value).encode())


@given(value=VALUES, seed=st.integers(0, 2**32))
def test_demo_with_any_value_put_somewhere(site_file: Path, value: Any, seed: int) -> None:
    document = yaml.safe_load(DEMO)
    _put_somewhere(document, value, random.Random(seed))
    loads_or_refuses(site_file, yaml.safe_dump(document).encode())


@given(cut=st.integers(0, len(DEMO)), noise=st.text(max_size=6))
def test_demo_with_noise(site_file: Path, cut: int, noise: str) -> None:
    text = DEMO[:cut] + noise + DEMO[cut + len(noise) :]
    loads_or_refuses(site_file, text.encode(errors="surrogatepass"))


def _put_somewhere(part: Any, value: Any, dice: random.Random) -> None:
    """Replaces, adds or removes one entry at a random depth."""
    key = dice.choice(list(part) if isinstance(part, dict) else range(len(part)))
    if isinstance(part[key], dict | list) and dice.random() < 0.8:
        _put_somewhere(part[key], value, dice)
    elif dice.random() < 0.2:
        del part[key]
    else:
        part[key] = value
