"""What the cross-checks of a site file say."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Finding", "Path"]

Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Finding:
    """Something wrong: where in the site file, what, and what to do."""

    path: Path
    what: str
    mend: str
