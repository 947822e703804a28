"""Pointsman: a load balancer that puts connections into the hosts' own TCP stacks."""

__version__ = "0.1.0"
