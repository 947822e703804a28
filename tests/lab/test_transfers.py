"""Long transfers arrive intact, with and without losses; full-size segments stay whole."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

import pytest
from http_clients import fetch, hash_of, url

from pointsman.lab.faults import Direction, drop
from pointsman.lab.lab import Lab

pytestmark = pytest.mark.lab

SIZE = 100_000_000


@pytest.fixture(scope="module")
def hundred_mb(demo_lab: Lab) -> Path:
    return demo_lab.make_file("hundred", SIZE)


def download(lab: Lab, source: Path, version: int, to: Path) -> None:
    fetch(lab, url(version, f"/a/files/{source.name}"), "--output", str(to), timeout=90)
    assert hash_of(to) == hash_of(source)
    to.unlink()


def upload(lab: Lab, source: Path, version: int, name: str) -> None:
    fetch(lab, url(version, f"/a/upload/{name}"), "--upload-file", str(source), timeout=90)
    arrived = lab.nginx("h1").uploads / name
    assert hash_of(arrived) == hash_of(source)
    arrived.unlink()


@pytest.mark.parametrize("version", [4, 6])
def test_a_hundred_megabytes_arrive_intact(
    demo_lab: Lab, hundred_mb: Path, tmp_path: Path, version: int
) -> None:
    download(demo_lab, hundred_mb, version, tmp_path / "down")
    upload(demo_lab, hundred_mb, version, f"up-{version}")


@pytest.mark.parametrize("node", ["c1", "h1"])
@pytest.mark.parametrize("direction", list(Direction))
def test_a_hundred_megabytes_arrive_intact_despite_losses(
    demo_lab: Lab, hundred_mb: Path, tmp_path: Path, node: str, direction: Direction
) -> None:
    """One segment in a hundred is lost, on the client's side and on the host's."""
    with drop(demo_lab, node, direction, permille=10) as losses:
        download(demo_lab, hundred_mb, 4, tmp_path / "down")
        upload(demo_lab, hundred_mb, 4, f"up-{node}-{direction}")
    assert losses.dropped > 0.005 * losses.seen
    assert losses.dropped > 100


@pytest.mark.parametrize("version", [4, 6])
def test_full_size_segments_are_tunnelled_without_a_byte_added(
    demo_lab: Lab, tmp_path: Path, version: int
) -> None:
    source = tmp_path / "ten"
    source.write_bytes(bytes(10_000_000))
    captures = {}
    for host in ("h1", "h2", "h3"):
        capture = tmp_path / f"{host}.pcap"
        argv = ["tcpdump", "-i", "e0", "-Q", "in", "-s", "64", "-B", "32768", "-w", str(capture)]
        process = demo_lab.popen(host, argv, stderr=subprocess.PIPE, text=True)
        assert process.stderr is not None
        while "listening on" not in process.stderr.readline():
            assert process.poll() is None
        captures[capture] = process
    fetch(demo_lab, url(version, "/upload/ten", port=81), "--upload-file", str(source))
    sizes: list[int] = []
    for capture, process in captures.items():
        process.terminate()
        process.communicate()
        sizes += tunnelled_sizes(capture, version)
    # tcpdump itself may miss some; the file takes 6,906 segments.
    assert max(sizes) == 1500
    assert sizes.count(1500) > 4000
    assert sizes.count(1500) > 0.9 * len(sizes)


def tunnelled_sizes(capture: Path, version: int) -> list[int]:
    """IP lengths of the TCP packets from tunnel addresses; none may be a fragment."""
    data = capture.read_bytes()
    position, sizes = 24, []
    while position < len(data):
        taken, length = struct.unpack_from("<II", data, position + 8)
        frame = data[position + 16 : position + 16 + taken]
        position += 16 + taken
        if version == 4 and frame[12:14] == b"\x08\x00" and frame[26:29] == bytes([10, 1, 1]):
            assert frame[20:22] in (b"\x40\x00", b"\x00\x00"), "a fragment"
            if frame[23] == 6:
                sizes.append(length - 14)
        elif version == 6 and frame[12:14] == b"\x86\xdd" and frame[34:36] == b"\x00\x01":
            assert frame[20] != 44, "a fragment"
            if frame[20] == 6:
                sizes.append(length - 14)
    return sizes
