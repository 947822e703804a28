"""The real objects, loaded as the daemons load them."""

from __future__ import annotations

from pathlib import Path

import pytest
from compiled import PASSING, compile_program, open_fds

from pointsman.datapath import abi, testrun
from pointsman.datapath.capi import possible_cpus
from pointsman.datapath.flow_table import bucket_count
from pointsman.datapath.host import HostDatapath, HostSizes
from pointsman.datapath.reasons import REASONS, Reason, Where
from pointsman.datapath.unit import UnitDatapath, UnitSizes, cpu_bits

pytestmark = pytest.mark.datapath

KEY = abi.SiphashKey(1, 2)
FRAME = bytes(60)
XDP_PASS, TC_NEXT = 2, -1
BUCKETS = bucket_count(1000, per_cpu=False)
UNIT_CONFIG = abi.UnitConfig(
    tag_key=KEY,
    choose_key=KEY,
    flow_seed=1,
    flow_masks=(BUCKETS - 1, BUCKETS - 1),
    life=(1, 2, 3, 4, 5),
    tunnel4=bytes(4),
    tunnel6=bytes(16),
    bundle_port=b"\x11\xa0",
    mtu=1500,
    units=1,
    cpu_bits=cpu_bits(),
    nat4=bytes(4),
    nat6=bytes(16),
    nat_first=1024,
    nat_last=65535,
    flags=abi.UnitFlag.CLASSIFIES,
)
HOST_CONFIG = abi.HostConfig(tag_key=KEY, nonce=bytes(8), bundle_port=b"\x11\xa0", datagram_life=60)
UNIT_SIZES = UnitSizes(
    buckets={4: BUCKETS, 6: BUCKETS},
    max_flows=1000,
    flow_table_per_cpu=False,
    max_fragments=64,
    hosts=3,
    endpoints=6,
    services=2,
    listens=8,
    ranges=0,
    groups=0,
    quic_configurations=0,
    quic_servers=0,
    translations=0,
    pools=2,
    cards=1500,
    rulesets=1,
    rules=7,
    rule_words=9,
    matches=5,
    prefixes=0,
)
HOST_SIZES = HostSizes(mappings={4: 1000, 6: 1000}, max_fragments=64, units=2, endpoints=2)


def test_unit_has_maps_of_the_sizes_that_follow() -> None:
    with UnitDatapath(UNIT_SIZES, UNIT_CONFIG) as unit:
        assert len(unit.cards) == 2 * 1500
        assert len(unit.traffic) == 6
        assert len(unit.rule_pools) == 7
        assert len(unit.rule_words) == 9
        assert unit.services4.map.max_entries == 8
        assert unit.prefixes.map.max_entries == 1
        assert len(unit.secrets) == abi.SECRET_SLOTS


def test_unit_counts_what_it_did() -> None:
    with UnitDatapath(UNIT_SIZES, UNIT_CONFIG) as unit:
        assert set(unit.counts().values()) == {0}
        assert testrun.test_run(unit.program_fd("forward"), FRAME).retval == XDP_PASS
        assert {reason: n for reason, n in unit.counts().items() if n} == {Reason.NOT_OURS: 1}
        assert all(
            REASONS[reason].where is not Where.HOST for reason, n in unit.counts().items() if n
        )


def test_tables_hold_what_the_site_says() -> None:
    with UnitDatapath(UNIT_SIZES, UNIT_CONFIG) as unit:
        prefix = abi.PrefixKey(
            prefixlen=32 + 16,
            ruleset=0,
            match_class=abi.MatchClass.PREFIX,
            text=b"/a".ljust(abi.MATCH_TEXT, b"\0"),
        )
        rules = abi.RuleSet(summary=1, first=0)
        unit.prefixes.set(prefix, rules)
        assert list(unit.prefixes.items()) == [(prefix, rules)]
        unit.prefixes.clear()
        assert list(unit.prefixes.items()) == []
        unit.cards.set_many(1500, [0, 1, 2])
        assert unit.cards.values(1500, 4) == [0, 1, 2, 0]
        fields = bytes(4), bytes(4), bytes(6), bytes(6), 7, 0, bytes(4), bytes(2), 0
        unit.endpoints4.set(2, abi.Endpoint4(*fields, abi.EndpointFlag.USABLE))
        assert unit.endpoints4.get(2).flags == abi.EndpointFlag.USABLE


def test_two_runs_number_their_flows_differently() -> None:
    with UnitDatapath(UNIT_SIZES, UNIT_CONFIG) as one, UnitDatapath(UNIT_SIZES, UNIT_CONFIG) as two:
        assert len(one.next_ids.get(0)) == possible_cpus()
        assert one.next_ids.get(0) != two.next_ids.get(0)


def test_host_counts_what_it_did() -> None:
    with HostDatapath(HOST_SIZES, HOST_CONFIG) as host:
        assert host.mappings6.map.max_entries == 1000
        assert testrun.test_run(host.program_fd("restore"), FRAME).retval == TC_NEXT
        assert {reason: n for reason, n in host.counts().items() if n} == {Reason.NOT_OURS: 1}


def test_nothing_is_left_behind() -> None:
    before = open_fds()
    unit = UnitDatapath(UNIT_SIZES, UNIT_CONFIG)
    host = HostDatapath(HOST_SIZES, HOST_CONFIG)
    for datapath in (unit, host, unit):
        datapath.close()
    assert open_fds() == before


def test_nothing_is_left_behind_by_a_failed_start(tmp_path: Path) -> None:
    foreign = compile_program(tmp_path, "passing", PASSING)
    before = open_fds()
    with pytest.raises(ValueError, match="wanted"):
        UnitDatapath(UNIT_SIZES, UNIT_CONFIG, path=foreign)
    assert open_fds() == before
