"""Fragments at the unit: the first one finds the route, the others follow it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from bench import XDP_DROP, XDP_TX, UnitBench
from errors import echo
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from packets import CLIENT, HOSTS, ROUTER_MAC, TUNNEL, UNIT_MAC, VIP, Client
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment
from scapy.layers.l2 import Ether
from scapy.utils import checksum
from site_file import KEY, make_site
from test_ip_options import CHAINS, with_headers, with_options

from pointsman.config.model import Forward, Protocol, Site
from pointsman.datapath import abi

pytestmark = pytest.mark.datapath

ETHER = Ether(src=ROUTER_MAC, dst=UNIT_MAC)
FRAMED = {v: bytes(ETHER)[:12] + kind for v, kind in ((4, b"\x08\x00"), (6, b"\x86\xdd"))}
"""What stands in front of an IP packet."""
FRAGMENT_TICKS = 28
FRAGMENT_HEADER = 44


def datagram_site(forward: Forward = Forward.TUNNEL) -> Site:
    """Service 2, port 53, is plain UDP."""
    site = make_site()
    service = site.services[1].model_copy(
        update={"name": "dns", "protocol": Protocol.UDP, "port": 53, "forward": forward}
    )
    return site.model_copy(update={"services": [*site.services, service]})


@pytest.fixture(scope="module")
def loaded_unit() -> Iterator[UnitBench]:
    with UnitBench(datagram_site(), KEY) as bench:
        yield bench


def pieces(packet: bytes, version: int, size: int, identification: int = 0x1234) -> list[bytes]:
    """Fragments of a packet with `size` bytes each, a multiple of 8, as frames."""
    header, payload = (packet[:20], packet[20:]) if version == 4 else (packet[:40], packet[40:])
    made = []
    for at in range(0, len(payload), size):
        part, more = payload[at : at + size], at + size < len(payload)
        if version == 4:
            ip = IP(header)
            ip.len, ip.chksum, ip.id = 20 + len(part), None, identification
            ip.flags, ip.frag = ("MF" if more else 0), at // 8
            made.append(bytes(ETHER / IP(bytes(ip)[:20]) / part))
        else:
            ip6 = IPv6(header)
            proto, ip6.nh, ip6.plen = ip6.nh, FRAGMENT_HEADER, 8 + len(part)
            extension = IPv6ExtHdrFragment(nh=proto, offset=at // 8, m=more, id=identification)
            made.append(bytes(ETHER / ip6 / extension / part))
    return made


def joined(frames: list[bytes], version: int) -> bytes:
    """The packet that these fragments, in any order, are parts of."""
    parts: dict[int, bytes] = {}
    headers, ids = set(), set()
    for frame in frames:
        packet = Ether(frame)
        if version == 4:
            ip = packet[IP]
            assert checksum(frame[14:34]) == 0
            ids.add(ip.id)
            parts[ip.frag * 8] = bytes(ip.payload)
            ip.len = ip.chksum = None
            ip.flags = ip.frag = ip.id = 0
        else:
            ip = packet[IPv6]
            extension = ip[IPv6ExtHdrFragment]
            ids.add(extension.id)
            parts[extension.offset * 8] = bytes(extension.payload)
            ip.nh, ip.plen = extension.nh, None
        ip.remove_payload()
        headers.add(bytes(ip))
    assert len(ids) == 1
    assert len(headers) == 1
    payload = b""
    for at in sorted(parts):
        assert len(payload) == at
        payload += parts[at]
    return bytes(ip / payload)


def udp(version: int, size: int, **fields: object) -> tuple[Client, bytes]:
    client = Client(version, service_port=53, proto=17)
    payload = bytes(i % 249 for i in range(size))
    return client, bytes(client.packet(payload, **fields))


def begin(unit: UnitBench, version: int) -> Client:
    """A flow of datagrams that the host knows."""
    client = Client(version, service_port=53, proto=17)
    assert unit.send(client.frame(b"first")).reason == "bundled_datagram"
    return client


def sent(unit: UnitBench, frames: list[bytes]) -> list[bytes]:
    out = []
    for frame in frames:
        outcome = unit.send(frame)
        assert (outcome.verdict, outcome.reason) == (XDP_TX, "fragment_sent")
        assert len(outcome.frame) == len(frame)
        out.append(outcome.frame)
    return out


def test_fragments_that_overlap_stay_together(unit: UnitBench, version: int) -> None:
    """The host's stack drops all of them (RFC 5722), so it must get all of them."""
    begin(unit, version)
    first, *later = pieces(udp(version, 600)[1], version, 64)
    wide = pieces(udp(version, 600)[1], version, 128)[1:]
    small = pieces(udp(version, 600)[1], version, 40)[1:]
    ids, targets = set(), set()
    for frame in sent(unit, [first, later[0], *wide, *small, *later, later[0], first]):
        packet = Ether(frame)[IP if version == 4 else IPv6]
        ids.add(packet.id if version == 4 else packet[IPv6ExtHdrFragment].id)
        targets.add(packet.dst)
    assert len(targets) == 1
    assert len(ids) == 2  # the first one came again, and began anew


@pytest.mark.parametrize("size", [8, 16, 512, 1472])
def test_fragments_of_a_datagram_reach_one_host_as_the_whole_would(
    unit: UnitBench, version: int, size: int
) -> None:
    client = begin(unit, version)
    packet = udp(version, 3000)[1]
    whole = unit.send(FRAMED[version] + packet).frame
    turned = joined(sent(unit, pieces(packet, version, size)), version)
    expected = bytearray(whole[14:])
    if version == 4:
        expected[4:8] = bytes(4)
        expected[10:12] = bytes(2)
        got = bytearray(turned)
        got[4:8], got[10:12] = bytes(4), bytes(2)
        assert got == expected
    else:
        assert turned == bytes(expected)
    network = Ether(whole).payload
    assert (network.src, network.dst) == (TUNNEL[version], HOSTS[version][unit.host_of(client)])


def test_every_fragmented_packet_gets_an_id_of_its_own(unit: UnitBench, version: int) -> None:
    begin(unit, version)
    ids = set()
    for port in range(20):
        # Different clients may well use the same one.
        packet = udp(version, 2000)[1]
        first = sent(unit, pieces(packet, version, 1400, identification=5 + port // 10))[0]
        ip = Ether(first)
        ids.add(ip[IP].id if version == 4 else ip[IPv6ExtHdrFragment].id)
    assert len(ids) == 20


def test_a_checksum_of_zero_stays_zero(unit: UnitBench, version: int) -> None:
    begin(unit, version)
    packet = udp(version, 2000, chksum=0)[1]
    first = sent(unit, pieces(packet, version, 1400))[0]
    assert Ether(first)[UDP].chksum == 0 if version == 4 else True


def test_later_fragments_alone_are_dropped(unit: UnitBench, version: int) -> None:
    begin(unit, version)
    frames = pieces(udp(version, 3000)[1], version, 1000, identification=0x4321)
    for frame in reversed(frames[1:]):
        outcome = unit.send(frame)
        assert (outcome.verdict, outcome.reason) == (XDP_DROP, "later_fragment")
    # In any order behind the first one, and as often as they come.
    sent(unit, [frames[0], *reversed(frames[1:]), *frames])
    other = pieces(udp(version, 3000)[1], version, 1000, identification=0x4322)
    assert unit.send(other[1]).reason == "later_fragment"


def test_the_first_fragment_of_a_flow_teaches(unit: UnitBench, version: int) -> None:
    client, packet = udp(version, 3000)
    frames = pieces(packet, version, 1400, identification=77)
    outcome = unit.send(frames[0])
    assert (outcome.verdict, outcome.reason) == (XDP_TX, "taught_only")
    _, bundle, inner = outcome.bundle
    flow = unit.flow(client)
    assert (bundle.kind, bundle.flow_id) == (abi.BundleKind.TEACH_ONLY, flow.flow_id)
    assert inner.haslayer(UDP)
    assert (inner.src, inner.dst) == (CLIENT[version], VIP[version])
    assert (inner[UDP].sport, inner[UDP].dport) == (40000, 53)
    if version == 4:
        assert (inner.flags, inner.frag) == (0, 0)
    assert bytes(inner)[-8:] == packet[20 if version == 4 else 40 :][:8]
    assert unit.send(frames[1]).reason == "later_fragment"
    sent(unit, frames)


def test_a_host_that_lost_its_mappings_is_taught(unit: UnitBench, version: int) -> None:
    client = begin(unit, version)
    frames = pieces(udp(version, 3000)[1], version, 1400)
    unit.datapath.host_epochs.set(unit.host_of(client), abi.HostEpoch(bytes(8), 1, 0))
    assert unit.send(frames[0]).reason == "taught_only"
    sent(unit, frames)


@pytest.mark.parametrize("forward", [Forward.HALF_NAT, Forward.L2])
def test_the_first_fragment_of_a_flow_goes_on_by_itself(version: int, forward: Forward) -> None:
    with UnitBench(datagram_site(forward), KEY) as unit:
        client, packet = udp(version, 3000)
        frames = pieces(packet, version, 1400, identification=99)
        first = unit.send(frames[0])
        assert (first.verdict, first.reason) == (XDP_TX, "plumbed")
        turned = joined([first.frame, *sent(unit, frames[1:])], version)
        network = Ether(FRAMED[version] + turned).payload
        host = HOSTS[version][unit.host_of(client)]
        target = VIP[version] if forward is Forward.L2 else host
        assert (network.src, network.dst) == (CLIENT[version], target)
        assert network[UDP].chksum == UDP(bytes(whole_again(network)[UDP])).chksum
        ids = {
            Ether(frame)[IP].id if version == 4 else Ether(frame)[IPv6ExtHdrFragment].id
            for frame in (first.frame, frames[0])
        }
        assert ids == {99}


def whole_again(network: IP | IPv6) -> IP | IPv6:
    """The packet with its UDP checksum made afresh."""
    fresh = network.copy()
    fresh[UDP].chksum = None
    return type(network)(bytes(fresh))


def test_fragments_of_a_known_connection(unit: UnitBench, version: int) -> None:
    client = Client(version)
    unit.open_plain(client)
    packet = bytes(client.packet(bytes(2000), flags="A", seq=client.isn + 1, ack=78))
    frames = pieces(packet, version, 1400)
    turned = joined(sent(unit, frames), version)
    assert turned[20 if version == 4 else 40 :][:4] == unit.flow(client).flow_id


def test_connections_do_not_begin_in_fragments(unit: UnitBench, version: int) -> None:
    client = Client(version)
    syn = pieces(bytes(client.packet(bytes(100), flags="S", seq=client.isn)), version, 64)
    outcome = unit.send(syn[0])
    assert (outcome.verdict, outcome.reason) == (XDP_DROP, "unit_fragment")
    data = pieces(bytes(client.packet(bytes(100), flags="A", seq=1, ack=1)), version, 64)
    assert unit.send(data[0]).reason == "no_route"
    assert unit.send(data[1]).reason == "later_fragment"
    with pytest.raises(KeyError):
        unit.flow(client)


def test_first_data_does_not_come_in_fragments(unit: UnitBench, version: int) -> None:
    client = Client(version, service_port=80)
    isn = unit.shake_hands(client)
    get = b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n".ljust(200, b"z")
    whole = client.data(get, isn)
    assert unit.send(pieces(whole[14:], version, 96)[0]).reason == "no_route"
    assert unit.send(whole).reason == "bundled_data"
    assert unit.send(pieces(whole[14:], version, 96)[0]).reason == "unit_fragment"


@pytest.mark.parametrize("size", [8, 16, 24])
def test_tiny_first_fragments(unit: UnitBench, version: int, size: int) -> None:
    client = Client(version)
    unit.open_plain(client)
    options = [("Timestamp", (1, 2)), ("NOP", None), ("NOP", None)]
    segment = client.packet(bytes(200), flags="A", seq=client.isn + 1, ack=78, options=options)
    frames = pieces(bytes(segment), version, size)
    assert unit.send(frames[0]).reason == "tiny_fragment"
    # And what would have overwritten it.
    expected = "tiny_fragment" if size < 20 else "later_fragment"
    assert unit.send(frames[1]).reason == expected


def test_a_first_fragment_that_is_dropped_takes_the_place_of_one_before(
    unit: UnitBench, version: int
) -> None:
    begin(unit, version)
    frames = pieces(udp(version, 3000)[1], version, 1400)
    sent(unit, frames)
    other = Client(version, service_port=99, proto=17)
    assert unit.send(pieces(bytes(other.packet(bytes(3000))), version, 1400)[0]).reason == (
        "no_service"
    )
    assert unit.send(frames[1]).reason == "later_fragment"


def test_fragments_of_what_is_no_service(unit: UnitBench, version: int) -> None:
    other = Client(version, service_port=99, proto=17)
    frames = pieces(bytes(other.packet(bytes(900))), version, 512)
    assert unit.send(frames[0]).reason == "no_service"
    ping = echo(version, CLIENT[version], VIP[version], bytes(900))[14:]
    for frame in pieces(ping, version, 512):
        assert unit.send(frame).reason == "unit_fragment"


def test_lengths_no_stack_sends(unit: UnitBench, version: int) -> None:
    begin(unit, version)
    frame = pieces(udp(version, 3000)[1], version, 1400)[0]
    odd = bytearray(frame[:-3])
    at = 16 if version == 4 else 18
    odd[at : at + 2] = (int.from_bytes(odd[at : at + 2], "big") - 3).to_bytes(2, "big")
    assert unit.send(bytes(odd)).reason == "unit_malformed"
    # A packet that would be longer than a packet can be.
    beyond = bytearray(frame)
    if version == 4:
        beyond[20:22] = (0x2000 | 0x1FFF).to_bytes(2, "big")
    else:
        beyond[56:58] = (0xFFF8 | 1).to_bytes(2, "big")
    assert unit.send(bytes(beyond)).reason == "unit_malformed"
    for size in range(14, len(frame), 7):
        assert unit.send(frame[:size]).reason in ("not_ours", "unit_malformed"), size


def test_time_to_live_ends(unit: UnitBench, version: int) -> None:
    begin(unit, version)
    packet = udp(version, 3000, ttl=1)[1]
    frames = pieces(packet, version, 1400)
    assert unit.send(frames[0]).reason == "ttl_expired"
    assert unit.send(frames[1]).reason == "ttl_expired"


def test_headers_in_front_of_fragments_are_taken_off(unit: UnitBench, version: int) -> None:
    begin(unit, version)
    frames = pieces(udp(version, 3000)[1], version, 1400)
    for frame in frames:
        plain = unit.send(frame)
        dressed = (
            with_options(frame, bytes([1] * 12))
            if version == 4
            else with_headers(frame, CHAINS["all"])
        )
        outcome = unit.send(dressed)
        assert outcome.reason == plain.reason == "fragment_sent"
        assert len(outcome.frame) == len(frame)
        assert outcome.frame[-1000:] == plain.frame[-1000:]


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    offset=st.integers(0, 0x1FFF),
    more=st.booleans(),
    proto=st.sampled_from([6, 17, 1, 58, 44, 60, 50]),
    body=st.binary(max_size=80),
)
def test_any_fragment_goes_to_a_host_or_has_a_name(
    unit: UnitBench, version: int, offset: int, more: bool, proto: int, body: bytes
) -> None:
    if version == 4:
        ip = IP(src=CLIENT[4], dst=VIP[4], proto=proto, flags="MF" if more else 0, frag=offset)
    else:
        ip = IPv6(src=CLIENT[6], dst=VIP[6]) / IPv6ExtHdrFragment(nh=proto, m=more, offset=offset)
    outcome = unit.send(bytes(ETHER / ip / body))
    if outcome.verdict == XDP_TX:
        network = Ether(outcome.frame).payload
        assert network.dst in (*HOSTS[version], CLIENT[version])
    else:
        assert outcome.verdict == XDP_DROP
