"""What we change of a machine is on record first, and undone last change first."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from namespace import new_namespace, run

from pointsman.errors import SystemRefusal
from pointsman.system import sysctl
from pointsman.system.netlink import Netlink
from pointsman.system.network import Route
from pointsman.system.residue import Residue

pytestmark = pytest.mark.datapath

VIP, VIP6, H1 = ip_address("203.0.113.10"), ip_address("2001:db8::10"), ip_address("10.1.0.11")
IGNORE = "net.ipv4.conf.e0.arp_ignore"
CHANGE_AND_DIE = """
import os, signal, sys
from ipaddress import ip_address
from pathlib import Path
from pointsman.system.netlink import Netlink
from pointsman.system.network import Route
from pointsman.system.residue import Residue
netlink = Netlink()
index = netlink.interface("e0").index
residue = Residue(Path(sys.argv[1]), netlink)
residue.add_address(index, ip_address("203.0.113.10"))
residue.set_sysctl("net.ipv4.conf.e0.arp_ignore", "1")
residue.manage_neighbour(Route(index, ip_address("10.1.0.11")))
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(autouse=True)
def namespace() -> Iterator[None]:
    """With e0, which is joined to e1 and has 10.1.0.1."""
    with new_namespace():
        run("ip", "link", "add", "e0", "up", "type", "veth", "peer", "name", "e1")
        run("ip", "link", "set", "e1", "up")
        run("ip", "address", "add", "10.1.0.1/16", "dev", "e0")
        yield


@pytest.fixture
def netlink() -> Iterator[Netlink]:
    with Netlink() as opened:
        yield opened


@pytest.fixture
def e0(netlink: Netlink) -> int:
    return netlink.interface("e0").index


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "u1.residue.json"


def recorded(path: Path) -> Any:
    return json.loads(path.read_text()) if path.exists() else []


def addresses() -> set[str]:
    """Of e0, but for those that every interface has."""
    (link,) = json.loads(run("ip", "-j", "address", "show", "dev", "e0"))
    found = {info["local"] for info in link["addr_info"] if info["scope"] == "global"}
    return found - {"10.1.0.1"}


def managed() -> list[str]:
    entries = json.loads(run("ip", "-j", "neigh", "show", "dev", "e0"))
    return [entry["dst"] for entry in entries if "managed" in entry]


class Watched(Netlink):
    """The real one; it notes what is on record when it is asked to change something."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self.seen: list[tuple[str, Any]] = []

    def add_address(self, ifindex: int, address: Any) -> bool:
        self.seen.append(("add", recorded(self._path)))
        return super().add_address(ifindex, address)

    def remove_address(self, ifindex: int, address: Any) -> None:
        self.seen.append((f"remove {address}", recorded(self._path)))
        super().remove_address(ifindex, address)

    def manage_neighbour(self, route: Route) -> None:
        self.seen.append(("manage", recorded(self._path)))
        super().manage_neighbour(route)

    def release_neighbour(self, route: Route) -> None:
        self.seen.append(("release", recorded(self._path)))
        super().release_neighbour(route)


def test_changes_and_their_undoing(netlink: Netlink, e0: int, path: Path) -> None:
    residue = Residue(path, netlink)
    residue.add_address(e0, VIP)
    residue.add_address(e0, VIP6)
    residue.manage_neighbour(Route(e0, H1))
    residue.set_sysctl(IGNORE, "1")
    assert addresses() == {str(VIP), str(VIP6)}
    assert managed() == [str(H1)]
    assert sysctl.read(IGNORE) == "1"
    residue.undo()
    assert addresses() == set()
    assert managed() == []
    assert sysctl.read(IGNORE) == "0"
    assert list(path.parent.iterdir()) == []


def test_every_change_is_on_record_before_it_is_made(e0: int, path: Path) -> None:
    first, second = ["address", e0, str(VIP)], ["neighbour", e0, str(H1)]
    with Watched(path) as netlink:
        residue = Residue(path, netlink)
        residue.add_address(e0, VIP)
        residue.manage_neighbour(Route(e0, H1))
        residue.undo()
        assert netlink.seen == [
            ("add", [first]),
            ("manage", [first, second]),
            ("release", [first, second]),
            (f"remove {VIP}", [first]),
        ]
    assert not path.exists()


def test_undoing_goes_on_where_it_failed(e0: int, path: Path) -> None:
    class Failing(Watched):
        def remove_address(self, ifindex: int, address: Any) -> None:
            if address == VIP and len(self.seen) < 4:
                self.seen.append(("fail", recorded(self._path)))
                raise OSError("not now")
            super().remove_address(ifindex, address)

    with Failing(path) as netlink:
        residue = Residue(path, netlink)
        residue.add_address(e0, VIP)
        residue.add_address(e0, VIP6)
        with pytest.raises(OSError, match="not now"):
            residue.undo()
        assert recorded(path) == [["address", e0, str(VIP)]]
        residue.undo()
    assert addresses() == set()
    assert not path.exists()


def test_what_was_there_before_is_not_ours_to_remove(netlink: Netlink, e0: int, path: Path) -> None:
    run("ip", "address", "add", f"{VIP}/32", "dev", "e0")
    sysctl.write(IGNORE, "2")
    residue = Residue(path, netlink)
    residue.add_address(e0, VIP)
    residue.set_sysctl(IGNORE, "2")
    assert not path.exists()
    residue.undo()
    assert addresses() == {str(VIP)}
    assert sysctl.read(IGNORE) == "2"


def test_neighbour_set_by_hand_stays(netlink: Netlink, e0: int, path: Path) -> None:
    static = ("ip", "neigh", "add", str(H1), "lladdr", "02:00:00:00:00:11", "dev", "e0")
    run(*static, "nud", "permanent")
    residue = Residue(path, netlink)
    residue.manage_neighbour(Route(e0, H1))
    residue.undo()
    assert "PERMANENT" in run("ip", "neigh", "show", str(H1), "dev", "e0")


def test_released_neighbour_is_off_the_record(netlink: Netlink, e0: int, path: Path) -> None:
    residue = Residue(path, netlink)
    residue.manage_neighbour(Route(e0, H1))
    residue.manage_neighbour(Route(e0, H1))
    assert recorded(path) == [["neighbour", e0, str(H1)]]
    residue.release_neighbour(Route(e0, H1))
    assert managed() == []
    assert not path.exists()


def test_next_start_undoes_what_a_killed_run_left(netlink: Netlink, e0: int, path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", CHANGE_AND_DIE, path], check=False)
    assert done.returncode == -9
    assert addresses() == {str(VIP)}
    assert sysctl.read(IGNORE) == "1"
    assert managed() == [str(H1)]
    assert Residue(path, netlink).recover() == 3
    assert addresses() == set()
    assert sysctl.read(IGNORE) == "0"
    assert managed() == []
    assert not path.exists()


def test_record_of_what_is_gone_already(netlink: Netlink, e0: int, path: Path) -> None:
    residue = Residue(path, netlink)
    residue.add_address(e0, VIP)
    residue.set_sysctl(IGNORE, "1")
    residue.manage_neighbour(Route(e0, H1))
    run("ip", "link", "delete", "e0")
    assert Residue(path, netlink).recover() == 3
    assert not path.exists()


def test_interface_without_ipv6(netlink: Netlink, e0: int, path: Path) -> None:
    sysctl.write("net.ipv6.conf.e0.disable_ipv6", "1")
    residue = Residue(path, netlink)
    residue.add_address(e0, VIP)
    with pytest.raises(SystemRefusal) as caught:
        residue.add_address(e0, VIP6)
    assert caught.value.what == f"interface e0: takes no IPv6 address, so not {VIP6}"
    assert caught.value.mend == "sysctl -w net.ipv6.conf.e0.disable_ipv6=0"
    residue.undo()
    assert addresses() == set()
    assert not path.exists()


def test_spoilt_record(netlink: Netlink, path: Path) -> None:
    path.write_text('[["addr')
    with pytest.raises(SystemRefusal) as caught:
        Residue(path, netlink).recover()
    assert caught.value.what == f"record {path}: is no JSON"
    assert caught.value.mend == "undo by hand what it names, then remove it"
    assert path.exists()


def test_nothing_to_recover(netlink: Netlink, path: Path) -> None:
    assert Residue(path, netlink).recover() == 0


def test_record_cut_short_by_a_crash(netlink: Netlink, path: Path) -> None:
    """Written beside and renamed: a half-written one is never the record."""
    path.with_suffix(".new").write_text('[["addr')
    assert Residue(path, netlink).recover() == 0
