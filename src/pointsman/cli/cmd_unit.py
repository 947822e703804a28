"""`pointsman unit`: runs one unit in the foreground."""

from __future__ import annotations

import typer

from pointsman.cli.options import RUN_DIR, KeyFile, Node, RunDir, SiteFile
from pointsman.config.keys import key_path, load_key, load_quic_keys
from pointsman.config.load import load_site
from pointsman.daemon import log
from pointsman.datapath.features import require_root
from pointsman.unit.main import UnitKeys, run_unit

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    @app.command("unit")
    def unit(
        site: SiteFile, node: Node, run_dir: RunDir = RUN_DIR, key_file: KeyFile = None
    ) -> None:
        """Run a unit: forwarder and classifier on this machine."""
        log.configure()
        require_root()  # before the key: others may not even read it
        loaded = load_site(site)
        cluster = load_key(key_file or key_path(loaded, site))
        run_unit(loaded, node, run_dir, UnitKeys(cluster, load_quic_keys(loaded, site)))
