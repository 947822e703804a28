"""`pointsman lab`: a whole site as network namespaces of this machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from pointsman.config.load import load_site
from pointsman.datapath.features import require_root
from pointsman.errors import PointsmanError
from pointsman.lab import namespaces
from pointsman.lab.lab import Lab
from pointsman.lab.plan import Kind
from pointsman.lab.state import LabStatus, NodeStatus, labs_up

__all__ = ["register"]

SiteOption = Annotated[
    Path | None,
    typer.Option("--site", readable=False, help="Site file; its cluster's name finds the lab."),
]
NameOption = Annotated[
    str | None, typer.Option("--name", help="The lab; not needed if only one is up.")
]


def register(app: typer.Typer) -> None:
    lab = typer.Typer(no_args_is_help=True, help="A whole site on this machine, in namespaces.")
    lab.command("up")(up)
    lab.command("down")(down)
    lab.command("status")(status)
    lab.command("list")(list_labs)
    lab.command("exec")(execute)
    app.add_typer(lab, name="lab")


def up(
    site: Annotated[
        Path, typer.Option("--site", readable=False, help="Site file, with a section `lab`.")
    ],
    name: Annotated[
        str | None, typer.Option("--name", help="Of the lab; the cluster's, if not given.")
    ] = None,
    no_agents: Annotated[
        bool, typer.Option("--no-agents", help="Only the network and the hosts' applications.")
    ] = False,
) -> None:
    """Bring a lab up: clients, router, units, hosts."""
    lab = Lab(name or load_site(site).cluster.name, site)
    lab.up(agents=not no_agents)
    _show(lab.overview())


def down(site: SiteOption = None, name: NameOption = None) -> None:
    """Take a lab away: its processes, namespaces and files."""
    require_root()
    # By the record alone: the site file may be broken or gone by now.
    lab = _find(site, name)
    lab.down()
    typer.echo(f"lab {lab.name} is down")


def status(
    site: SiteOption = None,
    name: NameOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="The whole, for programs.")] = False,
) -> None:
    """Show a lab's nodes, addresses, processes, and what its agents say."""
    require_root()
    overview = _find(site, name).overview()
    if as_json:
        typer.echo(overview.model_dump_json(indent=2))
    else:
        _show(overview)


def list_labs() -> None:
    """Name the labs that are up."""
    require_root()
    for name in labs_up():
        typer.echo(name)


def execute(
    node: Annotated[str, typer.Argument(help="Where to run it.")],
    command: Annotated[list[str], typer.Argument(help="What to run, after `--`.")],
    site: SiteOption = None,
    name: NameOption = None,
) -> None:
    """Run a command on a node; its exit status is ours."""
    require_root()
    netns = _find(site, name).state.read_record().node(node).netns
    argv = namespaces.inside(netns, command)
    os.execvp(argv[0], argv)


def _find(site: Path | None, name: str | None) -> Lab:
    if name is None and site is not None:
        name = load_site(site).cluster.name
    if name is None:
        labs = labs_up()
        if len(labs) != 1:
            several = f"{', '.join(labs)} are up" if labs else "none is up"
            raise PointsmanError(f"lab: {several}", "name one with --name, or: pointsman lab up")
        (name,) = labs
    return Lab.find(name)


def _show(overview: LabStatus) -> None:
    table = Table("node", "kind", "namespace", "addresses", "processes", title=overview.name)
    for node in overview.nodes:
        table.add_row(
            node.name, node.kind.value, node.netns, "\n".join(node.addresses), _processes(node)
        )
    Console().print(table)


def _processes(node: NodeStatus) -> str:
    lines = []
    if node.kind in (Kind.UNIT, Kind.HOST):
        lines.append(f"agent {node.agent_pid}, {_word(node)}" if node.agent_pid else "no agent")
    if node.nginx_pid is not None:
        lines.append(f"nginx {node.nginx_pid}")
    return "\n".join(lines)


def _word(node: NodeStatus) -> str:
    if node.agent is None:
        return "no answer"
    return "ready" if node.agent.get("ready") is True else "not ready"
