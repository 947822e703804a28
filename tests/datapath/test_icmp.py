"""Echo requests, and ICMP errors about what hosts and clients sent."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address

import pytest
from bench import XDP_DROP, XDP_PASS, XDP_TX, UnitBench, host_mac
from errors import ERRORS, ROUTER, answer, echo, error, icmp_of, quoted
from models import bundle_tag
from packets import CLIENT, HOSTS, ROUTER_MAC, TUNNEL, UNIT_MAC, VIP, Client, ip_of, split
from scapy.layers.inet import ICMP
from scapy.layers.inet6 import ICMPv6EchoReply, ICMPv6ND_NS
from scapy.layers.l2 import Ether
from scapy.utils import checksum
from site_file import KEY, make_site

from pointsman.config.model import Site
from pointsman.datapath import abi
from pointsman.tunnel.keys import tag_key

pytestmark = pytest.mark.datapath

KINDS = list(ERRORS[4])
ICMP_NUMBER = {4: 1, 6: 58}
GATEWAY_MAC = bytes([2, 0, 0, 9, 0, 1])
PEER_MAC = bytes([2, 0, 0, 9, 0, 2])


def icmp_right(frame: bytes) -> bool:
    """Whether the message's own checksum is what it would be if made afresh."""
    network, message = split(frame)[0], icmp_of(frame)
    if network.version == 4:
        return bool(checksum(message) == 0 and checksum(frame[14:34]) == 0)
    pseudo = frame[22:54] + len(message).to_bytes(4, "big") + bytes([0, 0, 0, 58])
    return bool(checksum(pseudo + message) == 0)


def icmp_tag(unit: UnitBench, bundle: abi.Bundle, source: str, target: str, proto: int) -> bytes:
    value = bundle_tag(tag_key(unit.key), bundle.pack(), (source, target, 0, 0), protocol=proto)
    return value.to_bytes(8, "little")


def set_peer(unit: UnitBench, peer: abi.Peer, version: int, address: str, mac: bytes) -> None:
    packed = ip_address(address).packed
    fields = (packed, bytes(len(packed)), mac, bytes.fromhex(UNIT_MAC.replace(":", "")), 1)
    rest = (0, bytes(4), bytes(2), 0, abi.EndpointFlag.USABLE)
    if version == 4:
        unit.datapath.peers4.set(peer, abi.Endpoint4(*fields, *rest))
    else:
        unit.datapath.peers6.set(peer, abi.Endpoint6(*fields, *rest))


def three_units() -> Site:
    site = make_site()
    units = [site.units[0].model_copy(update={"name": f"u{i}"}) for i in (1, 2, 3)]
    return site.model_copy(update={"units": units})


@pytest.fixture(scope="module")
def units() -> Iterator[list[UnitBench]]:
    """Two of three, that know each other."""
    with UnitBench(three_units(), KEY) as first, UnitBench(three_units(), KEY) as second:
        for unit in (first, second):
            for version in (4, 6):
                set_peer(unit, abi.Peer.UNIT, version, TUNNEL[version], PEER_MAC)
        yield [first, second]


@pytest.mark.parametrize("size", [0, 1, 56, 57, 1400])
def test_echo_is_answered(unit: UnitBench, version: int, size: int) -> None:
    payload = bytes(i % 256 for i in range(size))
    frame = echo(version, CLIENT[version], VIP[version], payload, ttl=9)
    outcome = unit.send(frame)
    assert (outcome.verdict, outcome.reason) == (XDP_TX, "echo_answered")
    packet = Ether(outcome.frame)
    network, message = split(outcome.frame)
    assert (packet.src, packet.dst) == (UNIT_MAC, ROUTER_MAC)
    assert (network.src, network.dst) == (VIP[version], CLIENT[version])
    assert (network.ttl if version == 4 else network.hlim) == 64
    assert isinstance(message, ICMP if version == 4 else ICMPv6EchoReply)
    assert (message.type, message.id, message.seq) == (0 if version == 4 else 129, 7, 3)
    assert icmp_of(outcome.frame)[8:] == payload
    assert icmp_right(outcome.frame)


def test_a_wrong_echo_is_answered_wrongly(unit: UnitBench, version: int) -> None:
    frame = bytearray(echo(version, CLIENT[version], VIP[version], b"payload"))
    frame[-1] ^= 1
    outcome = unit.send(bytes(frame))
    assert outcome.reason == "echo_answered"
    assert not icmp_right(outcome.frame)


def test_an_echo_to_somebody_else_is_left_alone(unit: UnitBench, version: int) -> None:
    for target in (HOSTS[version][0], TUNNEL[version]):
        outcome = unit.send(echo(version, CLIENT[version], target, b"payload"))
        assert (outcome.verdict, outcome.reason) == (XDP_PASS, "not_ours")


def test_other_icmp_for_a_vip_has_a_name(unit: UnitBench, version: int) -> None:
    frame = bytearray(echo(version, CLIENT[version], VIP[version], b""))
    for kind in range(256):
        frame[34 if version == 4 else 54] = kind
        outcome = unit.send(bytes(frame))
        errors, discovery = ((3, 11, 12), ()) if version == 4 else ((1, 2, 3, 4), range(133, 138))
        if kind in errors:
            assert (outcome.verdict, outcome.reason) == (XDP_DROP, "icmp_strange")
        elif kind in discovery:
            assert (outcome.verdict, outcome.reason) == (XDP_PASS, "neighbour")
        elif kind == (8 if version == 4 else 128):
            assert outcome.reason == "echo_answered"
        else:
            assert (outcome.verdict, outcome.reason) == (XDP_DROP, "icmp_other")


def test_a_neighbours_question_reaches_the_stack(unit: UnitBench) -> None:
    question = ip_of(6, CLIENT[6], VIP[6], ttl=255) / ICMPv6ND_NS(tgt=VIP[6])
    frame = bytes(Ether(src=ROUTER_MAC, dst=UNIT_MAC) / question)
    outcome = unit.send(frame)
    assert (outcome.verdict, outcome.reason, outcome.frame) == (XDP_PASS, "neighbour", frame)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("proto", [6, 17])
def test_an_error_about_an_answer_goes_to_its_host_whole(
    unit: UnitBench, version: int, kind: str, proto: int
) -> None:
    client = Client(version, proto=proto)
    if proto == 6:
        unit.open_plain(client)
    else:
        client = Client(version, service_port=53, proto=17)
        unit.set_flow(client, udp_flow(unit))
    frame = error(version, VIP[version], kind, answer(client.four_tuple, version, proto, 500))
    outcome = unit.send(frame)
    assert (outcome.verdict, outcome.reason) == (XDP_TX, "icmp_sent")
    outer, bundle, inner = outcome.bundle
    flow = unit.flow(client)
    host = unit.host_of(client)
    assert (outer.src, outer.dst) == (TUNNEL[version], HOSTS[version][host])
    assert Ether(outcome.frame).dst == host_mac(host).hex(":")
    assert (bundle.kind, bundle.flow_id) == (abi.BundleKind.ICMP, flow.flow_id)
    assert bytes(inner) == frame[14:]
    number = ICMP_NUMBER[version]
    assert bundle.tag == icmp_tag(unit, bundle, ROUTER[version], VIP[version], number)


def udp_flow(unit: UnitBench) -> abi.Flow:
    """A route of a datagram service, made by hand: the site has none."""
    client = Client(4)
    unit.open_plain(client)
    return unit.flow(client)


def test_the_least_that_an_error_may_quote(unit: UnitBench, version: int) -> None:
    client = Client(version)
    unit.open_plain(client)
    whole = answer(client.four_tuple, version, 6, 100)
    least = 28 if version == 4 else 48
    for size in range(len(whole)):
        outcome = unit.send(error(version, VIP[version], "frag needed", whole[:size]))
        expected = "icmp_strange" if size < least else "icmp_sent"
        assert outcome.reason == expected, size


def test_an_error_cut_at_any_byte_goes_nowhere(unit: UnitBench, version: int) -> None:
    client = Client(version)
    unit.open_plain(client)
    quote = answer(client.four_tuple, version, 6, 20)
    frame = error(version, VIP[version], "frag needed", quote)
    for size in range(14, len(frame)):
        outcome = unit.send(frame[:size])
        assert outcome.reason in ("not_ours", "unit_malformed"), size
        assert outcome.frame == frame[:size]


def test_padding_of_the_frame_is_no_part_of_an_error(unit: UnitBench, version: int) -> None:
    client = Client(version)
    unit.open_plain(client)
    least = answer(client.four_tuple, version, 6, 0)[: 28 if version == 4 else 48]
    frame = error(version, VIP[version], "frag needed", least)
    outcome = unit.send(frame + bytes(30))
    assert outcome.reason == "icmp_sent"
    assert bytes(outcome.bundle[2]) == frame[14:]
    short = error(version, VIP[version], "frag needed", least[:-1])
    assert unit.send(short + bytes(30)).reason == "icmp_strange"


def test_an_error_about_somebody_elses_packet(unit: UnitBench, version: int) -> None:
    client = Client(version)
    unit.open_plain(client)
    source, target, sport, dport = client.four_tuple
    other = {4: "203.0.113.99", 6: "2001:db8:10::99"}[version]
    quote = answer((source, other, sport, dport), version, 6, 20)
    assert unit.send(error(version, VIP[version], "unreachable", quote)).reason == "icmp_strange"
    quote = answer((source, target, sport + 1, dport), version, 6, 20)
    assert unit.send(error(version, VIP[version], "unreachable", quote)).reason == "icmp_no_route"
    network = ip_of(version, VIP[version], source) / ICMP()
    quote = bytes(network) + bytes(30)
    assert unit.send(error(version, VIP[version], "unreachable", quote)).reason == "icmp_strange"


def test_an_error_about_a_fragmented_answer(unit: UnitBench, version: int) -> None:
    client = Client(version)
    unit.open_plain(client)
    quote = answer(client.four_tuple, version, 6, 40)
    if version == 4:
        first = quote[:6] + b"\x20\x00" + quote[8:]
        later = quote[:6] + b"\x20\x09" + quote[8:]
    else:
        header = quote[:6] + bytes([44]) + quote[7:40]
        first = header + bytes([6, 0, 0, 1, 1, 2, 3, 4]) + quote[40:]
        later = header + bytes([6, 0, 0, 9, 1, 2, 3, 4]) + quote[40:]
    assert unit.send(error(version, VIP[version], "frag needed", first)).reason == "icmp_sent"
    assert unit.send(error(version, VIP[version], "frag needed", later)).reason == "icmp_strange"


@pytest.mark.parametrize("excess", [1, 2, 3, 4, 30, 51, 71])
def test_an_error_too_long_for_a_bundle_loses_its_end(version: int, excess: int) -> None:
    room = {4: 52, 6: 72}[version]
    with UnitBench(make_site(mtu=1280), KEY) as unit:
        client = Client(version)
        unit.open_plain(client)
        front = {4: 28 + 40, 6: 48 + 60}[version]
        quote = answer(client.four_tuple, version, 6, 1280 - room + excess - front)
        frame = error(version, VIP[version], "frag needed", quote)
        outcome = unit.send(frame)
        assert outcome.reason == "icmp_sent"
        assert 1280 - 4 < len(outcome.frame) - 14 <= 1280
        inner = outcome.frame[:14] + bytes(outcome.bundle[2])
        assert icmp_right(inner)
        assert quote.startswith(quoted(inner))
        frame = error(version, VIP[version], "frag needed", quote + bytes(80))
        assert unit.send(frame).reason == "too_big"


def tunnelled(unit: UnitBench, client: Client, payload: bytes = b"z" * 40) -> tuple[bytes, bytes]:
    """A packet of the client's, and what became of it, from the IP header on."""
    sent = client.frame(payload, flags="A", seq=client.isn + 1, ack=77, ttl=9)
    outcome = unit.send(sent)
    assert outcome.reason == "hit"
    return sent[14:], outcome.frame[14:]


def near_router(version: int) -> str:
    return {4: "10.1.0.254", 6: "fd00:1::ffff"}[version]


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_about_a_tunnelled_packet_reaches_the_client(
    unit: UnitBench, version: int, kind: str
) -> None:
    client = Client(version)
    set_peer(unit, abi.Peer.CLIENTS, version, VIP[version], GATEWAY_MAC)
    unit.open_plain(client)
    sent, turned = tunnelled(unit, client)
    half_a_checksum = 20 + 17 if version == 4 else 40 + 17
    for size in range(28 if version == 4 else 48, len(turned) + 1):
        if size == half_a_checksum:
            continue
        frame = error(
            version, TUNNEL[version], kind, turned[:size], source=near_router(version), ttl=33
        )
        outcome = unit.send(frame)
        assert (outcome.verdict, outcome.reason) == (XDP_TX, "icmp_returned")
        packet, network = Ether(outcome.frame), split(outcome.frame)[0]
        assert (packet.dst, packet.src) == (GATEWAY_MAC.hex(":"), UNIT_MAC)
        assert (network.src, network.dst) == (VIP[version], CLIENT[version])
        assert (network.ttl if version == 4 else network.hlim) == 32
        assert icmp_of(outcome.frame)[:2] + icmp_of(outcome.frame)[4:8] == (
            icmp_of(frame)[:2] + icmp_of(frame)[4:8]
        )
        assert icmp_right(outcome.frame)
        assert without_ttl(quoted(outcome.frame), version) == without_ttl(sent[:size], version)


def without_ttl(packet: bytes, version: int) -> bytes:
    """Time to live falls on the way, and IPv4's checksum with it, which must be right."""
    raw = bytearray(packet)
    if version == 4:
        assert checksum(bytes(raw[:20])) == 0
        raw[8] = 0
        raw[10:12] = bytes(2)
    else:
        raw[7] = 0
    return bytes(raw)


def test_an_error_about_a_flow_id_of_nobodys(unit: UnitBench, version: int) -> None:
    client = Client(version)
    set_peer(unit, abi.Peer.CLIENTS, version, VIP[version], GATEWAY_MAC)
    unit.open_plain(client)
    turned = bytearray(tunnelled(unit, client)[1])
    turned[20 if version == 4 else 40] ^= 0x80
    frame = error(version, TUNNEL[version], "frag needed", bytes(turned))
    assert unit.send(frame).reason == "icmp_no_route"


def test_an_error_to_the_tunnel_about_something_else_is_the_stacks(
    unit: UnitBench, version: int
) -> None:
    quote = answer(Client(version).four_tuple, version, 6, 20)
    frame = error(version, TUNNEL[version], "unreachable", quote)
    outcome = unit.send(frame)
    assert (outcome.verdict, outcome.reason, outcome.frame) == (XDP_PASS, "not_ours", frame)


def test_without_a_default_route_clients_learn_nothing(version: int) -> None:
    with UnitBench(make_site(), KEY) as unit:
        client = Client(version)
        unit.open_plain(client)
        turned = tunnelled(unit, client)[1]
        frame = error(version, TUNNEL[version], "frag needed", turned)
        assert unit.send(frame).reason == "no_way_back"


def test_an_error_travels_to_the_unit_that_has_the_flow(
    units: list[UnitBench], version: int
) -> None:
    stranger, owner = units
    owner.reset()
    client = Client(version)
    owner.open_plain(client)
    frame = error(version, VIP[version], "frag needed", answer(client.four_tuple, version, 6, 90))
    handed = stranger.send(frame)
    assert (handed.verdict, handed.reason) == (XDP_TX, "icmp_handed_on")
    outer, bundle, inner = handed.bundle
    assert Ether(handed.frame).dst == PEER_MAC.hex(":")
    assert (outer.src, outer.dst, outer.payload.dport) == (TUNNEL[version], TUNNEL[version], 7471)
    assert (bundle.kind, bundle.hops) == (abi.BundleKind.HANDOVER, 1)
    assert bytes(inner) == frame[14:]
    taken = owner.send(handed.frame)
    assert (taken.verdict, taken.reason) == (XDP_TX, "icmp_sent")
    assert bytes(taken.bundle[2]) == frame[14:]
    assert taken.bundle[1].flow_id == owner.flow(client).flow_id


def test_an_error_that_no_unit_knows_ends(units: list[UnitBench], version: int) -> None:
    for unit in units:
        unit.reset()
    quote = answer(Client(version).four_tuple, version, 6, 90)
    frame = error(version, VIP[version], "frag needed", quote)
    reasons = []
    for unit in (units[0], units[1], units[0]):
        outcome = unit.send(frame)
        reasons.append(outcome.reason)
        frame = outcome.frame
    assert reasons == ["icmp_handed_on", "icmp_handed_on", "icmp_no_route"]


def test_a_forged_handover_is_dropped(units: list[UnitBench], version: int) -> None:
    stranger, owner = units
    owner.reset()
    client = Client(version)
    owner.open_plain(client)
    quote = answer(client.four_tuple, version, 6, 10)
    handed = stranger.send(error(version, VIP[version], "frag needed", quote)).frame
    at = 14 + (28 if version == 4 else 48)
    covered = [*range(at, at + 24), *range(at + 24 + (12 if version == 4 else 8), at + 24 + 20)]
    for byte in covered:
        wrong = bytearray(handed)
        wrong[byte] ^= 1
        outcome = owner.send(bytes(wrong))
        assert (outcome.verdict, outcome.reason) == (XDP_DROP, "bad_notice"), byte - at
    for size in range(at, len(handed)):
        outcome = owner.send(handed[:size])
        assert (outcome.verdict, outcome.reason) == (XDP_PASS, "not_ours")
