"""`pointsman host`: runs the agent of one host in the foreground."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pointsman.config.keys import key_path, load_key
from pointsman.config.load import load_site
from pointsman.daemon import log
from pointsman.datapath.features import require_root
from pointsman.host.main import run_host

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    @app.command("host")
    def host(
        site: Annotated[Path, typer.Option(readable=False, help="The site file.")],
        node: Annotated[str, typer.Option(help="Which of the site's hosts this is.")],
        run_dir: Annotated[
            Path, typer.Option(readable=False, help="Status socket and records.")
        ] = Path("/run/pointsman"),
        key_file: Annotated[
            Path | None,
            typer.Option(readable=False, help="The cluster's key, if not where the site says."),
        ] = None,
    ) -> None:
        """Run the agent in front of the application on this machine."""
        log.configure()
        require_root()  # before the key: others may not even read it
        loaded = load_site(site)
        run_host(loaded, node, run_dir, load_key(key_file or key_path(loaded, site)))
