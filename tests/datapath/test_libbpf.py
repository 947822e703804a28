"""Objects on their way into the kernel: adjusted, loaded, refused, and gone without a trace."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from compiled import PASSING, RECKLESS, compile_program, open_fds

from pointsman.datapath import testrun
from pointsman.datapath.libbpf import BpfObject, LoadRefusal, MapType

pytestmark = pytest.mark.datapath

NOBODY = 65534


@pytest.fixture(scope="module")
def passing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_program(tmp_path_factory.mktemp("bpf"), "passing", PASSING)


@pytest.fixture
def opened(passing: Path) -> Iterator[BpfObject]:
    with BpfObject(passing) as program:
        yield program


@pytest.mark.parametrize("verdict", [1, 2])
def test_read_only_section_is_filled_before_load(opened: BpfObject, verdict: int) -> None:
    opened.set_rodata(".rodata.config", verdict.to_bytes(4, "little") + bytes(4))
    opened.load()
    assert testrun.test_run(opened.program_fd("configured"), bytes(60)).retval == verdict


def test_read_only_section_of_another_size_is_refused(opened: BpfObject) -> None:
    with pytest.raises(ValueError, match=r"passing.bpf.o .rodata.config: 5 bytes given, 8 wanted"):
        opened.set_rodata(".rodata.config", bytes(5))


def test_maps_have_the_size_they_are_given(opened: BpfObject) -> None:
    opened.resize("numbers", 777)
    opened.load()
    numbers, counts = opened.map("numbers"), opened.map("counts")
    assert (numbers.type, numbers.key_size, numbers.value_size) == (MapType.HASH, 4, 8)
    assert numbers.max_entries == 777
    assert counts.type is MapType.PERCPU_ARRAY


def test_unwanted_program_stays_out(opened: BpfObject) -> None:
    opened.set_autoload("dropping", autoload=False)
    opened.load()
    assert opened.program_fd("configured") >= 0
    with pytest.raises(OSError, match=r"passing.bpf.o: program dropping is not loaded"):
        opened.program_fd("dropping")


def test_names_that_are_not_there(opened: BpfObject) -> None:
    with pytest.raises(KeyError, match=r"passing.bpf.o has no map nothing"):
        opened.resize("nothing", 1)
    with pytest.raises(KeyError, match=r"passing.bpf.o has no program nothing"):
        opened.program_fd("nothing")
    with pytest.raises(KeyError, match=r"passing.bpf.o has no section .rodata.nothing"):
        opened.set_rodata(".rodata.nothing", b"")


def test_program_that_the_verifier_rejects(tmp_path: Path) -> None:
    path = compile_program(tmp_path, "reckless", RECKLESS)
    before = open_fds()
    with BpfObject(path) as program, pytest.raises(LoadRefusal) as caught:
        program.load()
    assert caught.value.what.startswith("reckless.bpf.o: program reckless was refused: ")
    assert "invalid access to packet" in caught.value.what
    assert "\n" not in str(caught.value)
    assert "Linux 6.8" in caught.value.mend
    assert "processed" in caught.value.log
    assert open_fds() == before


def test_map_that_is_too_large_for_the_machine(opened: BpfObject) -> None:
    opened.resize("macs", 0xFFFFFFF0)
    with pytest.raises(LoadRefusal) as caught:
        opened.load()
    assert "map macs" in caught.value.what
    assert "memory" in caught.value.mend


@pytest.mark.parametrize("content", [None, b"", b"no object"], ids=["missing", "empty", "text"])
def test_file_that_is_no_object(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "broken.bpf.o"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(LoadRefusal, match=r"broken\.bpf\.o cannot be opened"):
        BpfObject(path)


def test_load_without_privilege_names_root(passing: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from pointsman.datapath.libbpf import BpfObject, LoadRefusal\n"
        "import os; program = BpfObject(Path(sys.argv[1])); os.setuid(int(sys.argv[2]))\n"
        "try: program.load()\n"
        "except LoadRefusal as refusal: print(refusal.mend)\n"
    )
    command = [sys.executable, "-c", code, str(passing), str(NOBODY)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "run as root (or with CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON)\n"


def test_closing_gives_every_descriptor_back(passing: Path) -> None:
    before = open_fds()
    program = BpfObject(passing)
    program.load()
    numbers = program.map("numbers")
    assert len(open_fds()) > len(before)
    assert open_fds()[str(numbers.fd)] == "anon_inode:bpf-map"
    program.close()
    program.close()
    assert open_fds() == before
    assert numbers.fd == -1
    with pytest.raises(ValueError, match="already closed"):
        program.load()
