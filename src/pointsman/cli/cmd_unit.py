"""`pointsman unit`: runs one unit in the foreground."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pointsman.config.keys import key_path, load_key
from pointsman.config.load import load_site
from pointsman.daemon import log
from pointsman.datapath.features import require_root
from pointsman.unit.main import run_unit

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    @app.command("unit")
    def unit(
        site: Annotated[Path, typer.Option(readable=False, help="The site file.")],
        node: Annotated[str, typer.Option(help="Which of the site's units this is.")],
        run_dir: Annotated[
            Path, typer.Option(readable=False, help="Status socket and records.")
        ] = Path("/run/pointsman"),
        key_file: Annotated[
            Path | None,
            typer.Option(readable=False, help="The cluster's key, if not where the site says."),
        ] = None,
    ) -> None:
        """Run a unit: forwarder and classifier on this machine."""
        log.configure()
        require_root()  # before the key: others may not even read it
        loaded = load_site(site)
        run_unit(loaded, node, run_dir, load_key(key_file or key_path(loaded, site)))
