"""A first segment's cost does not grow rule by rule."""

from __future__ import annotations

import pytest
from rule_cost import SHAPES, first_segment_ns

pytestmark = pytest.mark.datapath


@pytest.mark.parametrize("shape", ["paths", "one host, paths", "wildcard names"])
def test_four_hundred_times_the_rules_cost_less_than_twice_the_time(shape: str) -> None:
    inspect, rules, data = SHAPES[shape]
    few, many = (first_segment_ns(inspect, rules(n), data(n), repeat=5000) for n in (10, 4000))
    assert many < 2 * few
