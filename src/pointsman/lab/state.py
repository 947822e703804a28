"""What a lab leaves on disk while it is up, so that another process can find it and end it."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from pointsman.errors import PointsmanError
from pointsman.lab.plan import Kind
from pointsman.lab.processes import Process

__all__ = ["LabRecord", "LabState", "LabStatus", "NodeRecord", "NodeStatus", "labs_up"]

ROOT = Path("/run/pointsman/lab")
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,9}")
RECORD = "lab.json"


class NodeRecord(BaseModel):
    name: str
    kind: Kind
    netns: str
    device: str
    addresses: list[str]
    """With prefix length."""


class LabRecord(BaseModel):
    name: str
    site: Path
    nodes: list[NodeRecord]

    def node(self, name: str) -> NodeRecord:
        """Raises PointsmanError if there is none of that name."""
        for node in self.nodes:
            if node.name == name:
                return node
        names = ", ".join(node.name for node in self.nodes)
        raise PointsmanError(f"node {name}: lab {self.name} has none", f"take one of {names}")


class NodeStatus(NodeRecord):
    agent_pid: int | None = None
    nginx_pid: int | None = None
    agent: dict[str, Any] | None = None
    """What the agent says of itself; None: it runs none, or does not answer."""


class LabStatus(BaseModel):
    name: str
    site: Path
    nodes: list[NodeStatus]


class LabState:
    """One lab's directory."""

    def __init__(self, lab: str, root: Path = ROOT) -> None:
        """Raises PointsmanError if the name can't be used."""
        if not NAME.fullmatch(lab):
            raise PointsmanError(
                f"lab {lab}: the name can't be used", "take 1 to 10 of a-z, 0-9 and -"
            )
        self.lab = lab
        self.dir = root / lab
        self.files = self.dir / "files"
        self.agents = self.dir / "agents"
        """The agents' run directory: their sockets."""
        self.key_file = self.dir / "key"

    def create(self, record: LabRecord) -> None:
        """Claims the name. Raises PointsmanError if it is taken."""
        self.dir.parent.mkdir(parents=True, exist_ok=True)
        try:
            self.dir.mkdir()
        except FileExistsError:
            raise PointsmanError(
                f"lab {self.lab}: exists already",
                f"pointsman lab down --name {self.lab}, or take another name",
            ) from None
        (self.dir / RECORD).write_text(record.model_dump_json(indent=2))
        self.files.mkdir()
        self.agents.mkdir()

    def remove(self) -> None:
        shutil.rmtree(self.dir)

    def exists(self) -> bool:
        return self.dir.exists()

    def read_record(self) -> LabRecord:
        """Raises PointsmanError if there is no such lab."""
        record = self.read_record_if_any()
        if record is None:
            raise PointsmanError(
                f"lab {self.lab}: there is none", "pointsman lab list shows those that are up"
            )
        return record

    def read_record_if_any(self) -> LabRecord | None:
        try:
            return LabRecord.model_validate_json((self.dir / RECORD).read_text())
        except FileNotFoundError:
            return None

    def write_agent(self, node: str, process: Process) -> None:
        self._agent_path(node).write_text(process.model_dump_json())

    def read_agent(self, node: str) -> Process | None:
        """The last one that was started, alive or not."""
        try:
            return Process.model_validate_json(self._agent_path(node).read_text())
        except FileNotFoundError:
            return None

    def log(self, node: str) -> Path:
        return self.dir / f"{node}.log"

    def socket(self, node: str) -> Path:
        return self.agents / f"{node}.sock"

    def nginx(self, host: str) -> Path:
        return self.dir / "nginx" / host

    def _agent_path(self, node: str) -> Path:
        return self.dir / f"{node}.process.json"


def labs_up() -> list[str]:
    """Names, sorted."""
    return sorted(path.name for path in ROOT.iterdir()) if ROOT.exists() else []
