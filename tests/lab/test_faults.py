"""Losses on a lab's cables."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pointsman.errors import SystemRefusal
from pointsman.lab.faults import Direction, drop
from pointsman.lab.lab import Lab

pytestmark = pytest.mark.lab

SIZE = 10_000_000
SEGMENTS = SIZE // 1460


def download(lab: Lab, to: Path) -> bytes:
    url = "http://10.1.0.11/files/lossy.bin"
    lab.run("c1", ["curl", "-sS", "-f", "-m", "60", "-o", str(to), url])
    return to.read_bytes()


@pytest.mark.parametrize(
    ("node", "direction"), [("c1", Direction.INGRESS), ("h1", Direction.EGRESS)]
)
def test_share_of_segments_is_lost_and_the_file_arrives(
    bare_lab: Lab, node: str, direction: Direction, tmp_path: Path
) -> None:
    made = bare_lab.make_file("lossy.bin", SIZE)
    with drop(bare_lab, node, direction, permille=10) as losses:
        got = download(bare_lab, tmp_path / "got")
    assert got == made.read_bytes()
    assert losses.seen > SEGMENTS
    assert 0.002 < losses.dropped / losses.seen < 0.03


def test_acknowledgements_are_counted_on_the_other_way(bare_lab: Lab, tmp_path: Path) -> None:
    bare_lab.make_file("lossy.bin", SIZE)
    with drop(bare_lab, "c1", Direction.EGRESS, permille=0) as losses:
        download(bare_lab, tmp_path / "got")
    assert 0 < losses.seen < SEGMENTS
    assert losses.dropped == 0


def test_nothing_is_left_attached_and_hosts_segment_in_hardware_again(bare_lab: Lab) -> None:
    with drop(bare_lab, "h1", Direction.INGRESS, permille=10):
        pass
    shown = bare_lab.run("router", ["tc", "-j", "filter", "show", "dev", "h1", "egress"]).stdout
    assert json.loads(shown) == []
    features = bare_lab.run("h1", ["ethtool", "-k", "e0"]).stdout
    assert "tcp-segmentation-offload: on" in features
    assert "generic-segmentation-offload: on" in features


def test_second_one_on_the_same_way_is_refused(bare_lab: Lab) -> None:
    with (
        drop(bare_lab, "h1", Direction.INGRESS, permille=10),
        pytest.raises(SystemRefusal, match="h1 egress"),
        drop(bare_lab, "h1", Direction.INGRESS, permille=10),
    ):
        pass
