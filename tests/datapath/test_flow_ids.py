"""Flow ids that the unit gives out."""

from __future__ import annotations

import os

import pytest
from bench import UnitBench
from packets import Client
from site_file import KEY, make_site

from pointsman.datapath.capi import possible_cpus
from pointsman.datapath.unit import cpu_bits

pytestmark = pytest.mark.datapath


def test_none_looks_like_the_bundle_port() -> None:
    """A datagram's destination port would make the host take it for a bundle."""
    before = os.sched_getaffinity(0)
    cpu = min(before)
    port = 0x2000 | cpu
    os.sched_setaffinity(0, {cpu})
    try:
        with UnitBench(make_site(port=port), KEY) as unit:
            first = (port >> cpu_bits()) - 2
            unit.datapath.next_ids.set(0, [first] * possible_cpus())
            for number in range(3):
                assert unit.send(Client(4, port=40000 + number).syn()).reason == "bundled_syn"
            ids = [
                int.from_bytes(unit.flow(Client(4, port=40000 + number)).flow_id, "big")
                for number in range(3)
            ]
    finally:
        os.sched_setaffinity(0, before)
    assert [(number >> cpu_bits()) - first for number in ids] == [1, 3, 4]
    assert port not in [number & 0xFFFF for number in ids]
