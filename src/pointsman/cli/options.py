"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["RUN_DIR", "KeyFile", "Node", "RunDir", "SiteFile"]

RUN_DIR = Path("/run/pointsman")

# typer's own check of a path would print a usage box; ours says what is wrong in one line.
SiteFile = Annotated[Path, typer.Option(readable=False, help="The site file.")]
Node = Annotated[str, typer.Option(help="Which of the site's nodes this machine is.")]
RunDir = Annotated[Path, typer.Option(readable=False, help="Status socket and records.")]
KeyFile = Annotated[
    Path | None,
    typer.Option(readable=False, help="The cluster's key, if not where the site says."),
]
