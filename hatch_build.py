"""Compiles the packet programs whenever the package is built, so that a wheel carries them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).resolve().parent


class BpfBuildHook(BuildHookInterface):  # type: ignore[misc]
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Raises SystemExit with one clear line if there is no clang."""
        del version
        if self.target_name != "wheel":
            return
        sys.path.insert(0, str(ROOT / "tools"))
        import build_bpf

        build_bpf.build(build_bpf.BPF)
        # Not any Python of any machine: libbpf is the system's, BPF knows one byte order.
        build_data["pure_python"] = True
