"""Running the command line without root's rights."""

from __future__ import annotations

__all__ = ["AS_NOBODY", "NOBODY"]

NOBODY = 65534
AS_NOBODY = (
    *("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"),
    # The interpreter may lie in root's home: it may read what root may, and do nothing else.
    *("--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search"),
)
"""What to put before a command. Takes root."""
