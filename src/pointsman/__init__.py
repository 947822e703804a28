"""Pointsman: a load balancer that puts connections into the hosts' own TCP stacks."""

from __future__ import annotations

__all__ = ["__version__"]

__version__ = "0.1.0"
