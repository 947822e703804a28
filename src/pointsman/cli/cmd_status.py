"""`pointsman status`: what a daemon on this machine says of itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from pointsman.daemon.status import read_status

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    @app.command("status")
    def status(
        node: Annotated[str, typer.Argument(help="A node that runs here.")],
        run_dir: Annotated[
            Path, typer.Option(readable=False, help="Where its status socket is.")
        ] = Path("/run/pointsman"),
        as_json: Annotated[bool, typer.Option("--json", help="The whole document.")] = False,
    ) -> None:
        """Show counters and next hops of a unit or host agent."""
        document = read_status(run_dir / f"{node}.sock")
        if as_json:
            typer.echo(json.dumps(document, indent=2))
            return
        console = Console()
        console.print(f"{document['role']} {document['node']}, version {document['version']}")
        if "traffic" in document:
            console.print(_traffic(document["traffic"], document["live"]))
        console.print(_reasons(document["reasons"]))


def _traffic(traffic: object, live: object) -> Table:
    table = Table("service", "host", "live", "connections", "packets", "bytes")
    assert isinstance(traffic, dict)
    assert isinstance(live, dict)
    for service, hosts in traffic.items():
        for host, total in hosts.items():
            table.add_row(
                service,
                host,
                str(live[service][host]),
                *(str(total[column]) for column in ("connections", "packets", "bytes")),
            )
    return table


def _reasons(reasons: object) -> Table:
    table = Table("reason", "packets")
    assert isinstance(reasons, dict)
    for reason, count in reasons.items():
        if count:
            table.add_row(reason, str(count))
    return table
