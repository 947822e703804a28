"""The foreground loop: a signal ends it in peace, a task's end ends it with the task's error."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from pointsman.daemon.run import run_until_signal
from pointsman.daemon.status import read_status


class Sleeper:
    """A task that goes on for ever, and notes its end."""

    def __init__(self) -> None:
        self.began = asyncio.Event()
        self.cancelled = False

    async def run(self) -> None:
        self.began.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise


async def end_after(sleeper: Sleeper) -> None:
    await sleeper.began.wait()


async def fail_after(sleeper: Sleeper) -> None:
    await sleeper.began.wait()
    raise ZeroDivisionError


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_all(tmp_path: Path, number: signal.Signals) -> None:
    path = tmp_path / "u1.sock"

    async def main() -> tuple[Sleeper, dict[str, object]]:
        sleeper = Sleeper()
        running = asyncio.create_task(run_until_signal(path, lambda: {"is": 1}, [sleeper.run()]))
        await sleeper.began.wait()
        document = await asyncio.to_thread(read_status, path)
        os.kill(os.getpid(), number)
        await running
        return sleeper, document

    sleeper, document = asyncio.run(asyncio.wait_for(main(), 10))
    assert document == {"is": 1}
    assert sleeper.cancelled
    assert not path.exists()


def test_failing_task_ends_all_and_its_error_is_raised(tmp_path: Path) -> None:
    path = tmp_path / "u1.sock"
    sleepers: list[Sleeper] = []

    async def main() -> None:
        sleeper = Sleeper()
        sleepers.append(sleeper)
        await run_until_signal(path, dict, [sleeper.run(), fail_after(sleeper)])

    with pytest.raises(ZeroDivisionError):
        asyncio.run(asyncio.wait_for(main(), 10))
    assert [sleeper.cancelled for sleeper in sleepers] == [True]
    assert not path.exists()


def test_task_that_ends_ends_all(tmp_path: Path) -> None:
    async def main() -> Sleeper:
        sleeper = Sleeper()
        await run_until_signal(tmp_path / "u1.sock", dict, [sleeper.run(), end_after(sleeper)])
        return sleeper

    assert asyncio.run(asyncio.wait_for(main(), 10)).cancelled


def test_daemon_without_tasks_waits_for_the_signal(tmp_path: Path) -> None:
    path = tmp_path / "h1.sock"

    async def main() -> dict[str, object]:
        def report() -> dict[str, object]:
            os.kill(os.getpid(), signal.SIGTERM)
            return {"role": "host"}

        running = asyncio.create_task(run_until_signal(path, report, []))
        while not path.exists():
            await asyncio.sleep(0)
        document = await asyncio.to_thread(read_status, path)
        await running
        return document

    assert asyncio.run(asyncio.wait_for(main(), 10)) == {"role": "host"}
