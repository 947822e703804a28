"""Parts of a status document that both daemons have."""

from __future__ import annotations

from pointsman.datapath.loaded import Loaded
from pointsman.datapath.reasons import REASONS, Where

__all__ = ["reason_report"]


def reason_report(datapath: Loaded, where: Where) -> dict[str, int]:
    """Packets by what became of them, of one kind of daemon, zeros included."""
    return {
        reason.name.lower(): count
        for reason, count in datapath.counts().items()
        if REASONS[reason].where in (where, Where.BOTH)
    }
