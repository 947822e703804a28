"""Names for labs that no other test run on this machine has."""

from __future__ import annotations

import os
from itertools import count

__all__ = ["lab_name"]

_numbers = count()


def lab_name() -> str:
    """At most 10 characters: process ids have at most 22 bits."""
    return f"t{os.getpid():x}-{next(_numbers)}"
