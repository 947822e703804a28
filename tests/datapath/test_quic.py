"""QUIC by connection id (R-E12): a datagram goes where its id says, whoever sends it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from bench import XDP_TX, Outcome, UnitBench, host_mac
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from packets import CLIENT, ROUTER_MAC, UNIT_MAC, VIP, ip_of
from quic_ids import Configuration, encode
from scapy.layers.inet import UDP
from scapy.layers.l2 import Ether
from scapy.packet import Raw
from site_file import KEY, make_site

from pointsman.config.model import Site

pytestmark = pytest.mark.datapath

SECRET = bytes.fromhex("8f95f09245765f80256934e50c66207f")
# Of three services, each with three ids for its three hosts: plain and both ciphers, odd and even.
KINDS = {
    "short": [
        Configuration(0, 2, 6),
        Configuration(3, 2, 5, SECRET),
        Configuration(6, 2, 14, SECRET),
    ],
    "long": [Configuration(1, 15, 4), Configuration(2, 15, 4, SECRET)],
    "even": [Configuration(0, 10, 5, SECRET), Configuration(5, 10, 8, SECRET)],
}
PORTS = {"short": 443, "long": 444, "even": 445, "nat": 446, "half": 447, "l2": 448}
CASES = [(name, each) for name, kinds in KINDS.items() for each in kinds]
FORWARD = {"nat": "nat", "half": "half-nat", "l2": "l2"}
UNKNOWN = 9
KEYS = {(f"quic-{name}", number): SECRET for name in PORTS for number in range(7)}
Case = tuple[str, Configuration]


def server_id(index: int, size: int) -> bytes:
    return bytes([0x50 + index]) * (size - 1) + bytes([index])


def configurations(kinds: list[Configuration]) -> dict[str, Any]:
    return {
        "configurations": [
            {
                "id": each.id,
                "server_id_bytes": each.server_id_bytes,
                "nonce_bytes": each.nonce_bytes,
                **({"key_file": "quic.key"} if each.key else {}),
            }
            for each in kinds
        ]
    }


def site() -> Site:
    """make_site(), and services by all kinds of ids and all ways of forwarding."""
    document = make_site().model_dump(mode="json", exclude_unset=True)
    document["units"][0] |= {"nat": ["10.1.0.9", "fd00:1::9"]}
    for name, kinds in KINDS.items():
        size = kinds[0].server_id_bytes
        members = [
            {"host": f"h{i + 1}", "quic_server_id": server_id(i, size).hex()} for i in range(3)
        ]
        document["pools"].append({"name": name, "members": members})
    for name, port in PORTS.items():
        pool = name if name in KINDS else "short"
        document["services"].append(
            {
                "name": f"quic-{name}",
                "addresses": [VIP[4], VIP[6]],
                "protocol": "udp",
                "port": port,
                "inspect": "quic",
                "quic": configurations(KINDS[pool]),
                "forward": FORWARD.get(name, "tunnel"),
                "pool": pool,
            }
        )
    return Site.model_validate(document)


@pytest.fixture(scope="module")
def loaded() -> Iterator[UnitBench]:
    with UnitBench(site(), KEY, KEYS) as bench:
        yield bench


@pytest.fixture
def unit(loaded: UnitBench) -> UnitBench:
    loaded.reset()
    return loaded


def short(connection_id: bytes) -> bytes:
    """A packet with a short header, as all after the handshake have (RFC 8999 §5.2)."""
    return b"\x40" + connection_id + b"sealed"


def long(connection_id: bytes) -> bytes:
    """One with a long header, of a version that nobody knows (§5.1)."""
    return b"\xc0" + b"\xfa" * 4 + bytes([len(connection_id)]) + connection_id + b"\x00sealed"


def frame(version: int, payload: bytes, port: int, sport: int = 40000, last: int = 2) -> bytes:
    source = {4: f"198.51.100.{last}", 6: f"2001:db8:1::{last:x}"}[version]
    inner = UDP(sport=sport, dport=port) / Raw(payload)
    return bytes(Ether(src=ROUTER_MAC, dst=UNIT_MAC) / ip_of(version, source, VIP[version]) / inner)


def named(each: Configuration, index: int, nonce: bytes = bytes(18)) -> bytes:
    return encode(each, server_id(index, each.server_id_bytes), nonce[: each.nonce_bytes])


def host_of(outcome: Outcome) -> int:
    assert outcome.verdict == XDP_TX
    macs = [host_mac(index).hex(":") for index in range(3)]
    return macs.index(Ether(outcome.frame).dst)


@pytest.mark.parametrize("header", [short, long])
@pytest.mark.parametrize(("name", "each"), CASES)
def test_a_flow_begins_where_its_id_says(
    unit: UnitBench, version: int, name: str, each: Configuration, header: Any
) -> None:
    for sport, index in enumerate([2, 0, 1, 1, 0, 2], start=1000):
        outcome = unit.send(frame(version, header(named(each, index)), PORTS[name], sport))
        assert (host_of(outcome), outcome.reason) == (index, "bundled_datagram")
        outcome = unit.send(frame(version, header(named(each, index)), PORTS[name], sport))
        assert (host_of(outcome), outcome.reason) == (index, "hit")


@pytest.mark.parametrize(("name", "each"), CASES)
def test_a_client_that_moves_stays_on_its_host(
    unit: UnitBench, version: int, name: str, each: Configuration
) -> None:
    """Its first id is of its own making, and the host's are what it uses later."""
    first = unit.send(frame(version, long(b"\xff" + b"random!"), PORTS[name]))
    host = host_of(first)
    mine = [named(each, host, bytes([n]) * 18) for n in range(20)]
    assert host_of(unit.send(frame(version, short(mine[0]), PORTS[name]))) == host
    for last, connection_id in enumerate(mine, start=3):
        moved = frame(version, short(connection_id), PORTS[name], last=last)
        assert host_of(unit.send(moved)) == host


def test_the_id_beats_the_route(unit: UnitBench, version: int) -> None:
    each = KINDS["short"][1]
    for index, reason in [(1, "bundled_datagram"), (1, "hit"), (2, "bundled_datagram"), (2, "hit")]:
        outcome = unit.send(frame(version, short(named(each, index)), 443))
        assert (host_of(outcome), outcome.reason) == (index, reason)
    outcome = unit.send(frame(version, short(b"\xff" * 20), 443))
    assert (host_of(outcome), outcome.reason) == (2, "hit")


@pytest.mark.parametrize("unroutable", ["unknown server", "unknown configuration", "nobody's bits"])
def test_ids_that_name_nobody_are_dealt_and_stay(
    unit: UnitBench, version: int, unroutable: str
) -> None:
    each = KINDS["short"][0]
    connection_id = {
        "unknown server": named(each, UNKNOWN),
        "unknown configuration": named(replace(each, id=1), 0),
        "nobody's bits": named(replace(each, id=7), 0),
    }[unroutable]
    hosts = []
    for sport in range(1, 10):
        payloads = [long(connection_id), short(connection_id), short(connection_id)]
        outcomes = [unit.send(frame(version, payload, 443, sport)) for payload in payloads]
        assert [o.reason for o in outcomes] == ["bundled_datagram", "hit", "hit"]
        assert len({host_of(outcome) for outcome in outcomes}) == 1
        hosts.append(host_of(outcomes[0]))
    assert set(hosts) == {0, 1, 2}


def test_an_id_of_an_unusable_host_leaves_the_route(unit: UnitBench, version: int) -> None:
    each = KINDS["short"][0]
    assert host_of(unit.send(frame(version, short(named(each, 0)), 443))) == 0
    unit.set_host(1, usable=False)
    outcome = unit.send(frame(version, short(named(each, 1)), 443))
    assert (host_of(outcome), outcome.reason) == (0, "hit")
    dealt = {host_of(unit.send(frame(version, short(named(each, 1)), 443, s))) for s in range(9)}
    assert dealt == {0, 2}
    unit.set_host(1, usable=True)
    assert host_of(unit.send(frame(version, short(named(each, 1)), 443))) == 1


def test_ids_of_one_service_mean_nothing_to_another(unit: UnitBench, version: int) -> None:
    hosts = {
        host_of(unit.send(frame(version, short(named(KINDS["even"][0], 1)), 444, sport)))
        for sport in range(9)
    }
    assert hosts == {0, 1, 2}


@pytest.mark.parametrize("size", range(256))
def test_long_headers_with_ids_of_every_length(unit: UnitBench, version: int, size: int) -> None:
    """Who has more than it needs is known, up to what QUIC allows; who has less is not."""
    each = KINDS["short"][0]
    connection_id = (named(each, 2) + bytes(255))[:size]
    hosts = [
        host_of(unit.send(frame(version, long(connection_id), 443, sport))) for sport in range(6)
    ]
    assert (hosts == [2] * 6) == (each.total < size <= 20)


@pytest.mark.parametrize("header", [short, long])
@pytest.mark.parametrize(("name", "each"), CASES)
def test_every_truncation(
    unit: UnitBench, version: int, name: str, each: Configuration, header: Any
) -> None:
    """A first datagram is always sent to somebody, by its id as soon as that is whole."""
    whole = header(named(each, 1))
    before = {short: 1, long: 6}[header]
    needed = before + 1 + each.total
    for size in range(len(whole) + 1):
        hosts = [
            host_of(unit.send(frame(version, whole[:size], PORTS[name], size * 8 + n)))
            for n in range(1, 7)
        ]
        assert (hosts == [1] * 6) == (size >= needed), size


@pytest.mark.parametrize("low_bits", [0, 7, 31])
def test_the_length_in_the_id_is_not_asked(unit: UnitBench, version: int, low_bits: int) -> None:
    for each in KINDS["short"]:
        for index in (0, 1, 2):
            connection_id = encode(each, server_id(index, 2), bytes(each.nonce_bytes), low_bits)
            outcome = unit.send(frame(version, short(connection_id), 443, 50 + index))
            assert host_of(outcome) == index


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    case=st.sampled_from(CASES),
    index=st.integers(0, 2),
    nonce=st.binary(min_size=18, max_size=18),
    version=st.sampled_from([4, 6]),
    header=st.sampled_from([short, long]),
)
def test_what_a_server_writes_is_read(
    unit: UnitBench, case: Case, index: int, nonce: bytes, version: int, header: Any
) -> None:
    name, each = case
    outcome = unit.send(frame(version, header(named(each, index, nonce)), PORTS[name], last=77))
    assert host_of(outcome) == index


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(payload=st.binary(max_size=60), version=st.sampled_from([4, 6]))
def test_whatever_it_holds_it_is_sent_once(unit: UnitBench, payload: bytes, version: int) -> None:
    assert unit.send(frame(version, payload, 443)).verdict == XDP_TX


@pytest.mark.parametrize("name", ["nat", "half", "l2"])
def test_other_ways_of_forwarding(unit: UnitBench, version: int, name: str) -> None:
    each = KINDS["short"][1]
    for index, reason in [(1, "plumbed"), (1, "hit"), (2, "plumbed"), (2, "hit"), (1, "plumbed")]:
        outcome = unit.send(frame(version, short(named(each, index)), PORTS[name]))
        assert (host_of(outcome), outcome.reason) == (index, reason)
    assert Ether(outcome.frame)[UDP].payload.load == short(named(each, 1))
    source = Ether(outcome.frame).payload.src
    assert (source == CLIENT[version]) == (name != "nat")


def test_a_unit_that_binds_nothing_keeps_to_its_routes(unit: UnitBench, version: int) -> None:
    each = KINDS["short"][0]
    assert host_of(unit.send(frame(version, short(named(each, 1)), 443))) == 1
    datapath = unit.datapath
    ((key, flow),) = (datapath.flows4 if version == 4 else datapath.flows6).items()
    document = site().model_dump(mode="json", exclude_unset=True)
    document["units"][0]["roles"] = ["forwarder"]
    with UnitBench(Site.model_validate(document), KEY, KEYS) as other:
        datapath = other.datapath
        (datapath.flows4 if version == 4 else datapath.flows6).set(key, flow)  # type: ignore[arg-type]
        outcome = other.send(frame(version, short(named(each, 2)), 443))
        assert (host_of(outcome), outcome.reason) == (1, "hit")
        assert other.send(frame(version, short(named(each, 2)), 443, 7)).reason == "no_route"
