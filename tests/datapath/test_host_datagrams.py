"""The host's program and UDP: bundles that teach, datagrams whose ports are a flow id."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from host_bench import FLOW_ID, TC_DROP, TC_NEXT, TC_REDIRECT, HostBench
from host_wire import HostWire
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from packets import CLIENT, IP_BYTES, ROUTER_MAC, UNIT_MAC, VIP, Client, split
from scapy.layers.inet import UDP
from scapy.layers.l2 import Ether
from test_host import pseudo_sum

from pointsman.datapath import abi
from pointsman.datapath.abi import BundleKind

pytestmark = pytest.mark.datapath


@pytest.fixture
def host(loaded_host: HostBench) -> HostBench:
    loaded_host.reset()
    return loaded_host


@pytest.fixture
def client(version: int) -> Client:
    return Client(version, service_port=53, proto=17)


def check_at(version: int) -> int:
    """Where the UDP checksum lies in a frame."""
    return 14 + IP_BYTES[version] + 6


@pytest.mark.parametrize("size", [0, 1, 333, 1472])
def test_a_bundled_datagram_teaches_and_is_unpacked(
    host: HostBench, client: Client, size: int
) -> None:
    inner = client.packet(b"q" * size)
    outcome = host.send(host.bundle(client, BundleKind.DATAGRAM, inner))
    assert (outcome.verdict, outcome.reason) == (TC_NEXT, "datagram_taught")
    assert outcome.frame[14:] == bytes(inner)
    assert host.mapping(client.version).flags == 0
    assert host.send(host.datagram(client.version)).reason == "restored"


def test_headers_alone_teach_and_go_no_further(host: HostBench, client: Client) -> None:
    inner = client.packet(b"p" * 1472)
    cut = len(inner) - 1472
    outcome = host.send(host.bundle(client, BundleKind.TEACH_ONLY, inner, cut=cut))
    assert (outcome.verdict, outcome.reason) == (TC_DROP, "host_taught_only")
    assert host.mapping(client.version).flags == 0
    assert host.send(host.datagram(client.version)).reason == "restored"


@pytest.mark.parametrize("size", [0, 1, 333, 1472])
def test_a_known_flow_id_is_turned_back(host: HostBench, client: Client, size: int) -> None:
    host.teach(client)
    frame = host.datagram(client.version, b"q" * size, ttl=5)
    outcome = host.send(frame, summed=True)
    assert (outcome.verdict, outcome.reason) == (TC_NEXT, "restored")
    wanted = Ether(src=ROUTER_MAC, dst=UNIT_MAC) / client.packet(b"q" * size, ttl=5)
    assert outcome.frame == bytes(wanted)


def test_a_datagram_without_checksum_stays_without(host: HostBench, client: Client) -> None:
    host.teach(client)
    frame = host.datagram(client.version, b"query", chksum=0)
    outcome = host.send(frame, summed=True)
    assert outcome.reason == "restored"
    wanted = Ether(src=ROUTER_MAC, dst=UNIT_MAC) / client.packet(b"query", chksum=0)
    assert outcome.frame == bytes(wanted)


def test_a_checksum_that_comes_out_as_zero_is_written_as_ones(
    host: HostBench, client: Client
) -> None:
    """Zero would mean that there is none (RFC 768)."""
    host.teach(client)
    at = check_at(client.version)
    # Two bytes of payload, the one's complement of all else, bring the sum to ones.
    blank = bytes(Ether() / client.packet(bytes(2)))
    payload = blank[at : at + 2]
    outcome = host.send(host.datagram(client.version, payload), summed=True)
    assert outcome.reason == "restored"
    assert outcome.frame[at : at + 2] == b"\xff\xff"


def test_what_gro_has_put_together_keeps_the_sum_of_its_pseudo_header(
    host: HostBench, client: Client
) -> None:
    host.teach(client)
    at = check_at(client.version)
    frame = bytearray(host.datagram(client.version, b"q" * 3000))
    frame[at : at + 2] = pseudo_sum(bytes(frame), client.version, 17)
    outcome = host.send(bytes(frame), gso_size=1000)
    assert outcome.reason == "restored"
    assert outcome.frame[at : at + 2] == pseudo_sum(outcome.frame, client.version, 17)


def test_an_unknown_flow_id_becomes_a_notice(host: HostBench, version: int) -> None:
    for size in (0, 5, 1400):
        outcome = host.send(host.datagram(version, b"q" * size))
        assert (outcome.verdict, outcome.reason) == (TC_REDIRECT, "unknown_flow_id")
        _, udp = split(outcome.frame)
        assert abi.Notice.unpack(bytes(udp.payload)[:24]).flow_id == FLOW_ID


def test_a_flow_id_serves_one_protocol(host: HostBench, version: int) -> None:
    host.teach(Client(version, proto=17))
    outcome = host.send(host.tunnelled(version, flags="A"))
    assert (outcome.verdict, outcome.reason) == (TC_DROP, "other_protocol")
    host.teach(Client(version))
    outcome = host.send(host.datagram(version))
    assert (outcome.verdict, outcome.reason) == (TC_DROP, "other_protocol")


@pytest.mark.parametrize("kind", [BundleKind.SYN, BundleKind.DATA, BundleKind.TEACH])
def test_kinds_for_connections_carry_no_datagram(
    host: HostBench, client: Client, kind: BundleKind
) -> None:
    outcome = host.send(host.bundle(client, kind, client.packet(b"query")))
    assert (outcome.verdict, outcome.reason) == (TC_DROP, "bad_tag")


def test_a_datagram_bundle_carries_no_segment(host: HostBench, version: int) -> None:
    client = Client(version)
    outcome = host.send(host.bundle(client, BundleKind.DATAGRAM, client.packet(flags="A")))
    assert (outcome.verdict, outcome.reason) == (TC_DROP, "bad_tag")


@pytest.mark.parametrize("kind", [BundleKind.DATAGRAM, BundleKind.TEACH_ONLY])
def test_a_bundle_cut_at_any_byte_teaches_nothing(
    host: HostBench, client: Client, kind: BundleKind
) -> None:
    frame = host.bundle(client, kind, client.packet(b"query"))
    for size in range(14 + IP_BYTES[client.version], len(frame)):
        assert host.send(frame[:size]).reason in ("not_ours", "host_malformed"), size
    with pytest.raises(KeyError):
        host.mapping(client.version)


def test_a_datagram_cut_at_any_byte_goes_nowhere(host: HostBench, client: Client) -> None:
    host.teach(client)
    frame = host.datagram(client.version, b"query")
    for size in range(14 + IP_BYTES[client.version], len(frame)):
        assert host.send(frame[:size]).reason in ("not_ours", "host_malformed"), size


def test_a_bundle_with_any_tagged_byte_changed_is_dropped(host: HostBench, client: Client) -> None:
    right = host.bundle(client, BundleKind.DATAGRAM, client.packet(b"query"))
    ip_bytes = IP_BYTES[client.version]
    head = 14 + ip_bytes + 8
    addresses = head + 24 + {4: 12, 6: 8}[client.version]
    tagged = [*range(head, head + 24), *range(addresses, addresses + {4: 8, 6: 32}[client.version])]
    tagged += range(head + 24 + ip_bytes, head + 24 + ip_bytes + 4)
    for byte in tagged:
        wrong = bytearray(right)
        wrong[byte] ^= 1
        outcome = host.send(bytes(wrong))
        assert outcome.verdict == TC_DROP, byte
        assert outcome.reason in ("bad_tag", "host_malformed"), byte
    with pytest.raises(KeyError):
        host.mapping(client.version)


@settings(
    max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(noise=st.binary(min_size=1, max_size=60), at=st.integers(0, 110))
def test_noise_in_a_datagram_harms_nothing(
    host: HostBench, version: int, noise: bytes, at: int
) -> None:
    client = Client(version, service_port=53, proto=17)
    host.teach(client)
    frame = bytearray(host.datagram(version, b"query"))
    frame[14 + at : 14 + at + len(noise)] = noise[: max(len(frame) - 14 - at, 0)]
    outcome = host.send(bytes(frame))
    if outcome.reason == "restored":
        network, _ = split(outcome.frame)
        assert ip_address(network.src) == ip_address(CLIENT[version])
        assert ip_address(network.dst) == ip_address(VIP[version])


def test_an_application_answers_the_client_itself(wire: HostWire, client: Client) -> None:
    with wire.datagrams(client) as server:
        query = wire.bench.bundle(client, BundleKind.DATAGRAM, client.packet(b"first"))
        wire.send(query, wire.bench.datagram(client.version, b"second"))
        for wanted in (b"first", b"second"):
            data, peer = server.recvfrom(100)
            assert data == wanted
            assert peer[:2] == (CLIENT[client.version], client.port)
            server.sendto(b"answer", peer)
            answer = wire.next()
            assert (answer.src, answer.dst) == (VIP[client.version], CLIENT[client.version])
            assert bytes(answer[UDP].payload) == b"answer"
    assert wire.changed() == {"datagram_taught": 1, "restored": 1}
