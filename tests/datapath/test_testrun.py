"""Frames through programs without an interface."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from compiled import PASSING, compile_program

from pointsman.datapath import testrun
from pointsman.datapath.libbpf import BpfObject

pytestmark = pytest.mark.datapath

LOOPBACK = 1
FRAME = bytes(range(60))


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BpfObject]:
    with BpfObject(compile_program(tmp_path_factory.mktemp("bpf"), "passing", PASSING)) as program:
        program.load()
        yield program


def test_verdict_and_unchanged_frame(loaded: BpfObject) -> None:
    result = testrun.test_run(loaded.program_fd("dropping"), FRAME)
    assert result.retval == 1
    assert result.data == FRAME


def test_lengthened_frame_comes_back_whole(loaded: BpfObject) -> None:
    result = testrun.test_run(loaded.program_fd("lengthening"), FRAME)
    assert result.retval == 3
    assert len(result.data) == len(FRAME) + 64
    assert result.data.endswith(FRAME)


def test_xdp_program_sees_the_interface_of_its_context(loaded: BpfObject) -> None:
    context = testrun.xdp_context(len(FRAME), LOOPBACK)
    result = testrun.test_run(loaded.program_fd("where"), FRAME, ctx=context)
    assert result.retval == LOOPBACK


def test_tc_verdict_is_signed_and_context_is_seen(loaded: BpfObject) -> None:
    marked = loaded.program_fd("marked")
    assert testrun.test_run(marked, FRAME).retval == -1
    context = testrun.skb_context(LOOPBACK, mark=77)
    assert testrun.test_run(marked, FRAME, ctx=context).retval == 77


def test_frame_without_an_ethernet_header_is_an_error(loaded: BpfObject) -> None:
    with pytest.raises(OSError, match="test run of 13 bytes refused"):
        testrun.test_run(loaded.program_fd("dropping"), bytes(13))


def test_duration_is_that_of_one_run(loaded: BpfObject) -> None:
    result = testrun.test_run(loaded.program_fd("dropping"), FRAME, repeat=10_000)
    assert 0 < result.duration_ns < 100_000
