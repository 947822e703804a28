"""What the unit's and the host's object have in common: loading, links, and the reasons counted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from types import TracebackType
from typing import Self

from pointsman.datapath.codecs import U64, Record
from pointsman.datapath.libbpf import BpfObject, Map, MapType
from pointsman.datapath.links import Link
from pointsman.datapath.maps import PerCpuArray
from pointsman.datapath.reasons import Reason

__all__ = ["Loaded"]


class Loaded:
    """A loaded object, its links by interface, and its counters. Closes all of it at once."""

    def __init__(
        self,
        program: BpfObject,
        config: Record,
        entries: Mapping[str, int],
        kinds: Mapping[str, MapType] | None = None,
    ) -> None:
        self._object = program
        self._links: dict[int, list[Link]] = {}
        with self.closed_on_error():
            program.set_rodata(".rodata.config", config.pack())
            for name, count in entries.items():
                program.resize(name, count)
            for name, kind in (kinds or {}).items():
                program.retype(name, kind)
            program.load()
            self.reasons = PerCpuArray(program.map("reasons"), U64)

    def program_fd(self, name: str) -> int:
        """The descriptor of a program; the object keeps it. KeyError if there is none."""
        return self._object.program_fd(name)

    def map(self, name: str) -> Map:
        """A map by its name in C. KeyError if there is none."""
        return self._object.map(name)

    def keep(self, ifindex: int, link: Link) -> None:
        """Own a link until detach() or close(). ValueError if there is one for that interface."""
        if ifindex in self._links:
            link.close()
            raise ValueError(f"already attached to interface number {ifindex}")
        self._links[ifindex] = [link]

    def keep_beside(self, ifindex: int, link: Link) -> None:
        """Own one more link to an interface that has one. KeyError if it has none."""
        self._links[ifindex].append(link)

    def detach(self, ifindex: int) -> None:
        """Take no more packets in there. KeyError if it is not attached."""
        for link in self._links.pop(ifindex):
            link.close()

    def counts(self) -> dict[Reason, int]:
        """Packets by what became of them, since the load."""
        return dict(zip(Reason, self.reasons.totals(), strict=True))

    def close(self) -> None:
        """Detach everywhere and give all maps and programs back. Repeatable."""
        for link in chain(*self._links.values()):
            link.close()
        self._links.clear()
        self._object.close()

    @contextmanager
    def closed_on_error(self) -> Iterator[None]:
        """Leave nothing behind if the block fails."""
        try:
            yield
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
