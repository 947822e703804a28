"""`pointsman check`: says whether a site file can run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pointsman.config.load import load_site

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    @app.command("check")
    def check(file: Annotated[Path, typer.Argument(readable=False, help="The site file.")]) -> None:
        """Check a site file; exit status 2 and one line if it can't run."""
        site = load_site(file)
        typer.echo(f"{file}: cluster {site.cluster.name} can run")
        for service in site.services:
            addresses = ", ".join(map(str, service.addresses))
            how = (
                f"{len(service.rules)} rules, else pool {service.pool}"
                if service.inspect.uploads
                else f"pool {service.pool}"
            )
            listens = ", ".join(map(str, service.listens))
            typer.echo(f"  service {service.name}: {addresses} {listens}: {how}")
        for pool in site.pools:
            members = ", ".join(f"{member.host}×{member.weight}" for member in pool.members)
            typer.echo(f"  pool {pool.name}: {members}")
        typer.echo(f"  {len(site.units)} units, {len(site.hosts)} hosts")
