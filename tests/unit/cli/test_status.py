"""`pointsman status` before a daemon, and before none."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from nobody import AS_NOBODY

from pointsman.daemon.status import serve_status

TOTAL = {"connections": 3, "packets": 40, "bytes": 5000}
DOCUMENT: dict[str, object] = {
    "ready": True,
    "role": "unit",
    "node": "u1",
    "version": "1.2.3",
    "traffic": {"web": {"h1": TOTAL}},
    "live": {"web": {"h1": 2}},
    "reasons": {"tunnelled": 37, "bad_tag": 0},
}


def status(run_dir: Path, *options: str, prefix: tuple[str, ...] = ()) -> list[str]:
    command = [*prefix, sys.executable, "-m", "pointsman.cli.main", "status"]
    return [*command, "--run-dir", str(run_dir), *options, "u1"]


def ask(run_dir: Path, *options: str) -> str:
    """What the command prints of a daemon that serves DOCUMENT."""

    async def main() -> str:
        async with await serve_status(run_dir / "u1.sock", lambda: DOCUMENT):
            pipe = asyncio.subprocess.PIPE
            command = status(run_dir, *options)
            process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe)
            out, errors = await process.communicate()
            assert (process.returncode, errors) == (0, b"")
            return out.decode()

    return asyncio.run(main())


def refusal(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    return done.stderr.rstrip("\n")


def test_json_is_the_whole_document(tmp_path: Path) -> None:
    assert json.loads(ask(tmp_path, "--json")) == DOCUMENT


def test_tables_show_traffic_and_what_was_counted(tmp_path: Path) -> None:
    out = ask(tmp_path)
    assert out.startswith("unit u1, version 1.2.3\n")
    words = [set(line.replace("│", " ").split()) for line in out.splitlines()]
    assert {"web", "h1", "2", "3", "40", "5000"} in words
    assert {"tunnelled", "37"} in words
    assert "bad_tag" not in out


def test_no_daemon(tmp_path: Path) -> None:
    assert refusal(status(tmp_path)) == (
        f"pointsman: status socket {tmp_path}/u1.sock: there is none; "
        "start the daemon, or name its --run-dir"
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become nobody")
@pytest.mark.parametrize("folder_mode", [0o700, 0o755])
def test_socket_of_another_user(tmp_path: Path, folder_mode: int) -> None:
    """Read with the right to read files, which is none to connect."""

    async def main() -> str:
        async with await serve_status(tmp_path / "u1.sock", lambda: DOCUMENT):
            tmp_path.chmod(folder_mode)
            command = status(tmp_path, prefix=AS_NOBODY)
            return await asyncio.to_thread(refusal, command)

    assert asyncio.run(main()) == (
        f"pointsman: status socket {tmp_path}/u1.sock: not yours to ask; "
        "run as root, for instance by sudo"
    )
