"""Endpoints of their own: VIP and port turned to the application's and back, frame by frame."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from host_bench import TC_DROP, TC_NEXT, HostBench
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from own_site import FIRST, SECOND, Own, leaving, own_site
from packets import VIP, Client, checksums_right
from scapy.layers.l2 import ARP, Ether
from site_file import KEY

from pointsman.datapath.abi import BundleKind

pytestmark = pytest.mark.datapath

OWN = pytest.mark.parametrize("own", [FIRST, SECOND], ids=["first", "second"])
PROTOCOLS = pytest.mark.parametrize("proto", [6, 17], ids=["tcp", "udp"])


@pytest.fixture(scope="module")
def loaded_own() -> Iterator[HostBench]:
    with HostBench(own_site(), KEY) as bench:
        yield bench


@pytest.fixture
def host(loaded_own: HostBench) -> HostBench:
    loaded_own.reset()
    return loaded_own


def fields_of(proto: int) -> dict[str, Any]:
    return {"flags": "S", "seq": 1} if proto == 6 else {}


def learn(host: HostBench, client: Client, own: Own, payload: bytes = b"") -> str:
    """Bundles the client's first packet for the endpoint; what became of it."""
    kind = BundleKind.SYN if client.proto == 6 else BundleKind.DATAGRAM
    inner = client.packet(payload, **fields_of(client.proto))
    return host.send(host.bundle(client, kind, inner, endpoint=own.id(client.version))).reason


@OWN
@PROTOCOLS
def test_a_bundled_packet_is_turned_to_the_endpoint(
    host: HostBench, version: int, own: Own, proto: int
) -> None:
    client = Client(version, proto=proto)
    kind = BundleKind.SYN if proto == 6 else BundleKind.DATAGRAM
    inner = client.packet(b"first", **fields_of(proto))
    frame = host.bundle(client, kind, inner, endpoint=own.id(version))
    outcome = host.send(frame, summed=True)
    assert (outcome.verdict, outcome.reason) == (
        TC_NEXT,
        "syn_taught" if proto == 6 else "datagram_taught",
    )
    assert outcome.frame == own.frame(client.packet(b"first", **fields_of(proto)), version)
    assert own.vip(host.datapath, client).port == client.service_port.to_bytes(2, "big")


@OWN
@PROTOCOLS
@pytest.mark.parametrize("size", [0, 1, 1400])
def test_what_follows_goes_straight_to_the_endpoint(
    host: HostBench, version: int, own: Own, proto: int, size: int
) -> None:
    client = Client(version, proto=proto)
    learn(host, client, own)
    make = host.tunnelled if proto == 6 else host.datagram
    outcome = host.send(make(version, b"q" * size), summed=True)
    assert (outcome.verdict, outcome.reason) == (TC_NEXT, "restored")
    assert outcome.frame == own.frame(client.packet(b"q" * size), version)


@OWN
@PROTOCOLS
@pytest.mark.parametrize("size", [0, 1, 1400])
def test_its_answers_leave_in_the_name_of_the_vip(
    host: HostBench, version: int, own: Own, proto: int, size: int
) -> None:
    client = Client(version, proto=proto)
    learn(host, client, own)
    outcome = host.leave(own.answer(client, b"a" * size), summed=True)
    assert (outcome.verdict, outcome.reason) == (TC_NEXT, "out_turned")
    assert outcome.frame == leaving(client, VIP[version], client.service_port, b"a" * size)


def test_an_answer_without_checksum_stays_without(host: HostBench, version: int) -> None:
    client = Client(version, proto=17)
    learn(host, client, FIRST)
    outcome = host.leave(FIRST.answer(client, b"answer", chksum=0), summed=True)
    assert outcome.frame == leaving(client, VIP[version], 81, b"answer", chksum=0)


@PROTOCOLS
def test_only_the_connections_that_came_by_bundle_are_turned(
    host: HostBench, version: int, proto: int
) -> None:
    client = Client(version, proto=proto)
    learn(host, client, FIRST)
    others = [
        FIRST.answer(Client(version, port=40001, proto=proto)),
        FIRST.answer(Client(version, proto=23 - proto)),
        SECOND.answer(client),
        leaving(client, FIRST.address[version], 22),
        bytes(Ether() / ARP()),
        bytes(Ether(type=0x88CC) / bytes(50)),
    ]
    for frame in others:
        outcome = host.leave(frame)
        assert (outcome.verdict, outcome.reason) == (TC_NEXT, "out_other")
        assert outcome.frame == frame


def test_an_answer_cut_at_any_byte_is_left_alone(host: HostBench, version: int) -> None:
    client = Client(version)
    learn(host, client, FIRST)
    frame = FIRST.answer(client)
    for size in range(14 + {4: 20, 6: 40}[version], len(frame)):
        outcome = host.leave(frame[:size])
        assert (outcome.reason, outcome.frame) == ("out_other", frame[:size])


@PROTOCOLS
def test_an_endpoint_that_the_host_does_not_have(host: HostBench, version: int, proto: int) -> None:
    client = Client(version, proto=proto)
    kind = BundleKind.SYN if proto == 6 else BundleKind.DATAGRAM
    inner = client.packet(**fields_of(proto))
    outcome = host.send(host.bundle(client, kind, inner, endpoint=b"\1\2\3\4"))
    assert (outcome.verdict, outcome.reason) == (TC_DROP, "unknown_endpoint")
    with pytest.raises(KeyError):
        host.mapping(version)


def test_one_flow_of_datagrams_serves_one_vip(host: HostBench, version: int) -> None:
    first = Client(version, proto=17)
    other = Client(version, proto=17, service_port=82)
    assert learn(host, first, FIRST) == "datagram_taught"
    assert learn(host, other, FIRST) == "tuple_taken"
    assert learn(host, other, SECOND) == "datagram_taught"
    assert learn(host, first, FIRST) == "datagram_taught"


def test_a_connection_that_is_over_gives_its_place_to_another_vip(
    host: HostBench, version: int
) -> None:
    """test_own_live.py has one that lives."""
    learn(host, Client(version), FIRST)
    other = Client(version, service_port=82)
    assert learn(host, other, FIRST) == "syn_taught"
    assert FIRST.vip(host.datapath, other).port == (82).to_bytes(2, "big")


@pytest.mark.parametrize("kind", [BundleKind.TEACH, BundleKind.TEACH_ONLY])
def test_a_lesson_teaches_both_directions(host: HostBench, version: int, kind: BundleKind) -> None:
    client = Client(version)
    inner = client.packet(b"payload", flags="A", seq=4, ack=5)
    host.send(host.bundle(client, kind, inner, endpoint=FIRST.id(version)))
    assert FIRST.vip(host.datapath, client).port == (81).to_bytes(2, "big")
    assert host.mapping(version).key.dport == FIRST.port.to_bytes(2, "big")
    assert host.leave(FIRST.answer(client)).reason == "out_turned"


def test_without_an_endpoint_nothing_is_turned(host: HostBench, version: int) -> None:
    client = Client(version)
    inner = client.packet(flags="S")
    outcome = host.send(host.bundle(client, BundleKind.SYN, inner))
    assert outcome.frame[14:] == bytes(inner)
    answer = leaving(client, VIP[version], 81)
    assert host.leave(answer).frame == answer


def test_data_with_no_listener_is_refused_in_the_name_of_the_vip(
    host: HostBench, version: int
) -> None:
    client = Client(version, service_port=80)
    inner = client.packet(b"GET", flags="PA", seq=4, ack=5)
    bundle = host.bundle(client, BundleKind.DATA, inner, endpoint=FIRST.id(version))
    outcome = host.send(bundle)
    assert (outcome.verdict, outcome.reason) == (TC_NEXT, "no_listener")
    turned = client.packet(b"GET", flags="PA", seq=4, ack=5)
    assert outcome.frame == FIRST.frame(turned, version)
    assert checksums_right(outcome.frame)
    assert host.leave(FIRST.answer(client, flags="R", seq=5)).reason == "out_turned"


@settings(
    max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    noise=st.binary(min_size=1, max_size=60),
    at=st.integers(0, 120),
    end=st.integers(54, 200),
    proto=st.sampled_from([6, 17]),
)
def test_noise_on_the_way_out_harms_nothing(
    host: HostBench, version: int, noise: bytes, at: int, end: int, proto: int
) -> None:
    """Nothing is held back, whatever it is, and a driver's sum over it stays right."""
    client = Client(version, proto=proto)
    learn(host, client, FIRST)
    frame = bytearray(FIRST.answer(client, bytes(100)))[:end]
    frame[14 + at : 14 + at + len(noise)] = noise[: max(len(frame) - 14 - at, 0)]
    outcome = host.leave(bytes(frame), summed=True)
    assert outcome.verdict == TC_NEXT
    assert outcome.reason in ("out_turned", "out_other")
    assert len(outcome.frame) == len(frame)
    if outcome.reason == "out_other":
        assert outcome.frame == bytes(frame)
