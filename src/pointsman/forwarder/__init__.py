"""Sends packets along routes: next hops, flow tables, counters (R-A3, R-A5, R-D7)."""
