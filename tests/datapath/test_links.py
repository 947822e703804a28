"""Programs on interfaces: attached, refused, and gone with their link or their process."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from compiled import PASSING, compile_program, open_fds

from pointsman.datapath.libbpf import BpfObject
from pointsman.datapath.links import attach_tcx_ingress, attach_xdp
from pointsman.errors import SystemRefusal

pytestmark = pytest.mark.datapath

CLONE_NEWNET = 0x40000000
NO_INTERFACE = 9999
ATTACH_AND_WAIT = """
import sys
from pathlib import Path
from pointsman.datapath.libbpf import BpfObject
from pointsman.datapath.links import attach_tcx_ingress, attach_xdp
program = BpfObject(Path(sys.argv[1]))
program.load()
ifindex = int(sys.argv[2])
links = [attach_xdp(program.program_fd("dropping"), ifindex, generic=False),
         attach_tcx_ingress(program.program_fd("marked"), ifindex)]
print("attached", flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_program(tmp_path_factory.mktemp("bpf"), "passing", PASSING)


@pytest.fixture(scope="module")
def loaded(path: Path) -> Iterator[BpfObject]:
    with BpfObject(path) as program:
        program.load()
        yield program


@pytest.fixture
def veth() -> Iterator[int]:
    """Interface `e0` in a network namespace of this thread's own, which goes with it."""
    libc = ctypes.CDLL(None, use_errno=True)
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        assert libc.unshare(CLONE_NEWNET) == 0
        try:
            run("ip", "link", "add", "e0", "type", "veth", "peer", "name", "e1")
            yield socket.if_nametoindex("e0")
        finally:
            assert libc.setns(before, CLONE_NEWNET) == 0
    finally:
        os.close(before)


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout


def xdp_on(name: str) -> tuple[str, str] | None:
    """Mode and program's name, as iproute2 sees them."""
    (link,) = json.loads(run("ip", "-j", "-d", "link", "show", "dev", name))
    if "xdp" not in link:
        return None
    mode = {1: "native", 2: "generic"}[link["xdp"]["mode"]]
    program = json.loads(run("bpftool", "-j", "prog", "show", "id", str(link["xdp"]["prog"]["id"])))
    return mode, program["name"]


def tcx_on(name: str) -> list[str]:
    """Names of the programs at the ingress, in their order, as bpftool 7.1 or later sees them."""
    return [entry["name"] for entry in query_tcx(socket.if_nametoindex(name))]


@pytest.mark.parametrize("generic", [False, True], ids=["native", "generic"])
def test_xdp_is_there_until_its_link_is_closed(
    loaded: BpfObject, veth: int, *, generic: bool
) -> None:
    before = open_fds()
    with attach_xdp(loaded.program_fd("dropping"), veth, generic=generic) as link:
        assert xdp_on("e0") == ("generic" if generic else "native", "dropping")
    assert xdp_on("e0") is None
    link.close()
    assert open_fds() == before


def test_occupied_interface_is_refused_with_the_occupant_named(
    loaded: BpfObject, veth: int
) -> None:
    run("ip", "link", "set", "dev", "e0", "xdp", "object", str(path_of(loaded)), "program", "where")
    before = open_fds()
    with pytest.raises(SystemRefusal) as caught:
        attach_xdp(loaded.program_fd("dropping"), veth, generic=False)
    assert re.fullmatch(
        r"interface e0: another XDP program is already attached \(id \d+, name where\)",
        caught.value.what,
    )
    assert caught.value.mend.startswith("detach it: ip link set dev e0 xdp off")
    assert xdp_on("e0") == ("native", "where")
    assert open_fds() == before
    run("ip", "link", "set", "dev", "e0", "xdp", "off")
    attach_xdp(loaded.program_fd("dropping"), veth, generic=False).close()
