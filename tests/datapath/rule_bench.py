"""A unit whose rules each lead to a pool of their own, so that the rule chosen can be seen."""

from __future__ import annotations

from typing import Any

from bench import UnitBench
from packets import Client
from site_file import KEY, make_site

from pointsman.config.endpoints import decks
from pointsman.config.model import Site

__all__ = ["UNDECIDED", "RuleBench"]

UNDECIDED = "undecided"
DEFAULT = "all"


class RuleBench(UnitBench):
    """`service`: keys of the inspected service besides its rules."""

    def __init__(self, rules: list[dict[str, Any]], **service: Any) -> None:
        super().__init__(_site(rules, service), KEY)
        self.rules = self.site.services[0].rules
        self._pools = {deck.number: deck.pool for deck in decks(self.site) if deck.service == "web"}

    def says(self, data: bytes, version: int = 4) -> int | str | None:
        """The number of the rule that the program chooses, None for none, or UNDECIDED."""
        self.reset()
        for deck in self._pools:
            self.datapath.cursors.set(deck, 0)
        client = Client(version, service_port=80)
        isn = self.shake_hands(client)
        before = self.datapath.undecided.total(0)
        outcome = self.send(client.data(data, isn))
        assert outcome.reason == "bundled_data"
        # The application gets everything as it came.
        assert bytes(outcome.bundle[2].payload.payload) == data
        (pool,) = (name for deck, name in self._pools.items() if self.datapath.cursors.get(deck))
        if self.datapath.undecided.total(0) > before:
            assert pool == DEFAULT
            return UNDECIDED
        return None if pool == DEFAULT else int(pool[1:])


def _site(rules: list[dict[str, Any]], service: dict[str, Any]) -> Site:
    pooled = [rule | {"pool": f"p{number}"} for number, rule in enumerate(rules)]
    described = make_site([]).model_dump(mode="json", exclude_none=True)
    described["pools"] += [
        {"name": f"p{number}", "members": [{"host": "h1"}]} for number in range(len(rules))
    ]
    described["services"][0] |= {"rules": pooled, **service}
    return Site.model_validate(described)
