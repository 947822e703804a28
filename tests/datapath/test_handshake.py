"""Inspected services: the handshake with nothing remembered."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from bench import XDP_DROP, XDP_TX, UnitBench
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from models import cookie, cookie_options
from packets import ROUTER_MAC, UNIT_MAC, Client, checksums_right, with_tcp_options
from scapy.layers.l2 import Ether

pytestmark = pytest.mark.datapath

GET = b"GET /a/x HTTP/1.1\r\nHost: example.org\r\n\r\n"
LINUX = [("MSS", 1460), ("SAckOK", b""), ("Timestamp", (12345, 0)), ("NOP", None), ("WScale", 7)]


@pytest.fixture
def client(version: int) -> Client:
    return Client(version, service_port=80)


def wanted_isn(unit: UnitBench, client: Client, **agreed: Any) -> int:
    options = {"mss": 536, "wscale": None, "sack": False, "ecn": False} | agreed
    return cookie(
        unit.secret(), client.four_tuple, client.isn, cookie_options(client.version, **options)
    )


def test_a_syn_is_answered_in_its_own_frame(unit: UnitBench, client: Client) -> None:
    outcome = unit.send(client.syn(options=LINUX))
    assert (outcome.verdict, outcome.reason) == (XDP_TX, "syn_answered")
    assert checksums_right(outcome.frame)
    ether = Ether(outcome.frame)
    assert (ether.src, ether.dst) == (UNIT_MAC, ROUTER_MAC)
    tcp = outcome.tcp
    source, target, sport, dport = client.four_tuple
    assert (tcp.underlayer.src, tcp.underlayer.dst) == (target, source)
    assert (tcp.sport, tcp.dport) == (dport, sport)
    assert (tcp.flags, tcp.ack) == ("SA", client.isn + 1)
    assert tcp.seq == wanted_isn(unit, client, mss=1460, wscale=7, sack=True)
    options = {name: value for name, value in tcp.options if name != "NOP"}
    assert options["MSS"] == {4: 1460 - 52, 6: 1440 - 72}[client.version]
    assert options["WScale"] == 7
    assert options["SAckOK"] == b""
    assert options["Timestamp"][1] == 12345


@pytest.mark.parametrize("mss", [0, 100, 536, 1219, 1220, 1300, 1420, 1439, 1440, 1460, 8960])
def test_the_cookie_keeps_the_mss(unit: UnitBench, client: Client, mss: int) -> None:
    isn = unit.shake_hands(client, options=[("MSS", mss)])
    assert isn == wanted_isn(unit, client, mss=mss)


@pytest.mark.parametrize("wscale", [0, 1, 7, 8, 13, 14, 15, 255])
def test_the_cookie_keeps_the_window_scale(unit: UnitBench, client: Client, wscale: int) -> None:
    isn = unit.shake_hands(client, options=[("WScale", wscale)])
    assert isn == wanted_isn(unit, client, wscale=min(wscale, 14))


def test_the_cookie_keeps_sack_without_timestamps(unit: UnitBench, client: Client) -> None:
    outcome = unit.send(client.syn(options=[("SAckOK", b"")]))
    assert outcome.tcp.seq == wanted_isn(unit, client, sack=True)
    names = [name for name, _ in outcome.tcp.options]
    assert "SAckOK" in names
    assert "Timestamp" not in names
    assert "WScale" not in names


def test_the_cookie_keeps_ecn(unit: UnitBench, client: Client) -> None:
    offered = unit.send(client.frame(flags="SEC", seq=client.isn))
    assert offered.tcp.flags == "SAE"
    assert offered.tcp.seq == wanted_isn(unit, client, ecn=True)
    half = unit.send(client.frame(flags="SE", seq=client.isn))
    assert half.tcp.flags == "SA"


def test_data_in_the_syn_is_left_to_be_repeated(unit: UnitBench, client: Client) -> None:
    outcome = unit.send(client.frame(GET, flags="S", seq=client.isn))
    assert outcome.reason == "syn_answered"
    assert outcome.tcp.ack == client.isn + 1
    assert checksums_right(outcome.frame)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(options=st.binary(max_size=40).map(lambda b: b + bytes(-len(b) % 4)))
def test_any_option_bytes_are_survived(unit: UnitBench, version: int, options: bytes) -> None:
    client = Client(version, service_port=80)
    sent = with_tcp_options(client.syn(), version, options)
    outcome = unit.send(sent)
    assert outcome.reason == "syn_answered"
    assert checksums_right(outcome.frame)


def test_the_end_of_the_handshake_is_swallowed(unit: UnitBench, client: Client) -> None:
    isn = unit.shake_hands(client)
    outcome = unit.send(client.frame(flags="A", seq=client.isn + 1, ack=isn + 1))
    assert (outcome.verdict, outcome.reason) == (XDP_DROP, "handshake_ack")
    with pytest.raises(KeyError):
        unit.flow(client)


def test_a_wrong_cookie_is_dropped(unit: UnitBench, client: Client) -> None:
    isn = unit.shake_hands(client)
    for wrong in (isn ^ 1, isn ^ 1 << 31, isn + 256, 0):
        outcome = unit.send(client.data(GET, wrong % 2**32))
        assert (outcome.verdict, outcome.reason) == (XDP_DROP, "bad_cookie")
        ack = client.frame(flags="A", seq=client.isn + 1, ack=(wrong + 1) % 2**32)
        assert unit.send(ack).reason == "no_route"
    assert unit.send(client.data(GET, isn)).reason == "bundled_data"


def test_a_cookie_is_good_for_its_own_connection_only(unit: UnitBench, client: Client) -> None:
    isn = unit.shake_hands(client)
    other_port = replace(client, port=client.port + 1)
    other_isn = replace(client, isn=client.isn + 1)
    assert unit.send(other_port.data(GET, isn)).reason == "bad_cookie"
    assert unit.send(other_isn.data(GET, isn)).reason == "bad_cookie"


@pytest.mark.parametrize(
    ("epochs_ago", "reason"),
    [(-1, "bundled_data"), (1, "bundled_data"), (2, "bad_cookie"), (-2, "bad_cookie")],
)
def test_cookies_of_the_last_and_next_epoch_are_honoured(
    unit: UnitBench, client: Client, epochs_ago: int, reason: str
) -> None:
    isn = cookie(unit.secret(epochs_ago), client.four_tuple, client.isn, 0b00_1111_0_0)
    assert unit.send(client.data(GET, isn)).reason == reason


def test_an_old_cookie_dies_when_secrets_rotate(client: Client, unit: UnitBench) -> None:
    isn = unit.shake_hands(client)
    try:
        unit.classifier.rotate(unit.wall_s + 256)
        assert unit.send(client.data(GET, isn)).reason == "bad_cookie"
    finally:
        unit.classifier.rotate(unit.wall_s)
    assert unit.send(client.data(GET, isn)).reason == "bundled_data"


def test_a_syn_on_an_open_flow_leaves_the_flow_alone(unit: UnitBench, client: Client) -> None:
    isn = unit.shake_hands(client)
    unit.send(client.data(GET, isn))
    after = client.isn + 1 + len(GET)
    later = client.frame(b"more", flags="A", seq=after, ack=isn + 500)
    assert unit.send(later).reason == "hit"
    old = unit.flow(client)

    new_isn = unit.shake_hands(replace(client, isn=7))
    assert unit.send(later).reason == "hit"
    assert unit.flow(client).flow_id == old.flow_id

    fresh = replace(client, isn=7)
    assert unit.send(fresh.data(GET, new_isn)).reason == "bundled_data"
    assert unit.flow(client).flow_id != old.flow_id
    assert unit.flow(client).first_seq == 8
