"""What the kernel holds for a process's maps."""

from __future__ import annotations

from pathlib import Path

__all__ = ["map_bytes"]


def map_bytes(pid: int | str = "self") -> dict[int, int]:
    """Map id to bytes that the kernel accounts for it, of all maps that a process has open."""
    found: dict[int, int] = {}
    for entry in list(Path(f"/proc/{pid}/fdinfo").iterdir()):
        try:
            lines = entry.read_text().splitlines()
        except FileNotFoundError:  # closed since, as the listing's own is
            continue
        fields = dict(line.split(":", 1) for line in lines if ":" in line)
        if "map_id" in fields:
            found[int(fields["map_id"])] = int(fields["memlock"])
    return found
