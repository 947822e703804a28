"""The host's program, one frame at a time."""

from __future__ import annotations

import time
from ipaddress import ip_address

import pytest
from host_bench import FLOW_ID, TC_DROP, TC_NEXT, TC_REDIRECT, HostBench
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from models import notice_tag
from packets import CLIENT, HOSTS, ROUTER_MAC, TUNNEL, UNIT_MAC, VIP, Client, ip_of, split
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.l2 import ARP, Ether
from scapy.utils import checksum

from pointsman.datapath import abi
from pointsman.datapath.abi import BundleKind
from pointsman.tunnel.keys import tag_key

pytestmark = pytest.mark.datapath

GET = b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n"


@pytest.fixture
def host(loaded_host: HostBench) -> HostBench:
    loaded_host.reset()
    return loaded_host


@pytest.mark.parametrize("flags", ["A", "PA", "FA", "R", "RA", "S", "AEC", "UA"])
@pytest.mark.parametrize("size", [0, 1, 333, 1400])
def test_a_known_flow_id_is_turned_back(
    host: HostBench, version: int, flags: str, size: int
) -> None:
    client = Client(version)
    host.teach(client)
    frame = host.tunnelled(version, b"q" * size, flags=flags, seq=9, ack=8, ttl=5)
    outcome = host.send(frame, summed=True)
    assert (outcome.verdict, outcome.reason) == (TC_NEXT, "restored")
    wanted = bytes(
        Ether(src=ROUTER_MAC, dst=UNIT_MAC)
        / client.packet(b"q" * size, flags=flags, seq=9, ack=8, ttl=5)
    )
    assert outcome.frame == wanted


def test_what_gro_has_put_together_keeps_the_sum_of_its_pseudo_header(
    host: HostBench, version: int
) -> None:
    """So that a host may send it on, to a container say."""
    client = Client(version)
    host.teach(client)
    frame = bytearray(host.tunnelled(version, b"q" * 3000, flags="A", seq=9, ack=8))
    at = 14 + {4: 20, 6: 40}[version] + 16
    frame[at : at + 2] = pseudo_sum(bytes(frame), version)
    outcome = host.send(bytes(frame), gso_size=1448)
    assert outcome.reason == "restored"
    assert outcome.frame[at : at + 2] == pseudo_sum(outcome.frame, version)


def pseudo_sum(frame: bytes, version: int, protocol: int = 6) -> bytes:
    """Addresses, length, protocol: not complemented, as CHECKSUM_PARTIAL has it."""
    first, last, segment_at = {4: (26, 34, 34), 6: (22, 54, 54)}[version]
    length = len(frame) - segment_at
    data = frame[first:last] + length.to_bytes(4, "big") + bytes([0, 0, 0, protocol])
    total: int = checksum(data) ^ 0xFFFF
    return total.to_bytes(2, "big")


def test_an_unknown_flow_id_becomes_a_notice(host: HostBench, version: int) -> None:
    for size in (0, 5, 1400):
        frame = host.tunnelled(version, b"q" * size, flags="A", seq=9, ack=8)
        outcome = host.send(frame)
        assert (outcome.verdict, outcome.reason) == (TC_REDIRECT, "unknown_flow_id")
        ether = Ether(outcome.frame)
        assert (ether.src, ether.dst) == (UNIT_MAC, ROUTER_MAC)
        network, udp = split(outcome.frame)
        assert (network.src, network.dst) == (HOSTS[version][0], TUNNEL[version])
        assert (udp.sport, udp.dport, udp.len) == (7471, 7471, 32)
        if version == 4:
            assert bytes(IP(bytes(network)[:20])) == bytes(network)[:20]
        raw = bytes(udp.payload)[:24]
        notice = abi.Notice.unpack(raw)
        assert notice.flow_id == FLOW_ID
        assert notice.nonce == host.config.nonce
        assert notice.kind == BundleKind.NOTICE_UNKNOWN
        tag = notice_tag(tag_key(host.key), raw, HOSTS[version][0], TUNNEL[version])
        assert notice.tag == tag.to_bytes(8, "little")


def test_a_syn_bundle_teaches_and_is_unpacked(host: HostBench, version: int) -> None:
    client = Client(version)
    inner = client.packet(flags="S", seq=client.isn, options=[("MSS", 1460)])
    outcome = host.send(host.bundle(client, BundleKind.SYN, inner))
    assert (outcome.verdict, outcome.reason) == (TC_NEXT, "syn_taught")
    assert outcome.frame[14:] == bytes(inner)
    assert host.send(host.tunnelled(version, flags="A")).reason == "restored"


def test_a_lesson_before_its_upload_is_learnt_and_held_off(host: HostBench, version: int) -> None:
    """The stack would answer it with a RST. test_upload_segments.py teaches live connections."""
    client = Client(version)
    inner = client.packet(b"payload", flags="A", seq=4, ack=5)
    outcome = host.send(host.bundle(client, BundleKind.TEACH, inner))
    assert (outcome.verdict, outcome.reason) == (TC_DROP, "early")
    assert host.mapping(version).flags == abi.MappingFlag.UPLOADED
    assert host.send(host.tunnelled(version, flags="A")).reason == "early"


def test_headers_alone_teach_and_go_no_further(host: HostBench, version: int) -> None:
    client = Client(version)
    inner = client.packet(b"p" * 1400, flags="A", seq=4, ack=5, options=[("Timestamp", (1, 2))])
    headers = len(inner) - 1400
    outcome = host.send(host.bundle(client, BundleKind.TEACH_ONLY, inner, cut=headers))
    assert (outcome.verdict, outcome.reason) == (TC_DROP, "host_taught_only")
    assert host.mapping(version).flags == abi.MappingFlag.UPLOADED


def test_data_with_no_listener_is_left_to_the_stack_to_refuse(
    host: HostBench, version: int
) -> None:
    client = Client(version, service_port=80)
    inner = client.packet(GET, flags="PA", seq=4, ack=5)
    outcome = host.send(host.bundle(client, BundleKind.DATA, inner))
    assert (outcome.verdict, outcome.reason) == (TC_NEXT, "no_listener")
    assert outcome.frame[14:] == bytes(inner)


def test_early_segments_of_an_upload_are_held_off(host: HostBench, version: int) -> None:
    host.teach(Client(version), abi.MappingFlag.UPLOADED, learnt=tick())
    outcome = host.send(host.tunnelled(version, b"second", flags="A", seq=9))
    assert (outcome.verdict, outcome.reason) == (TC_DROP, "early")
    host.teach(Client(version), abi.MappingFlag.UPLOADED, learnt=tick() - 5)
    assert host.send(host.tunnelled(version, b"second", flags="A", seq=9)).reason == "restored"


def tick() -> int:
    return time.monotonic_ns() >> abi.TICK_SHIFT


def test_what_is_not_from_a_tunnel_address_is_not_ours(host: HostBench, version: int) -> None:
    other = CLIENT[version]
    target = HOSTS[version][0]
    frames = [
        bytes(Ether() / ip_of(version, other, target) / TCP(dport=80)),
        bytes(Ether() / ip_of(version, other, target) / UDP(dport=7471) / bytes(80)),
        bytes(Ether() / ip_of(version, TUNNEL[version], target) / ICMP()),
        bytes(Ether() / ARP()),
    ]
    for frame in frames:
        outcome = host.send(frame)
        assert (outcome.verdict, outcome.reason) == (TC_NEXT, "not_ours")
        assert outcome.frame == frame


@pytest.mark.parametrize("kind", [BundleKind.SYN, BundleKind.DATA, BundleKind.TEACH])
def test_a_bundle_with_any_tagged_byte_changed_is_dropped(
    host: HostBench, version: int, kind: BundleKind
) -> None:
    client = Client(version)
    inner = client.packet(b"payload", flags="A", seq=4, ack=5)
    right = host.bundle(client, kind, inner)
    ip_bytes = {4: 20, 6: 40}[version]
    head = 14 + ip_bytes + 8
    addresses = head + 24 + {4: 12, 6: 8}[version]
    tagged = [*range(head, head + 24), *range(addresses, addresses + (ip_bytes == 40) * 24 + 8)]
    tagged += range(head + 24 + ip_bytes, head + 24 + ip_bytes + 12)
    for byte in tagged:
        wrong = bytearray(right)
        wrong[byte] ^= 1
        outcome = host.send(bytes(wrong))
        assert outcome.verdict == TC_DROP, byte
        assert outcome.reason in ("bad_tag", "host_malformed"), byte
    with pytest.raises(KeyError):
        host.mapping(version)


def test_kinds_we_do_not_know_are_dropped(host: HostBench, version: int) -> None:
    client = Client(version)
    inner = client.packet(flags="A")
    for kind in (0, 7, 127, 128, 255):
        frame = host.bundle(client, kind, inner)  # type: ignore[arg-type]
        outcome = host.send(frame)
        assert (outcome.verdict, outcome.reason) == (TC_DROP, "bad_tag")


def _least(version: int) -> int:
    """A test run refuses a frame without a whole IP header; the stack never has one either."""
    return 14 + {4: 20, 6: 40}[version]


def test_a_frame_cut_at_any_byte_teaches_nothing(host: HostBench, version: int) -> None:
    client = Client(version)
    inner = client.packet(b"payload", flags="A", seq=4, ack=5)
    frames = [host.bundle(client, kind, inner) for kind in list(BundleKind)[:4]]
    for frame in frames:
        for size in range(_least(version), len(frame)):
            outcome = host.send(frame[:size])
            assert outcome.reason in ("not_ours", "host_malformed"), size
            if outcome.verdict == TC_NEXT:
                assert outcome.frame == frame[:size]
    with pytest.raises(KeyError):
        host.mapping(version)


def test_a_tunnelled_segment_cut_at_any_byte_goes_nowhere(host: HostBench, version: int) -> None:
    host.teach(Client(version))
    frame = host.tunnelled(version, b"payload", flags="A", seq=1)
    for size in range(_least(version), len(frame)):
        outcome = host.send(frame[:size])
        assert outcome.reason in ("not_ours", "host_malformed"), size


def test_a_bundle_that_claims_another_length_is_dropped(host: HostBench, version: int) -> None:
    client = Client(version)
    inner = client.packet(b"payload", flags="A", seq=4, ack=5)
    inner_at = 14 + {4: 20, 6: 40}[version] + 32
    length_at = inner_at + {4: 2, 6: 4}[version]
    for length in (0, 1, 46, 48, 65535):
        wrong = bytearray(host.bundle(client, BundleKind.TEACH, inner))
        if wrong[length_at : length_at + 2] == length.to_bytes(2, "big"):
            continue
        wrong[length_at : length_at + 2] = length.to_bytes(2, "big")
        outcome = host.send(bytes(wrong))
        assert (outcome.verdict, outcome.reason) == (TC_DROP, "host_malformed")


def test_a_bundle_whose_packet_is_longer_than_it_is_dropped(host: HostBench, version: int) -> None:
    inner = Client(version).packet(b"payload", flags="A", seq=4, ack=5)
    right = host.bundle(Client(version), BundleKind.TEACH, inner)
    length_at = {4: 16, 6: 18}[version]
    for missing in (1, 7, len(bytes(inner))):
        wrong = bytearray(right)
        length = len(right) - 14 - {4: 0, 6: 40}[version] - missing
        wrong[length_at : length_at + 2] = length.to_bytes(2, "big")
        outcome = host.send(bytes(wrong))
        assert (outcome.verdict, outcome.reason) == (TC_DROP, "host_malformed")


@settings(
    max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(noise=st.binary(min_size=1, max_size=60), at=st.integers(0, 150))
def test_noise_in_a_bundle_is_never_believed(
    host: HostBench, version: int, noise: bytes, at: int
) -> None:
    client = Client(version)
    inner = client.packet(b"payload", flags="A", seq=4, ack=5)
    right = host.bundle(client, BundleKind.TEACH, inner)
    frame = bytearray(right)
    first = 14 + at
    frame[first : first + len(noise)] = noise
    outcome = host.send(bytes(frame))
    if outcome.reason == "host_taught":
        mapped = host.mapping(version).key
        assert mapped.saddr == ip_address(CLIENT[version]).packed
        assert mapped.daddr == ip_address(VIP[version]).packed
    host.reset()
