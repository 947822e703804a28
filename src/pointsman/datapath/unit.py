"""The unit's programs and maps as one object: load, fill, attach, count, go."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path

from pointsman.datapath import abi
from pointsman.datapath.capi import possible_cpus
from pointsman.datapath.codecs import U32, U64, Raw, RecordCodec
from pointsman.datapath.features import OBJECTS
from pointsman.datapath.flow_table import FlowTable
from pointsman.datapath.libbpf import BpfObject, MapType
from pointsman.datapath.links import attach_xdp
from pointsman.datapath.loaded import Loaded
from pointsman.datapath.maps import Array, Hash, PerCpuArray, ProgArray

__all__ = ["UNIT_OBJECT", "UnitDatapath", "UnitSizes", "cpu_bits"]

UNIT_OBJECT = OBJECTS / "unit.bpf.o"
IDS_A_BUCKET = abi.FLOW_WAYS // 2
"""As in lib/flow_ids.h."""


@dataclass(frozen=True, slots=True)
class UnitSizes:
    """How many of each there may be; what follows from the numbers is worked out here."""

    buckets: dict[int, int]
    """Of the table of routes, by IP version."""
    max_flows: int
    flow_table_per_cpu: bool
    max_fragments: int
    hosts: int
    endpoints: int
    services: int
    listens: int
    """Address and port of all services together, and a mark of each address."""
    ranges: int
    """Prefixes of ports, of all addresses of all services that answer to ranges."""
    groups: int
    quic_configurations: int
    """Places for them."""
    quic_servers: int
    translations: int
    """Of connections that go by half-NAT or NAT, each family's."""
    pools: int
    cards: int
    """That all pools together may have in play; there is room for as many to fill."""
    rulesets: int
    rules: int
    """Of all services together, as the next three are."""
    rule_words: int
    matches: int
    prefixes: int

    def entries(self) -> dict[str, int]:
        """Capacity by name of map; the kernel allows no empty one."""
        wanted = {
            "flows4": self.buckets[4],
            "flows6": self.buckets[6],
            "ids4": self.buckets[4] * IDS_A_BUCKET,
            "ids6": self.buckets[6] * IDS_A_BUCKET,
            "fragments4": self.max_fragments,
            "fragments6": self.max_fragments,
            "endpoints4": self.endpoints,
            "endpoints6": self.endpoints,
            "host_numbers4": self.hosts,
            "host_numbers6": self.hosts,
            "host_epochs": self.hosts,
            "services4": self.listens,
            "services6": self.listens,
            "ranges4": self.ranges,
            "ranges6": self.ranges,
            "affinities4": self.max_flows if self.groups else 1,
            "affinities6": self.max_flows if self.groups else 1,
            "quic_configs": self.quic_configurations,
            "quic_servers": self.quic_servers,
            "returns4": self.translations,
            "returns6": self.translations,
            "pools": self.pools,
            "cards": 2 * self.cards,
            "cursors": self.pools,
            "live": self.endpoints,
            "standings": self.endpoints,
            "rulesets": self.rulesets,
            "rule_pools": self.rules,
            "rule_words": self.rule_words,
            "matches": self.matches,
            "prefixes": self.prefixes,
            "traffic": self.endpoints,
            "undecided": self.services,
        }
        return {name: max(entries, 1) for name, entries in wanted.items()}

    def kinds(self) -> dict[str, MapType]:
        """Maps that are of another kind than the object says."""
        kind = MapType.PERCPU_ARRAY if self.flow_table_per_cpu else MapType.ARRAY
        return {"flows4": kind, "flows6": kind}


class UnitDatapath(Loaded):
    """The unit's programs, loaded and not attached.

    Whoever calls has the features of `features.py` checked. LoadRefusal if the kernel refuses;
    then nothing is left behind.
    """

    def __init__(
        self, sizes: UnitSizes, config: abi.UnitConfig, *, path: Path = UNIT_OBJECT
    ) -> None:
        super().__init__(BpfObject(path), config, sizes.entries(), sizes.kinds())
        self.config = config
        with self.closed_on_error():
            self._open_flows()
            self._open_choices()
            self._open_inspection()
            self._open_counters()
            programs = ProgArray(self.map("programs"))
            for program in abi.Program:
                programs.set(program, self.program_fd(program.name.lower()))

    def attach(self, ifindex: int, *, generic: bool) -> None:
        """Take packets in at an interface of this namespace; SystemRefusal as attach_xdp()."""
        self.keep(ifindex, attach_xdp(self.program_fd("forward"), ifindex, generic=generic))

    def _open_flows(self) -> None:
        number, seed = U32, self.config.flow_seed
        self.flows4 = FlowTable(self.map("flows4"), abi.FlowKey4, seed)
        self.flows6 = FlowTable(self.map("flows6"), abi.FlowKey6, seed)
        self.returns4 = Hash(
            self.map("returns4"), RecordCodec(abi.FlowKey4), RecordCodec(abi.Translation4)
        )
        self.returns6 = Hash(
            self.map("returns6"), RecordCodec(abi.FlowKey6), RecordCodec(abi.Translation6)
        )
        self.evicted = PerCpuArray(self.map("evicted"), U64)
        self.endpoints4 = Array(self.map("endpoints4"), RecordCodec(abi.Endpoint4))
        self.endpoints6 = Array(self.map("endpoints6"), RecordCodec(abi.Endpoint6))
        # Nobody reads these here: kept to be cleared, as raw bytes.
        self.fragments4 = Hash(self.map("fragments4"), Raw(12), Raw(52))
        self.fragments6 = Hash(self.map("fragments6"), Raw(36), Raw(52))
        self.peers4 = Array(self.map("peers4"), RecordCodec(abi.Endpoint4))
        self.peers6 = Array(self.map("peers6"), RecordCodec(abi.Endpoint6))
        self.host_numbers4 = Hash(self.map("host_numbers4"), Raw(4), number)
        self.host_numbers6 = Hash(self.map("host_numbers6"), RecordCodec(abi.In6Key), number)
        self.host_epochs = Array(self.map("host_epochs"), RecordCodec(abi.HostEpoch))

    def _open_choices(self) -> None:
        service = RecordCodec(abi.Service)
        self.ranges4 = Hash(self.map("ranges4"), RecordCodec(abi.RangeKey4), service)
        self.ranges6 = Hash(self.map("ranges6"), RecordCodec(abi.RangeKey6), service)
        affinity = RecordCodec(abi.Affinity)
        self.affinities4 = Hash(self.map("affinities4"), RecordCodec(abi.AffinityKey4), affinity)
        self.affinities6 = Hash(self.map("affinities6"), RecordCodec(abi.AffinityKey6), affinity)
        self.services4 = Hash(self.map("services4"), RecordCodec(abi.ServiceKey4), service)
        self.services6 = Hash(self.map("services6"), RecordCodec(abi.ServiceKey6), service)
        self.quic_configs = Array(self.map("quic_configs"), RecordCodec(abi.QuicConfig))
        self.quic_servers = Hash(self.map("quic_servers"), RecordCodec(abi.QuicServerKey), U32)
        self.aes_tables = Array(self.map("aes_tables"), RecordCodec(abi.AesTables))
        self.pools = Array(self.map("pools"), RecordCodec(abi.Pool))
        self.cards = Array(self.map("cards"), U32)
        self.cursors = Array(self.map("cursors"), U32)
        self.live = Array(self.map("live"), U32)
        self.standings = Array(self.map("standings"), RecordCodec(abi.Standing))

    def _open_inspection(self) -> None:
        rules = RecordCodec(abi.RuleSet)
        self.rulesets = Array(self.map("rulesets"), RecordCodec(abi.Ruleset))
        self.rule_pools = Array(self.map("rule_pools"), U32)
        self.rule_words = Array(self.map("rule_words"), U64)
        self.matches = Hash(self.map("matches"), RecordCodec(abi.MatchKey), rules)
        self.prefixes = Hash(self.map("prefixes"), RecordCodec(abi.PrefixKey), rules)
        self.secrets = Array(self.map("secrets"), RecordCodec(abi.SiphashKey))
        self.cookie_clock = Array(self.map("cookie_clock"), RecordCodec(abi.CookieClock))

    def _open_counters(self) -> None:
        self.next_ids = PerCpuArray(self.map("next_ids"), U32)
        # A restarted unit must not give out soon what its hosts still know of the last run.
        self.next_ids.set(0, [secrets.randbits(32) for _ in range(possible_cpus())])
        self.fragment_ids = Array(self.map("fragment_ids"), U32)
        self.fragment_ids.set(0, secrets.randbits(32))
        self.traffic = PerCpuArray(self.map("traffic"), RecordCodec(abi.Traffic))
        self.undecided = PerCpuArray(self.map("undecided"), U64)


def cpu_bits() -> int:
    """Low bits of a flow id that name the CPU, for UnitConfig."""
    return (possible_cpus() - 1).bit_length()
