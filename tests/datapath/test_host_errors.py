"""ICMP errors at the host: in bundles to the stack, and out of the stack to the client."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from host_bench import TC_DROP, TC_NEXT, HostBench
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from own_site import FIRST, SECOND, Own, own_site
from packets import CLIENT, IP_BYTES, ROUTER_MAC, UNIT_MAC, VIP, Client, ip_of
from scapy.layers.inet import ICMP, TCP, UDP
from scapy.layers.inet6 import ICMPv6DestUnreach, ICMPv6PacketTooBig
from scapy.layers.l2 import Ether
from scapy.packet import Packet
from site_file import KEY

from pointsman.datapath.abi import BundleKind

pytestmark = pytest.mark.datapath

ROUTER = {4: "198.51.100.254", 6: "2001:db8:1::fe"}
OWN = pytest.mark.parametrize("own", [FIRST, SECOND], ids=["first", "second"])
PROTOCOLS = pytest.mark.parametrize("proto", [6, 17], ids=["tcp", "udp"])
QUOTES = pytest.mark.parametrize("quoted", [8, 20, 500], ids=lambda size: f"quotes {size}")


@pytest.fixture(scope="module")
def loaded_own() -> Iterator[HostBench]:
    with HostBench(own_site(), KEY) as bench:
        yield bench


@pytest.fixture
def host(loaded_own: HostBench) -> HostBench:
    loaded_own.reset()
    return loaded_own


def sent(client: Client, source: str, port: int) -> Packet:
    """A packet to the client."""
    header = ip_of(client.version, source, CLIENT[client.version])
    layer = UDP if client.proto == 17 else TCP
    return header / layer(sport=port, dport=client.port) / bytes(500)


def error(version: int, source: str, target: str, quote: Packet, quoted: int) -> Packet:
    """Packet too big, or fragmentation needed, with so many bytes behind the quoted IP header."""
    header = ip_of(version, source, target)
    told: Packet = ICMP(type=3, code=4, nexthopmtu=1280)
    if version == 6:
        told = ICMPv6PacketTooBig(mtu=1280)
    return header / told / bytes(quote)[: IP_BYTES[version] + quoted]


def bundle(host: HostBench, client: Client, inner: Packet, **fields: Any) -> bytes:
    """As the unit sends it: the tag covers the error's own addresses."""
    version = client.version
    parties = (inner.src, inner.dst, 0, 0)
    number = {4: 1, 6: 58}[version]
    return host.bundle_of(version, BundleKind.ICMP, inner, parties, number, **fields)


@QUOTES
@PROTOCOLS
def test_an_error_is_unpacked(host: HostBench, version: int, proto: int, quoted: int) -> None:
    client = Client(version, proto=proto)
    inner = error(version, ROUTER[version], VIP[version], sent(client, VIP[version], 81), quoted)
    outcome = host.send(bundle(host, client, inner), summed=True)
    assert (outcome.verdict, outcome.reason) == (TC_NEXT, "icmp_passed")
    assert outcome.frame[14:] == bytes(inner)


@OWN
@QUOTES
@PROTOCOLS
def test_an_error_is_turned_to_the_endpoint(
    host: HostBench, version: int, own: Own, proto: int, quoted: int
) -> None:
    client = Client(version, proto=proto)
    inner = error(version, ROUTER[version], VIP[version], sent(client, VIP[version], 81), quoted)
    outcome = host.send(bundle(host, client, inner, endpoint=own.id(version)), summed=True)
    assert (outcome.verdict, outcome.reason) == (TC_NEXT, "icmp_passed")
    own_address = own.address[version]
    turned = sent(client, own_address, own.port)
    assert outcome.frame[14:] == bytes(error(version, ROUTER[version], own_address, turned, quoted))


@OWN
@QUOTES
@PROTOCOLS
def test_the_stacks_own_errors_leave_in_the_clients_words(
    host: HostBench, version: int, own: Own, proto: int, quoted: int
) -> None:
    client = Client(version, proto=proto)
    kind = BundleKind.SYN if proto == 6 else BundleKind.DATAGRAM
    first = client.packet(bytes(500))
    host.send(host.bundle(client, kind, first, endpoint=own.id(version)))
    got = own.turned(client.packet(bytes(500)), version)
    frame = unreachable(version, own.address[version], got, quoted)
    outcome = host.leave(frame, summed=True)
    assert (outcome.verdict, outcome.reason) == (TC_NEXT, "out_turned")
    assert outcome.frame == unreachable(version, VIP[version], first, quoted)


def unreachable(version: int, source: str, quote: Packet, quoted: int) -> bytes:
    """Port unreachable, to the client."""
    told: Packet = ICMP(type=3, code=3) if version == 4 else ICMPv6DestUnreach(code=4)
    packet = ip_of(version, source, CLIENT[version]) / told
    packet /= bytes(quote)[: IP_BYTES[version] + quoted]
    return bytes(Ether(src=UNIT_MAC, dst=ROUTER_MAC) / packet)


def test_other_errors_are_left_alone(host: HostBench, version: int) -> None:
    client = Client(version, proto=17)
    frame = unreachable(version, FIRST.address[version], client.packet(bytes(50)), 58)
    outcome = host.leave(frame)
    assert (outcome.reason, outcome.frame) == ("out_other", frame)


def test_an_endpoint_that_the_host_does_not_have(host: HostBench, version: int) -> None:
    client = Client(version)
    inner = error(version, ROUTER[version], VIP[version], sent(client, VIP[version], 81), 8)
    outcome = host.send(bundle(host, client, inner, endpoint=b"\1\2\3\4"))
    assert (outcome.verdict, outcome.reason) == (TC_DROP, "unknown_endpoint")


def test_a_bundle_of_the_other_kinds_carries_no_error(host: HostBench, version: int) -> None:
    client = Client(version)
    inner = error(version, ROUTER[version], VIP[version], sent(client, VIP[version], 81), 8)
    parties, number = (inner.src, inner.dst, 0, 0), {4: 1, 6: 58}[version]
    for kind in (BundleKind.SYN, BundleKind.TEACH_ONLY, BundleKind.DATAGRAM):
        frame = host.bundle_of(version, kind, inner, parties, number)
        assert host.send(frame).reason == "bad_tag"
    segment = client.packet(flags="A")
    assert host.send(host.bundle(client, BundleKind.ICMP, segment)).reason == "bad_tag"


def test_a_quote_cut_at_any_byte_goes_nowhere(host: HostBench, version: int) -> None:
    client = Client(version)
    sent_ = sent(client, VIP[version], 81)
    for quoted in range(-IP_BYTES[version], 4):
        inner = error(version, ROUTER[version], VIP[version], sent_, quoted)
        outcome = host.send(bundle(host, client, inner, endpoint=FIRST.id(version)))
        assert (outcome.verdict, outcome.reason) == (TC_DROP, "host_malformed"), quoted


def test_a_bundle_cut_at_any_byte_goes_nowhere(host: HostBench, version: int) -> None:
    client = Client(version)
    inner = error(version, ROUTER[version], VIP[version], sent(client, VIP[version], 81), 8)
    frame = bundle(host, client, inner)
    for size in range(14 + IP_BYTES[version], len(frame)):
        assert host.send(frame[:size]).reason in ("not_ours", "host_malformed"), size


@settings(
    max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(noise=st.binary(min_size=1, max_size=60), at=st.integers(0, 100))
def test_noise_in_a_quote_harms_nothing(
    host: HostBench, version: int, noise: bytes, at: int
) -> None:
    client = Client(version)
    inner = error(version, ROUTER[version], VIP[version], sent(client, VIP[version], 81), 60)
    frame = bytearray(bundle(host, client, inner, endpoint=FIRST.id(version)))
    start = len(frame) - 60 - IP_BYTES[version] - 8 + at
    frame[start : start + len(noise)] = noise[: max(len(frame) - start, 0)]
    outcome = host.send(bytes(frame), summed=True)
    assert outcome.reason in ("icmp_passed", "host_malformed")
