"""Programs on interfaces: attached, refused, and gone with their link or their process."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest
from compiled import PASSING, compile_program, open_fds
from namespace import new_namespace, run

from pointsman.datapath.codecs import U64
from pointsman.datapath.libbpf import BpfObject
from pointsman.datapath.links import attach_tcx_ingress, attach_xdp
from pointsman.datapath.maps import Array
from pointsman.errors import SystemRefusal

pytestmark = pytest.mark.datapath

EXPERIMENTAL = 0x88B5
FRAME = b"\xff" * 6 + b"\2\0\0\0\0\1" + EXPERIMENTAL.to_bytes(2, "big") + bytes(46)
NO_INTERFACE = 9999
ATTACH_AND_WAIT = """
import sys
from pathlib import Path
from pointsman.datapath.libbpf import BpfObject
from pointsman.datapath.links import attach_xdp
program = BpfObject(Path(sys.argv[1]))
program.load()
link = attach_xdp(program.program_fd("dropping"), int(sys.argv[2]), generic=False)
print("attached", flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BpfObject]:
    with BpfObject(compile_program(tmp_path_factory.mktemp("bpf"), "passing", PASSING)) as program:
        program.load()
        yield program


@pytest.fixture
def veth() -> Iterator[int]:
    """Interface `e0`, joined to `e1`, in a network namespace that goes with the test."""
    with new_namespace():
        run("ip", "link", "add", "e0", "up", "type", "veth", "peer", "name", "e1")
        run("ip", "link", "set", "e1", "up")
        yield socket.if_nametoindex("e0")


def xdp_on(name: str) -> tuple[str, str] | None:
    """Mode and program's name, as iproute2 and bpftool see them."""
    (link,) = json.loads(run("ip", "-j", "link", "show", "dev", name))
    if "xdp" not in link:
        return None
    number = str(link["xdp"]["prog"]["id"])
    program = json.loads(run("bpftool", "-j", "prog", "show", "id", number))
    return {1: "native", 2: "generic"}[link["xdp"]["mode"]], program["name"]


def send_frame() -> None:
    """One frame from e1, through the ingress of e0, to a socket behind it."""
    with (
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(EXPERIMENTAL)) as behind,
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sender,
    ):
        behind.settimeout(10)
        behind.bind(("e0", EXPERIMENTAL))
        sender.bind(("e1", 0))
        sender.send(FRAME)
        assert behind.recv(2048) == FRAME


@pytest.mark.parametrize("mode", ["native", "generic"])
def test_xdp_is_there_until_its_link_is_closed(loaded: BpfObject, veth: int, mode: str) -> None:
    before = open_fds()
    with attach_xdp(loaded.program_fd("dropping"), veth, generic=mode == "generic") as link:
        assert xdp_on("e0") == (mode, "dropping")
    assert xdp_on("e0") is None
    link.close()
    assert open_fds() == before


def test_tcx_programs_see_packets_newest_first(loaded: BpfObject, veth: int) -> None:
    order = Array(loaded.map("order"), U64)
    order.set(0, 0)
    before = open_fds()
    with (
        attach_tcx_ingress(loaded.program_fd("noting_1"), veth),
        attach_tcx_ingress(loaded.program_fd("noting_2"), veth),
    ):
        send_frame()
        assert order.get(0) == 21
    send_frame()
    assert order.get(0) == 21
    assert open_fds() == before


@pytest.mark.parametrize("mode", ["native", "generic"])
def test_occupied_interface_is_refused_by_the_name_of_the_occupant(
    loaded: BpfObject, veth: int, mode: str
) -> None:
    run(
        *("ip", "link", "set", "dev", "e0", "xdp", "object", str(loaded.path)),
        *("program", "dropping"),
    )
    before = open_fds()
    with pytest.raises(SystemRefusal) as caught:
        attach_xdp(loaded.program_fd("where"), veth, generic=mode == "generic")
    assert re.fullmatch(
        r"interface e0: another XDP program is already attached \(id \d+, name dropping\)",
        caught.value.what,
    )
    assert caught.value.mend.startswith("detach it: ip link set dev e0 xdp off")
    assert xdp_on("e0") == ("native", "dropping")
    assert open_fds() == before
    run("ip", "link", "set", "dev", "e0", "xdp", "off")
    attach_xdp(loaded.program_fd("where"), veth, generic=mode == "generic").close()


def test_two_links_on_one_interface_are_refused(loaded: BpfObject, veth: int) -> None:
    with (
        attach_xdp(loaded.program_fd("where"), veth, generic=False),
        pytest.raises(SystemRefusal, match="name where"),
    ):
        attach_xdp(loaded.program_fd("where"), veth, generic=False)


@pytest.mark.usefixtures("veth")
def test_device_without_native_xdp_is_told_of_the_generic_mode(loaded: BpfObject) -> None:
    run("ip", "link", "add", "d0", "type", "bridge")
    number = socket.if_nametoindex("d0")
    with pytest.raises(SystemRefusal, match=r"interface d0: .*native") as caught:
        attach_xdp(loaded.program_fd("where"), number, generic=False)
    assert "xdp: generic" in caught.value.mend
    attach_xdp(loaded.program_fd("where"), number, generic=True).close()


@pytest.mark.usefixtures("veth")
def test_missing_interface_is_refused(loaded: BpfObject) -> None:
    with pytest.raises(SystemRefusal, match=f"interface number {NO_INTERFACE}: missing"):
        attach_xdp(loaded.program_fd("where"), NO_INTERFACE, generic=False)
    with pytest.raises(SystemRefusal, match=f"interface number {NO_INTERFACE}: missing"):
        attach_tcx_ingress(loaded.program_fd("marked"), NO_INTERFACE)


def test_program_of_the_wrong_kind_is_refused(loaded: BpfObject, veth: int) -> None:
    with pytest.raises(SystemRefusal, match="interface e0: the TC ingress refused the program"):
        attach_tcx_ingress(loaded.program_fd("where"), veth)
    with pytest.raises(SystemRefusal, match="interface e0: XDP refused the program"):
        attach_xdp(loaded.program_fd("marked"), veth, generic=False)


def test_program_goes_with_a_killed_process(loaded: BpfObject, veth: int) -> None:
    command = [sys.executable, "-c", ATTACH_AND_WAIT, str(loaded.path), str(veth)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "attached\n"
        assert xdp_on("e0") == ("native", "dropping")
        process.kill()
        process.wait(timeout=10)
    attach_xdp(loaded.program_fd("where"), veth, generic=False).close()
