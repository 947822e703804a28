"""The status socket: one JSON document for the owner alone."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from pathlib import Path

import pytest

from pointsman.daemon.status import Report, read_status, serve_status
from pointsman.errors import SystemRefusal

DOCUMENT: dict[str, object] = {"role": "unit", "reasons": {"tunnelled": 7}, "text": "é"}


def served(path: Path, report: Report) -> dict[str, object]:
    """What a reader gets of a server that ends when it has."""

    async def ask() -> dict[str, object]:
        async with await serve_status(path, report):
            assert stat.S_ISSOCK(path.stat().st_mode)
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            return await asyncio.to_thread(read_status, path)

    return asyncio.run(ask())


def test_reader_gets_the_document(tmp_path: Path) -> None:
    assert served(tmp_path / "u1.sock", lambda: DOCUMENT) == DOCUMENT


def test_every_reader_gets_the_present_state(tmp_path: Path) -> None:
    path, count = tmp_path / "u1.sock", iter(range(100))

    async def ask() -> list[object]:
        async with await serve_status(path, lambda: {"count": next(count)}):
            return [(await asyncio.to_thread(read_status, path))["count"] for _ in range(3)]

    assert asyncio.run(ask()) == [0, 1, 2]


def test_socket_of_a_dead_daemon_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "u1.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    assert path.exists()
    assert served(path, lambda: DOCUMENT) == DOCUMENT


def test_umask_is_as_it_was(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        served(tmp_path / "u1.sock", lambda: DOCUMENT)
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(before)


def test_no_daemon(tmp_path: Path) -> None:
    path = tmp_path / "u1.sock"
    with pytest.raises(SystemRefusal) as caught:
        read_status(path)
    assert caught.value.what == f"status socket {path}: there is none"
    assert caught.value.mend == "start the daemon, or name its --run-dir"


def test_killed_daemon(tmp_path: Path) -> None:
    path = tmp_path / "u1.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with pytest.raises(SystemRefusal) as caught:
        read_status(path)
    assert caught.value.what.startswith(f"status socket {path}: no daemon answers (")
    assert "Connection refused" in caught.value.what
    assert caught.value.mend == "start it, or look at its log"


def test_daemon_that_says_nothing(tmp_path: Path) -> None:
    path = tmp_path / "u1.sock"
    with socket.socket(socket.AF_UNIX) as mute:
        mute.bind(str(path))
        mute.listen()
        with pytest.raises(SystemRefusal, match="no daemon answers"):
            read_status(path, timeout_s=0.05)
