"""Typed maps against the kernel's own."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest
from compiled import PASSING, compile_program

from pointsman.datapath import testrun
from pointsman.datapath.capi import possible_cpus
from pointsman.datapath.codecs import U32, U64, Raw
from pointsman.datapath.libbpf import BpfObject
from pointsman.datapath.maps import Array, Hash, PerCpuArray, ProgArray
from pointsman.errors import SystemRefusal

pytestmark = pytest.mark.datapath

MANY = 10_000
MAC = b"\2\0\0\0\0\1"


@pytest.fixture(scope="module")
def passing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_program(tmp_path_factory.mktemp("bpf"), "passing", PASSING)


@pytest.fixture
def loaded(passing: Path) -> Iterator[BpfObject]:
    with BpfObject(passing) as program:
        for name in ("numbers", "recent", "macs", "counts"):
            program.resize(name, MANY)
        program.load()
        yield program


@pytest.fixture
def numbers(loaded: BpfObject) -> Hash[int, int]:
    return Hash(loaded.map("numbers"), U32, U64)


def test_hash_gets_what_was_set(numbers: Hash[int, int]) -> None:
    numbers.set(1, 10)
    numbers.set(1, 11)
    numbers.set(2, 2**64 - 1)
    assert numbers.get(1) == 11
    assert dict(numbers.items()) == {1: 11, 2: 2**64 - 1}
    numbers.delete(1)
    assert dict(numbers.items()) == {2: 2**64 - 1}


def test_missing_key_is_a_key_error(numbers: Hash[int, int]) -> None:
    with pytest.raises(KeyError, match="5"):
        numbers.get(5)
    with pytest.raises(KeyError, match="5"):
        numbers.delete(5)


@pytest.mark.parametrize("size", [1, 7, 4096, 2 * MANY])
def test_hash_is_read_whole_in_batches(numbers: Hash[int, int], size: int) -> None:
    wanted = {key: key * 3 for key in range(2000)}
    for key, value in wanted.items():
        numbers.set(key, value)
    read = [item for batch in numbers.items_batched(size) for item in batch]
    assert len(read) == len(wanted)
    assert dict(read) == wanted


@pytest.mark.parametrize("name", ["numbers", "recent"])
def test_cleared_hash_is_empty(loaded: BpfObject, name: str) -> None:
    table = Hash(loaded.map(name), U32, U64)
    for key in range(MANY // 2):
        table.set(key, key)
    assert any(table.items())
    table.clear()
    assert list(table.items()) == []
    table.clear()


def test_full_hash_refuses_and_says_so(passing: Path) -> None:
    with BpfObject(passing) as program:
        program.resize("numbers", 2)
        program.load()
        table = Hash(program.map("numbers"), U32, U64)
        table.set(1, 1)
        table.set(2, 2)
        with pytest.raises(SystemRefusal, match="map numbers: full at 2 entries"):
            table.set(3, 3)


def test_array_reads_and_writes_by_index(loaded: BpfObject) -> None:
    macs = Array(loaded.map("macs"), Raw(6))
    macs.set(MANY - 1, MAC)
    assert macs.get(MANY - 1) == MAC
    assert macs.get(0) == bytes(6)
    assert len(macs) == MANY


def test_array_in_ranges(loaded: BpfObject) -> None:
    macs = Array(loaded.map("macs"), Raw(6))
    wanted = [number.to_bytes(6, "big") for number in range(5000)]
    macs.set_many(4321, wanted)
    assert macs.values(4321, 5000) == wanted
    assert macs.values(4320, 2) == [bytes(6), wanted[0]]
    assert macs.values(7, 0) == []
    assert len(macs.values()) == MANY
    macs.set_many(0, [])


@pytest.mark.parametrize(("first", "count"), [(-1, 1), (MANY, 1), (MANY - 1, 2), (0, MANY + 1)])
def test_array_has_bounds(loaded: BpfObject, first: int, count: int) -> None:
    macs = Array(loaded.map("macs"), Raw(6))
    with pytest.raises(IndexError, match="map macs"):
        macs.values(first, count)
    with pytest.raises(IndexError, match="map macs"):
        macs.set_many(first, [MAC] * count)


def test_per_cpu_values_are_told_apart_and_summed(loaded: BpfObject) -> None:
    counts = PerCpuArray(loaded.map("counts"), U32)
    per_cpu = [2**31 + cpu for cpu in range(possible_cpus())]
    counts.set(3, per_cpu)
    assert counts.get(3) == per_cpu
    assert counts.total(3) == sum(per_cpu)
    assert counts.totals(2, 3) == [0, sum(per_cpu), 0]
    with pytest.raises(ValueError, match="possible CPUs"):
        counts.set(3, [*per_cpu, 0])


def test_per_cpu_array_shows_what_a_program_counted(loaded: BpfObject) -> None:
    counts = PerCpuArray(loaded.map("counts"), U32)
    testrun.test_run(loaded.program_fd("configured"), bytes(60), repeat=5)
    assert counts.total(0) == 5


def test_tail_call_is_set_and_taken_away(loaded: BpfObject) -> None:
    jumps = ProgArray(loaded.map("jumps"))
    configured = loaded.program_fd("configured")
    assert testrun.test_run(configured, bytes(60)).retval == 0
    jumps.set(1, loaded.program_fd("dropping"))
    assert testrun.test_run(configured, bytes(60)).retval == 1
    jumps.delete(1)
    assert testrun.test_run(configured, bytes(60)).retval == 0
    with pytest.raises(KeyError):
        jumps.delete(1)


def test_map_of_another_shape_is_refused(loaded: BpfObject) -> None:
    message = r"map numbers: HASH of 4 \+ 8 bytes, where HASH of 4 \+ 4 is expected"
    with pytest.raises(SystemRefusal, match=message):
        Hash(loaded.map("numbers"), U32, U32)
    with pytest.raises(SystemRefusal, match="where ARRAY of"):
        Array(loaded.map("numbers"), U64)


def test_closed_object_leaves_no_way_into_another(loaded: BpfObject) -> None:
    numbers = Hash(loaded.map("numbers"), U32, U64)
    loaded.close()
    with pytest.raises(OSError, match="map numbers") as caught:
        numbers.set(1, 1)
    assert caught.value.errno == errno.EBADF
