"""The packet programs are compiled when they must be, and never half."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import build_bpf
import pytest

TOOL = Path(build_bpf.__file__)
ELF = b"\x7fELF"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The smallest of the programs, with the headers."""
    copy = tmp_path / "bpf"
    shutil.copytree(build_bpf.BPF / "lib", copy / "lib")
    shutil.copy(build_bpf.BPF / "pass.bpf.c", copy)
    return copy


def make_young(path: Path) -> None:
    """As if it were changed an hour from now: copies are as old as what they are copies of."""
    then = time.time() + 3600
    os.utime(path, (then, then))


def test_object_is_compiled_beside_its_source(folder: Path) -> None:
    build_bpf.build(folder)
    assert (folder / "pass.bpf.o").read_bytes().startswith(ELF)
    assert sorted(path.name for path in folder.iterdir()) == ["lib", "pass.bpf.c", "pass.bpf.o"]


def test_object_that_is_newer_than_its_sources_stays(folder: Path) -> None:
    build_bpf.build(folder)
    first = (folder / "pass.bpf.o").stat()
    build_bpf.build(folder)
    assert (folder / "pass.bpf.o").stat().st_ino == first.st_ino


@pytest.mark.parametrize("name", ["pass.bpf.c", "lib/abi.h"])
def test_newer_source_or_header_makes_a_new_object(folder: Path, name: str) -> None:
    build_bpf.build(folder)
    first = (folder / "pass.bpf.o").stat()
    make_young(folder / name)
    build_bpf.build(folder)
    assert (folder / "pass.bpf.o").stat().st_ino != first.st_ino


def test_refused_source_leaves_the_old_object(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    build_bpf.build(folder)
    before = (folder / "pass.bpf.o").read_bytes()
    source = folder / "pass.bpf.c"
    source.write_text(source.read_text() + "\nno C;\n")
    make_young(source)
    with pytest.raises(SystemExit) as caught:
        build_bpf.build(folder)
    assert caught.value.code == 2
    assert "pass.bpf.c" in capfd.readouterr().err
    assert (folder / "pass.bpf.o").read_bytes() == before
    assert sorted(path.name for path in folder.iterdir()) == ["lib", "pass.bpf.c", "pass.bpf.o"]


def test_two_at_once(folder: Path) -> None:
    code = "import pathlib, sys; import build_bpf; build_bpf.build(pathlib.Path(sys.argv[1]))"
    both = [
        subprocess.Popen([sys.executable, "-c", code, folder], cwd=TOOL.parent) for _ in range(2)
    ]
    assert [process.wait() for process in both] == [0, 0]
    assert (folder / "pass.bpf.o").read_bytes().startswith(ELF)


def test_no_clang(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = "import pathlib, sys; import build_bpf; build_bpf.build(pathlib.Path(sys.argv[1]))"
    monkeypatch.setenv("CLANG", "clang-of-nobody")
    done = subprocess.run(
        [sys.executable, "-c", code, folder],
        cwd=TOOL.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == (
        "pointsman: clang-of-nobody: not found; apt install clang, or set CLANG\n"
    )
    assert not (folder / "pass.bpf.o").exists()


def test_programs_that_ship_are_all_compiled() -> None:
    build_bpf.build(build_bpf.BPF)
    sources = {path.with_suffix(".o") for path in build_bpf.BPF.glob("*.bpf.c")}
    assert sources
    assert {path for path in sources if path.exists()} == sources
