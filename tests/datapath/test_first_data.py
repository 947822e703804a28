"""Inspected services: the first data is judged, bundled, and bundled again until it is answered."""

from __future__ import annotations

from typing import Any

import pytest
from bench import XDP_DROP, XDP_TX, UnitBench
from models import bundle_tag
from packets import HOSTS, TUNNEL, Client, checksums_right, split

from pointsman.datapath import abi
from pointsman.tunnel.keys import tag_key

pytestmark = pytest.mark.datapath

GET_A = b"GET /a/x HTTP/1.1\r\nHost: example.org\r\n\r\n"
GET_B = b"GET /b/x HTTP/1.1\r\nHost: example.org\r\n\r\n"
LINUX = [("MSS", 1460), ("SAckOK", b""), ("Timestamp", (12345, 0)), ("NOP", None), ("WScale", 9)]


@pytest.fixture
def client(version: int) -> Client:
    return Client(version, service_port=80)


def test_the_path_chooses_the_pool(unit: UnitBench, client: Client) -> None:
    isn = unit.shake_hands(client)
    outcome = unit.send(client.data(GET_A, isn))
    assert (outcome.verdict, outcome.reason) == (XDP_TX, "bundled_data")
    assert unit.host_of(client) == 0
    outer, _, _ = outcome.bundle
    assert (outer.src, outer.dst) == (TUNNEL[client.version], HOSTS[client.version][0])


def test_a_pool_is_dealt_in_turn(unit: UnitBench, version: int) -> None:
    hosts = []
    for port in range(40000, 40010):
        client = Client(version, port=port, service_port=80)
        unit.send(client.data(GET_B, unit.shake_hands(client)))
        hosts.append(unit.host_of(client))
    assert sorted(set(hosts)) == [1, 2]
    assert hosts.count(1) == 5


@pytest.mark.parametrize(
    ("syn", "flags", "mss"),
    [
        ({}, 0, 536),
        ({"options": [("MSS", 1460)]}, 0, {4: 1460, 6: 1440}),
        ({"options": [("MSS", 1350)]}, 0, {4: 1300, 6: 1220}),
        ({"options": [("SAckOK", b"")]}, abi.BundleFlag.SACK, 536),
        ({"options": [("WScale", 9)]}, abi.BundleFlag.WSCALE, 536),
        ({"flags": "SEC"}, abi.BundleFlag.ECN, 536),
    ],
)
def test_the_bundle_carries_what_was_agreed_on(
    unit: UnitBench, client: Client, syn: dict[str, Any], flags: int, mss: Any
) -> None:
    fields: dict[str, Any] = {"flags": "S", "seq": client.isn}
    frame = client.frame(**(fields | syn))
    isn = int(unit.send(frame).tcp.seq)
    outcome = unit.send(client.data(GET_A, isn))
    _, bundle, inner = outcome.bundle
    wanted = mss[client.version] if isinstance(mss, dict) else mss
    assert (bundle.kind, bundle.flags) == (abi.BundleKind.DATA, flags)
    assert int.from_bytes(bundle.mss, "big") == wanted
    if flags & abi.BundleFlag.WSCALE:
        assert (bundle.snd_wscale, bundle.rcv_wscale) == (9, 7)
    assert bytes(inner) == bytes(split(client.data(GET_A, isn))[0])
    tag = bundle_tag(tag_key(unit.key), bundle.pack(), client.four_tuple, client.isn + 1, isn + 1)
    assert bundle.tag == tag.to_bytes(8, "little")


def test_the_first_data_is_bundled_until_it_is_answered(unit: UnitBench, client: Client) -> None:
    isn = unit.shake_hands(client)
    first = unit.send(client.data(GET_A, isn))
    again = unit.send(client.data(GET_A, isn))
    assert again.reason == "bundled_again"
    assert again.frame == first.frame

    after = client.isn + 1 + len(GET_A)
    early_more = unit.send(client.frame(b"m", flags="A", seq=after, ack=isn + 1))
    assert early_more.reason == "hit"
    assert unit.send(client.data(GET_A, isn)).reason == "bundled_again"

    unit.send(client.frame(flags="A", seq=after, ack=isn + 2))
    assert unit.flow(client).state == abi.FlowState.OPEN
    late = unit.send(client.frame(GET_A, flags="PA", seq=client.isn + 1, ack=isn + 2))
    assert late.reason == "hit"
    assert checksums_right(late.frame)


def test_the_end_of_the_handshake_come_late_goes_nowhere(unit: UnitBench, client: Client) -> None:
    """Overtaken by the first data: a stack without the connection would answer with a RST."""
    isn = unit.shake_hands(client)
    unit.send(client.data(GET_A, isn))
    late = client.frame(flags="A", seq=client.isn + 1, ack=isn + 1)
    assert unit.send(late).reason == "handshake_ack"
    assert unit.flow(client).state == abi.FlowState.OPENING


def test_first_data_with_fin_is_closing_and_still_repeatable(
    unit: UnitBench, client: Client
) -> None:
    isn = unit.shake_hands(client)
    assert unit.send(client.data(GET_A, isn, flags="FPA")).reason == "bundled_data"
    assert unit.flow(client).state == abi.FlowState.CLOSING
    assert unit.send(client.data(GET_A, isn, flags="FPA")).reason == "bundled_again"


def test_a_client_that_leaves_without_a_word_gets_its_end(unit: UnitBench, client: Client) -> None:
    isn = unit.shake_hands(client)
    outcome = unit.send(client.data(b"", isn, flags="FA"))
    assert outcome.reason == "bundled_data"
    assert unit.flow(client).state == abi.FlowState.CLOSING


def test_what_the_kernel_cannot_judge_takes_the_default_pool(
    unit: UnitBench, client: Client
) -> None:
    before = unit.datapath.undecided.total(0)
    isn = unit.shake_hands(client)
    outcome = unit.send(client.data(b"GET /a/" + b"x" * 300, isn))
    assert outcome.reason == "bundled_data"
    assert unit.datapath.undecided.total(0) == before + 1


@pytest.mark.parametrize("offset", [0, 1])
def test_first_data_must_leave_room_for_the_bundle(
    unit: UnitBench, client: Client, offset: int
) -> None:
    headers, room = {4: (40, 52), 6: (60, 72)}[client.version]
    isn = unit.shake_hands(client)
    request = GET_A[:-2] + b"X: " + b"y" * 2000
    fits = 1500 - headers - room
    outcome = unit.send(client.data(request[: fits + offset], isn))
    if offset:
        assert (outcome.verdict, outcome.reason) == (XDP_DROP, "too_big")
        with pytest.raises(KeyError):
            unit.flow(client)
    else:
        assert outcome.reason == "bundled_data"
        assert len(outcome.frame) == 1514


def test_no_usable_host_drops_and_remembers_nothing(unit: UnitBench, client: Client) -> None:
    unit.set_host(0, usable=False)
    isn = unit.shake_hands(client)
    outcome = unit.send(client.data(GET_A, isn))
    assert (outcome.verdict, outcome.reason) == (XDP_DROP, "no_host")
    with pytest.raises(KeyError):
        unit.flow(client)
    unit.set_host(0, usable=True)
    assert unit.send(client.data(GET_A, isn)).reason == "bundled_data"
