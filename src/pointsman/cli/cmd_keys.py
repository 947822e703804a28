"""`pointsman keys`: the cluster's key."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pointsman.config.keys import make_key_file

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    keys = typer.Typer(help="The key that units and hosts share.", no_args_is_help=True)
    app.add_typer(keys, name="keys")

    @keys.command("make")
    def make(path: Annotated[Path, typer.Argument(help="Where to write it.")]) -> None:
        """Write a new key file, for its owner alone."""
        make_key_file(path)
        typer.echo(f"{path}: written; copy it to every unit and host")

    @keys.callback()
    def _group() -> None:
        pass
