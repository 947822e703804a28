"""Kernel settings by name, of interfaces with dots in their names, too."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from namespace import new_namespace, run

from pointsman.errors import SystemRefusal
from pointsman.system import sysctl

pytestmark = pytest.mark.datapath

FORWARD = "net.ipv4.conf.e0/7.forwarding"


@pytest.fixture(autouse=True)
def namespace() -> Iterator[None]:
    with new_namespace():
        run("ip", "link", "add", "e0.7", "type", "bridge")
        yield


def test_slash_stands_for_a_dot_in_a_name() -> None:
    before = sysctl.read(FORWARD)
    after = {"0": "1", "1": "0"}[before]
    sysctl.write(FORWARD, after)
    assert sysctl.read(FORWARD) == after
    assert Path("/proc/sys/net/ipv4/conf/e0.7/forwarding").read_text() == f"{after}\n"
    assert run("sysctl", "-n", FORWARD) == f"{after}\n"


def test_restore_writes_back() -> None:
    sysctl.write(FORWARD, "1")
    sysctl.restore(FORWARD, "0")
    assert sysctl.read(FORWARD) == "0"


def test_interface_that_is_gone_has_nothing_to_restore() -> None:
    run("ip", "link", "delete", "e0.7")
    sysctl.restore(FORWARD, "1")
    with pytest.raises(FileNotFoundError):
        sysctl.write(FORWARD, "1")


def test_required_value() -> None:
    sysctl.write("net.ipv4.tcp_rfc1337", "1")
    sysctl.require("net.ipv4.tcp_rfc1337", {"0", "1"}, "is never told")
    with pytest.raises(SystemRefusal) as caught:
        sysctl.require("net.ipv4.tcp_rfc1337", {"0"}, "sockets would stay")
    assert caught.value.what == "sysctl net.ipv4.tcp_rfc1337 is 1: sockets would stay"
    assert caught.value.mend == "set it: sysctl -w net.ipv4.tcp_rfc1337=0"
