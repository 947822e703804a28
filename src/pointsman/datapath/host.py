"""The host's program and maps as one object: load, fill, attach, count, go."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pointsman.datapath import abi
from pointsman.datapath.codecs import U32, Raw, RecordCodec
from pointsman.datapath.features import OBJECTS
from pointsman.datapath.libbpf import BpfObject
from pointsman.datapath.links import attach_tcx_egress, attach_tcx_ingress
from pointsman.datapath.loaded import Loaded
from pointsman.datapath.maps import Hash, ProgArray

__all__ = ["HOST_OBJECT", "HostDatapath", "HostSizes"]

HOST_OBJECT = OBJECTS / "host.bpf.o"


@dataclass(frozen=True, slots=True)
class HostSizes:
    """How many of each there may be."""

    mappings: dict[int, int]
    """By IP version."""
    max_fragments: int
    units: int
    endpoints: int
    """Of their own, of both families."""

    def entries(self) -> dict[str, int]:
        """Capacity by name of map; the kernel allows no empty one."""
        wanted = {
            "mappings4": self.mappings[4],
            "mappings6": self.mappings[6],
            "fragments4": self.max_fragments,
            "fragments6": self.max_fragments,
            "endpoints4": self.endpoints,
            "endpoints6": self.endpoints,
            "vips4": self.mappings[4] if self.endpoints else 1,
            "vips6": self.mappings[6] if self.endpoints else 1,
            "tunnels4": self.units,
            "tunnels6": self.units,
        }
        return {name: max(entries, 1) for name, entries in wanted.items()}


class HostDatapath(Loaded):
    """The host's program, loaded and not attached.

    Whoever calls has the features of `features.py` checked. LoadRefusal if the kernel refuses;
    then nothing is left behind.
    """

    def __init__(
        self, sizes: HostSizes, config: abi.HostConfig, *, path: Path = HOST_OBJECT
    ) -> None:
        super().__init__(BpfObject(path), config, sizes.entries())
        with self.closed_on_error():
            key4, key6 = RecordCodec(abi.MappingKey4), RecordCodec(abi.MappingKey6)
            self.mappings4 = Hash(self.map("mappings4"), key4, RecordCodec(abi.Mapping4))
            self.mappings6 = Hash(self.map("mappings6"), key6, RecordCodec(abi.Mapping6))
            self.tunnels4 = Hash(self.map("tunnels4"), Raw(4), U32)
            self.tunnels6 = Hash(self.map("tunnels6"), RecordCodec(abi.In6Key), U32)
            self.endpoints4 = Hash(self.map("endpoints4"), Raw(4), RecordCodec(abi.OwnEndpoint4))
            self.endpoints6 = Hash(self.map("endpoints6"), Raw(4), RecordCodec(abi.OwnEndpoint6))
            self.vips4 = Hash(self.map("vips4"), RecordCodec(abi.FlowKey4), RecordCodec(abi.Vip4))
            self.vips6 = Hash(self.map("vips6"), RecordCodec(abi.FlowKey6), RecordCodec(abi.Vip6))
            self.fragments4 = Hash(
                self.map("fragments4"),
                RecordCodec(abi.HostFragmentKey4),
                RecordCodec(abi.HostFragment4),
            )
            self.fragments6 = Hash(
                self.map("fragments6"),
                RecordCodec(abi.HostFragmentKey6),
                RecordCodec(abi.HostFragment6),
            )
            programs = ProgArray(self.map("programs"))
            for program in abi.HostProgram:
                programs.set(program, self.program_fd(program.name.lower()))

    def attach(self, ifindex: int, *, both_ways: bool) -> None:
        """Take packets in at an interface of this namespace; SystemRefusal as the link's.

        `both_ways` turns what endpoints of their own send, too.
        """
        self.keep(ifindex, attach_tcx_ingress(self.program_fd("restore"), ifindex))
        if both_ways:
            self.keep_beside(ifindex, attach_tcx_egress(self.program_fd("leave"), ifindex))
