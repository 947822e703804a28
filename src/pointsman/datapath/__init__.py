"""The packet programs and everything that loads, fills and reads them."""

from __future__ import annotations

__all__: list[str] = []
