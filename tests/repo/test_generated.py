"""Python's view of the packet programs equals the header's and the compiled objects'."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pointsman.datapath import abi
from pointsman.datapath.codecs import Record
from pointsman.datapath.features import OBJECTS, require_objects

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def gen_abi() -> ModuleType:
    spec = importlib.util.spec_from_file_location("gen_abi", ROOT / "tools" / "gen_abi.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["gen_abi"] = module
    spec.loader.exec_module(module)
    return module


def test_generated_files_are_up_to_date(gen_abi: ModuleType) -> None:
    stale = [path for path, text in gen_abi.generate().items() if path.read_text() != text]
    assert not stale, "run: python tools/gen_abi.py"


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("unit.bpf.o", {"flow", "flow_key4", "flow_key6", "endpoint6", "ruleset", "unit_config"}),
        ("host.bpf.o", {"mapping_key6", "mapping4", "mapping6", "host_config"}),
    ],
)
def test_objects_have_the_structs_that_python_knows(
    gen_abi: ModuleType, name: str, known: set[str]
) -> None:
    require_objects([name])
    btf = gen_abi.read_btf(OBJECTS / name)
    structs = [struct for kind, struct in gen_abi.declared() if kind == "struct"]
    found = {struct for struct in structs if btf.find("struct", struct)}
    assert known <= found
    for struct in found:
        _check_struct(gen_abi, btf, struct)


def _check_struct(gen_abi: ModuleType, btf: Any, struct: str) -> None:
    """Each field of the object's struct, alone set, is that field alone in Python."""
    record: type[Record] = getattr(abi, gen_abi.class_name(struct))
    entry = btf.find("struct", struct)
    assert entry["size"] == record.SIZE
    nothing = record.unpack(bytes(record.SIZE))
    for member in entry["members"]:
        offset = member["bits_offset"] // 8
        _, _, size = gen_abi.part(btf, member["type_id"])
        data = bytearray(record.SIZE)
        data[offset : offset + size] = bytes(1 + i % 255 for i in range(size))
        read = record.unpack(bytes(data))
        changed = {
            field
            for field in record.__match_args__
            if getattr(read, field) != getattr(nothing, field)
        }
        hidden = member["name"].startswith("reserved")
        assert changed == (set() if hidden else {member["name"]}), struct
        assert read.pack() == (nothing.pack() if hidden else bytes(data)), struct
