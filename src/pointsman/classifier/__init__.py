"""Chooses the host of a connection: decks, rules, cookies (R-A2, R-B11, R-D4, R-E1)."""
