"""Inspected connections that wait: probed, closed or abandoned before their first data."""

from __future__ import annotations

import pytest
from bench import XDP_DROP, XDP_TX, UnitBench
from packets import ROUTER_MAC, UNIT_MAC, Client, checksums_right
from scapy.layers.l2 import Ether

pytestmark = pytest.mark.datapath

GET = b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n"


@pytest.fixture
def client(version: int) -> Client:
    return Client(version, service_port=80)


@pytest.mark.parametrize("garbage", [b"", b"\0"])
@pytest.mark.parametrize(("options", "window"), [([], 64240), ([("WScale", 3)], 64240 >> 7)])
def test_a_keepalive_probe_is_answered(
    unit: UnitBench, client: Client, garbage: bytes, options: list[tuple[str, int]], window: int
) -> None:
    isn = unit.shake_hands(client, options=options)
    probe = client.frame(garbage, flags="A", seq=client.isn, ack=isn + 1)
    outcome = unit.send(probe)
    assert (outcome.verdict, outcome.reason) == (XDP_TX, "probe_answered")
    assert checksums_right(outcome.frame)
    tcp, ether = outcome.tcp, Ether(outcome.frame)
    assert (ether.src, ether.dst) == (UNIT_MAC, ROUTER_MAC)
    source, target, sport, dport = client.four_tuple
    assert (tcp.underlayer.src, tcp.underlayer.dst) == (target, source)
    assert (tcp.sport, tcp.dport, tcp.flags) == (dport, sport, "A")
    assert (tcp.seq, tcp.ack, tcp.window) == (isn + 1, client.isn + 1, window)
    with pytest.raises(KeyError):
        unit.flow(client)


def test_a_probes_timestamp_is_echoed(unit: UnitBench, client: Client) -> None:
    isn = unit.shake_hands(client, options=[("Timestamp", (5, 0))])
    stamps = [("Timestamp", (777, 1)), ("NOP", None), ("NOP", None)]
    outcome = unit.send(client.frame(flags="A", seq=client.isn, ack=isn + 1, options=stamps))
    assert dict(outcome.tcp.options)["Timestamp"][1] == 777


def test_a_probe_with_a_wrong_cookie_is_dropped(unit: UnitBench, client: Client) -> None:
    isn = unit.shake_hands(client)
    for seq, ack in ((client.isn, isn + 2), (client.isn - 1, isn + 1)):
        outcome = unit.send(client.frame(flags="A", seq=seq, ack=ack))
        assert (outcome.verdict, outcome.reason) == (XDP_DROP, "no_route")


def test_a_probe_with_a_wrong_checksum_is_not_answered(unit: UnitBench, client: Client) -> None:
    isn = unit.shake_hands(client)
    probe = bytearray(client.frame(b"\0", flags="A", seq=client.isn, ack=isn + 1))
    probe[-1] ^= 1
    assert unit.send(bytes(probe)).reason == "bad_checksum"


def test_after_probes_the_first_data_is_as_good_as_ever(unit: UnitBench, client: Client) -> None:
    isn = unit.shake_hands(client)
    for _ in range(3):
        unit.send(client.frame(flags="A", seq=client.isn, ack=isn + 1))
    assert unit.send(client.data(GET, isn)).reason == "bundled_data"


def test_a_reset_before_any_data_leaves_nothing(unit: UnitBench, client: Client) -> None:
    isn = unit.shake_hands(client)
    outcome = unit.send(client.frame(flags="RA", seq=client.isn + 1, ack=isn + 1))
    assert (outcome.verdict, outcome.reason) == (XDP_DROP, "no_route")
    with pytest.raises(KeyError):
        unit.flow(client)


def test_a_live_connections_probe_goes_to_its_host(unit: UnitBench, client: Client) -> None:
    isn = unit.shake_hands(client)
    unit.send(client.data(GET, isn))
    after = client.isn + 1 + len(GET)
    unit.send(client.frame(flags="A", seq=after, ack=isn + 500))
    assert unit.send(client.frame(flags="A", seq=after - 1, ack=isn + 500)).reason == "hit"
