"""Fragments at the host: the first one has the flow id, the others go where it went."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address

import pytest
from host_bench import FLOW_ID, TC_DROP, TC_NEXT, TC_REDIRECT, HostBench, ports_of
from host_wire import host_wire
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from own_site import FIRST, own_site
from packets import CLIENT, HOSTS, IP_BYTES, ROUTER_MAC, TUNNEL, UNIT_MAC, VIP, Client, ip_of, split
from scapy.layers.inet import IP, UDP, fragment
from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment, fragment6
from scapy.layers.l2 import Ether
from scapy.packet import Packet
from site_file import KEY

from pointsman.datapath.abi import BundleKind

pytestmark = pytest.mark.datapath

DATA = bytes(i % 251 for i in range(3500))
ID = 0x1234


@pytest.fixture(scope="module")
def loaded_own() -> Iterator[HostBench]:
    with HostBench(own_site(), KEY) as bench:
        yield bench


@pytest.fixture
def host(loaded_own: HostBench) -> HostBench:
    loaded_own.reset()
    return loaded_own


@pytest.fixture
def client(version: int) -> Client:
    return Client(version, service_port=53, proto=17)


def cut(version: int, source: str, target: str, udp: Packet, number: int = ID) -> list[bytes]:
    """The frames of a datagram in fragments of at most 1,400 bytes."""
    whole = ip_of(version, source, target) / udp
    if version == 4:
        whole = IP(bytes(whole))
        whole.id = number
        del whole.chksum
        parts = fragment(whole, 1376)
    else:
        # scapy puts a fragment header of its own only where there is one.
        packet = IPv6(src=source, dst=target, hlim=64, nh=44)
        checked = IPv6(bytes(whole)).payload
        parts = fragment6(packet / IPv6ExtHdrFragment(id=number, nh=17) / checked, 1400)
        for part in parts:
            part[IPv6ExtHdrFragment].id = number
    return [bytes(Ether(src=ROUTER_MAC, dst=UNIT_MAC) / part) for part in parts]


def tunnelled(version: int, data: bytes = DATA, number: int = ID) -> list[bytes]:
    """As the unit sends them."""
    udp = UDP(**ports_of(FLOW_ID)) / data
    return cut(version, TUNNEL[version], HOSTS[version][0], udp, number)


def wanted(client: Client, target: str, port: int) -> list[bytes]:
    """As the application's machine must see them."""
    udp = UDP(sport=client.port, dport=port) / DATA
    return cut(client.version, CLIENT[client.version], target, udp)


def test_fragments_are_turned_back(host: HostBench, client: Client) -> None:
    version = client.version
    host.teach(client)
    outcomes = [host.send(frame, summed=True) for frame in tunnelled(version)]
    assert [outcome.verdict for outcome in outcomes] == [TC_NEXT] * 3
    assert [o.reason for o in outcomes] == ["restored", "fragment_restored", "fragment_restored"]
    assert [o.frame for o in outcomes] == wanted(client, VIP[version], 53)


def test_fragments_reach_an_endpoint_of_its_own(host: HostBench, client: Client) -> None:
    version = client.version
    inner = client.packet(b"first")
    bundle = host.bundle(client, BundleKind.DATAGRAM, inner, endpoint=FIRST.id(version))
    assert host.send(bundle).reason == "datagram_taught"
    frames = [host.send(frame, summed=True).frame for frame in tunnelled(version)]
    assert frames == wanted(client, FIRST.address[version], FIRST.port)


def test_fragments_leave_an_endpoint_of_its_own(host: HostBench, client: Client) -> None:
    version = client.version
    inner = client.packet(b"first")
    host.send(host.bundle(client, BundleKind.DATAGRAM, inner, endpoint=FIRST.id(version)))
    udp = UDP(sport=FIRST.port, dport=client.port) / DATA
    outcomes = [
        host.leave(frame, summed=True)
        for frame in cut(version, FIRST.address[version], CLIENT[version], udp)
    ]
    assert [outcome.reason for outcome in outcomes] == ["out_turned"] * 3
    udp = UDP(sport=53, dport=client.port) / DATA
    assert [o.frame for o in outcomes] == cut(version, VIP[version], CLIENT[version], udp)


def test_a_datagram_without_checksum_stays_without(host: HostBench, client: Client) -> None:
    version = client.version
    host.teach(client)
    udp = UDP(**ports_of(FLOW_ID), chksum=0) / DATA
    frames = cut(version, TUNNEL[version], HOSTS[version][0], udp)
    outcomes = [host.send(frame, summed=True).frame for frame in frames]
    udp = UDP(sport=client.port, dport=53, chksum=0) / DATA
    assert outcomes == cut(version, CLIENT[version], VIP[version], udp)


def test_fragments_of_packets_that_overlap_in_time(host: HostBench, client: Client) -> None:
    host.teach(client)
    packets = [tunnelled(client.version, number=number) for number in (1, 2, 3)]
    for frames in zip(*packets, strict=True):
        for frame in frames:
            assert host.send(frame).reason in ("restored", "fragment_restored")


def test_a_fragment_before_its_first_one_goes_nowhere(host: HostBench, client: Client) -> None:
    host.teach(client)
    first, second, third = tunnelled(client.version)
    for frame in (third, second):
        outcome = host.send(frame)
        assert (outcome.verdict, outcome.reason) == (TC_DROP, "fragment_early")
    assert host.send(first).reason == "restored"
    assert host.send(third).reason == "fragment_restored"


def test_fragments_of_an_unknown_flow_id_become_a_notice(host: HostBench, version: int) -> None:
    first, second, _ = tunnelled(version)
    outcome = host.send(first)
    assert (outcome.verdict, outcome.reason) == (TC_REDIRECT, "unknown_flow_id")
    assert len(outcome.frame) == 14 + IP_BYTES[version] + 32
    assert host.send(second).reason == "fragment_early"


def test_a_flow_id_serves_one_protocol(host: HostBench, version: int) -> None:
    host.teach(Client(version))
    assert host.send(tunnelled(version)[0]).reason == "other_protocol"


def test_fragments_of_others_are_not_ours(host: HostBench, version: int) -> None:
    udp = UDP(sport=1, dport=2) / DATA
    for frame in cut(version, CLIENT[version], HOSTS[version][0], udp):
        outcome = host.send(frame)
        assert (outcome.reason, outcome.frame) == ("not_ours", frame)
        assert host.leave(frame).reason == "out_other"


@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_fragment_cut_at_any_byte_goes_nowhere(
    host: HostBench, client: Client, which: int
) -> None:
    host.teach(client)
    frames = tunnelled(client.version)
    host.send(frames[0])
    ends = range(14 + IP_BYTES[client.version], len(frames[which]), 7)
    for size in ends:
        assert host.send(frames[which][:size]).reason in ("not_ours", "host_malformed"), size


def test_an_answer_s_first_fragment_cut_at_any_byte_is_turned_or_left(
    host: HostBench, client: Client
) -> None:
    version = client.version
    inner = client.packet(b"first")
    host.send(host.bundle(client, BundleKind.DATAGRAM, inner, endpoint=FIRST.id(version)))
    udp = UDP(sport=FIRST.port, dport=client.port) / DATA
    frame = cut(version, FIRST.address[version], CLIENT[version], udp)[0]
    header_ends = 14 + {4: 20, 6: 48}[version] + 8
    for size in range(14 + IP_BYTES[version], header_ends + 20):
        outcome = host.leave(frame[:size])
        assert outcome.verdict == TC_NEXT, size
        assert outcome.reason == ("out_other" if size < header_ends else "out_turned"), size


@pytest.mark.parametrize("size", range(8))
def test_a_first_fragment_without_its_ports_goes_nowhere(
    host: HostBench, client: Client, size: int
) -> None:
    host.teach(client)
    extra = {4: 0, 6: 8}[client.version]
    frame = bytearray(tunnelled(client.version)[0][: 14 + IP_BYTES[client.version] + extra + size])
    if client.version == 4:
        frame[16:18] = (20 + size).to_bytes(2, "big")
    else:
        frame[18:20] = (8 + size).to_bytes(2, "big")
    assert host.send(bytes(frame)).reason == "host_malformed"


@settings(
    max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(noise=st.binary(min_size=1, max_size=60), at=st.integers(0, 60), which=st.integers(0, 2))
def test_noise_in_fragments_harms_nothing(
    host: HostBench, version: int, noise: bytes, at: int, which: int
) -> None:
    client = Client(version, service_port=53, proto=17)
    host.teach(client)
    frames = tunnelled(version)
    host.send(frames[0])
    frame = bytearray(frames[which])
    frame[14 + at : 14 + at + len(noise)] = noise
    outcome = host.send(bytes(frame))
    assert len(outcome.frame) == len(frame) or outcome.reason == "unknown_flow_id"
    if outcome.reason in ("restored", "fragment_restored"):
        network, _ = split(outcome.frame)
        assert ip_address(network.src) == ip_address(CLIENT[version])
        assert ip_address(network.dst) == ip_address(VIP[version])


def test_the_stack_puts_them_together(host: HostBench, client: Client) -> None:
    with host_wire(host) as wire, wire.datagrams(client) as server:
        host.teach(client)
        wire.send(*tunnelled(client.version))
        data, peer = server.recvfrom(4000)
        assert data == DATA
        assert peer[:2] == (CLIENT[client.version], client.port)
