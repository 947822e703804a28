"""Compile the packet programs: every *.bpf.c of the datapath, beside its source.

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
from pathlib import Path

__all__ = ["BPF", "build", "compile_object", "find_clang"]

BPF = Path(__file__).resolve().parent.parent / "src" / "pointsman" / "datapath" / "bpf"
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
    """Replaces `target` at once, so that nobody ever loads half of one."""
    multiarch = f"/usr/include/{platform.machine()}-linux-gnu"  # where Debian has asm/types.h
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".build-") as folder:
        fresh = Path(folder) / target.name
        command = [find_clang(), *FLAGS, f"-I{multiarch}", "-c", str(source), "-o", str(fresh)]
        if subprocess.run(command, check=False, cwd=source.parent).returncode:
            raise SystemExit(2)
        fresh.replace(target)


def build() -> None:
    headers = max(path.stat().st_mtime for path in (BPF / "lib").glob("*.h"))
    for source in sorted(BPF.glob("*.bpf.c")):
        target = source.with_suffix(".o")
        newest = max(headers, source.stat().st_mtime)
        if not target.exists() or target.stat().st_mtime < newest:
            compile_object(source, target)


if __name__ == "__main__":
    build()
