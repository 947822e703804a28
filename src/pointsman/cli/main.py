"""The `pointsman` command."""

from __future__ import annotations

import sys

import typer

from pointsman import __version__
from pointsman.cli import cmd_check, cmd_host, cmd_keys, cmd_lab, cmd_status, cmd_unit
from pointsman.errors import PointsmanError

__all__ = ["app", "main"]

REFUSED = 2
INTERRUPTED = 130

# Commands take paths with readable=False: they say themselves, in one line, what can't be read.
app = typer.Typer(
    name="pointsman",
    help="A load balancer that routes by what clients ask for, at the cost of none.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (cmd_check, cmd_keys, cmd_unit, cmd_host, cmd_status, cmd_lab):
    command.register(app)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version."
    ),
) -> None:
    pass


def main() -> None:
    """Errors that people can mend are one line on standard error, exit status 2."""
    try:
        app()
    except PointsmanError as error:
        print(f"pointsman: {error}", file=sys.stderr)
        sys.exit(REFUSED)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
