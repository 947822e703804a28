"""Compile the packet programs: every *.bpf.c of the datapath and the bench, beside its source.

    python tools/build_bpf.py

Only what is older than its sources is compiled again. $CLANG names another compiler.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

__all__ = ["BENCH", "BPF", "build", "compile_object", "find_clang"]

ROOT = Path(__file__).resolve().parent.parent
BPF = ROOT / "src" / "pointsman" / "datapath" / "bpf"
BENCH = ROOT / "bench" / "bpf"
FLAGS = ["-O2", "-g", "-target", "bpf", "-mcpu=v3", "-Wall", "-Wextra", "-Werror"]
FLAGS += ["-Wno-unused-function", "-Wno-unused-parameter"]
COMPILERS = ("clang", "clang-19", "clang-18", "clang-17", "clang-16", "clang-15", "clang-14")


def find_clang() -> str:
    """SystemExit with the mend if there is none."""
    wanted = os.environ.get("CLANG")
    for name in (wanted,) if wanted else sorted(COMPILERS, reverse=True):
        if found := shutil.which(name):
            return found
    print(
        f"pointsman: {wanted or 'clang'}: not found; apt install clang, or set CLANG",
        file=sys.stderr,
    )
    raise SystemExit(2)


def compile_object(source: Path, target: Path) -> None:
    """Replaces `target` at once, so that nobody ever loads half of one.

    SystemExit, status 2, after the compiler's own messages if it refuses.
    """
    multiarch = f"/usr/include/{platform.machine()}-linux-gnu"  # where Debian has asm/types.h
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".build-") as folder:
        fresh = Path(folder) / target.name
        command = [find_clang(), *FLAGS, f"-I{multiarch}", "-c", str(source), "-o", str(fresh)]
        started_ns = time.time_ns()
        if subprocess.run(command, check=False, cwd=source.parent).returncode:
            raise SystemExit(2)
        # As old as what was read: a source that changed meanwhile is newer.
        os.utime(fresh, ns=(started_ns, started_ns))
        fresh.replace(target)


def build(folder: Path) -> None:
    """Brings every object of a folder with sources, and their headers in `lib`, up to date."""
    common = [Path(__file__), *(folder / "lib").glob("*.h")]
    for source in sorted(folder.glob("*.bpf.c")):
        target = source.with_suffix(".o")
        newest = max(path.stat().st_mtime_ns for path in (source, *common))
        if not target.exists() or target.stat().st_mtime_ns < newest:
            compile_object(source, target)


if __name__ == "__main__":
    build(BPF)
    build(BENCH)
