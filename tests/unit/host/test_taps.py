"""Packet sockets that break uploads are found, others are not."""

from __future__ import annotations

from pathlib import Path

from pointsman.host.taps import harmful_taps

TABLE = """\
sk               RefCnt Type Proto  Iface R Rmem   User   Inode
0000000000000000 3      3    0003   0     1 0      0      111
0000000000000000 3      3    0800   2     1 0      0      222
0000000000000000 3      3    86dd   0     1 0      0      333
0000000000000000 3      3    88cc   0     1 0      0      444
"""


def test_only_sockets_of_one_ip_protocol_are_told_of(tmp_path: Path) -> None:
    table = tmp_path / "packet"
    table.write_text(TABLE)
    assert harmful_taps(table) == [
        "IPv4 packet socket, inode 222",
        "IPv6 packet socket, inode 333",
    ]


def test_a_kernel_without_packet_sockets_is_safe(tmp_path: Path) -> None:
    assert harmful_taps(tmp_path / "none") == []
