"""A million packets of any content through all programs. `make fuzz` sends more, and others."""

from __future__ import annotations

import pytest
from fuzzer import fuzz

pytestmark = pytest.mark.datapath

PACKETS = 1_000_000
COMMON = [
    "hit",
    "plumbed",
    "bundled_data",
    "syn_answered",
    "probe_answered",
    "echo_answered",
    "icmp_sent",
    "icmp_returned",
    "icmp_handed_on",
    "fragment_sent",
    "returned",
    "notice",
    "restored",
    "fragment_restored",
    "icmp_passed",
    "unknown_flow_id",
    "out_turned",
]
"""Outcomes that say that the traffic reaches each part of the programs."""


@pytest.mark.timeout(1200)
def test_no_packet_makes_a_program_misbehave() -> None:
    report = fuzz(seed=1, packets=PACKETS)
    assert not report.found, "\n".join(report.found)
    assert report.packets >= PACKETS
    missed = [name for name in COMMON if not report.reasons[name.upper()]]
    assert not missed, missed
