"""What we changed of the machine, on record before it is changed, so that it can be undone.

Programs hang on links that the kernel cuts when we die, however we die. Addresses, neighbours and
sysctls do not: the record tells the next start what a SIGKILL left behind.
"""

from __future__ import annotations

import json
from ipaddress import ip_address
from pathlib import Path

from pointsman.config.model import Address
from pointsman.errors import SystemRefusal
from pointsman.system import sysctl
from pointsman.system.netlink import Netlink
from pointsman.system.network import Route

__all__ = ["Residue"]

Entry = list[str | int]
"""["address", ifindex, address] | ["neighbour", ifindex, address] | ["sysctl", name, old value]"""


class Residue:
    """The record of one daemon, in one file, and the only way it changes the machine."""

    def __init__(self, path: Path, netlink: Netlink) -> None:
        self._path = path
        self._netlink = netlink
        self._entries: list[Entry] = []

    def recover(self) -> int:
        """Undoes what a former run left; returns how many things.

        Raises SystemRefusal if somebody has spoilt the record.
        """
        if not self._path.exists():
            return 0
        try:
            self._entries = json.loads(self._path.read_text())
        except ValueError:
            raise SystemRefusal(
                f"record {self._path}: is no JSON", "undo by hand what it names, then remove it"
            ) from None
        count = len(self._entries)
        self.undo()
        return count

    def add_address(self, ifindex: int, address: Address) -> None:
        """An address that was there before is not ours to remove."""
        entry: Entry = ["address", ifindex, str(address)]
        self._record(entry)
        if not self._netlink.add_address(ifindex, address):
            self._forget(entry)

    def manage_neighbour(self, route: Route) -> None:
        entry: Entry = ["neighbour", route.ifindex, str(route.neighbour)]
        if entry not in self._entries:
            self._record(entry)
        self._netlink.manage_neighbour(route)

    def release_neighbour(self, route: Route) -> None:
        self._netlink.release_neighbour(route)
        self._forget(["neighbour", route.ifindex, str(route.neighbour)])

    def set_sysctl(self, name: str, value: str) -> None:
        """Remembers the old value; does nothing if it is right already."""
        old = sysctl.read(name)
        if old != value:
            self._record(["sysctl", name, old])
            sysctl.write(name, value)

    def undo(self) -> None:
        """Last change first. The record shrinks as it goes, so a second try goes on from there."""
        while self._entries:
            self._undo_one(self._entries[-1])
            self._entries.pop()
            self._save()

    def _undo_one(self, entry: Entry) -> None:
        kind, where, what = entry
        if kind == "address":
            self._netlink.remove_address(int(where), ip_address(what))
        elif kind == "neighbour":
            self._netlink.release_neighbour(Route(int(where), ip_address(what)))
        else:
            sysctl.restore(str(where), str(what))

    def _record(self, entry: Entry) -> None:
        self._entries.append(entry)
        self._save()

    def _forget(self, entry: Entry) -> None:
        if entry in self._entries:
            self._entries.remove(entry)
            self._save()

    def _save(self) -> None:
        if not self._entries:
            self._path.unlink(missing_ok=True)
            return
        new = self._path.with_suffix(".new")
        new.write_text(json.dumps(self._entries))
        new.replace(self._path)
