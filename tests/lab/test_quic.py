"""QUIC by connection id, end to end: a client that moves stays on its host (R-E12)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

import pytest
from http_clients import VIP
from lab_counts import Packets
from lab_names import lab_name
from lab_sites import write_site
from quic_ends import Seen, quic_client, quic_server
from quic_ids import Configuration, encode

from pointsman.lab.lab import Lab

pytestmark = pytest.mark.lab

SITE = """
    cluster: {name: quic}
    units:
      - {name: u1, UNIT, addresses: [10.1.0.1, "fd00:1::1"], tunnel: [10.1.1.1, "fd00:1::1:1"]}
      - {name: u2, UNIT, addresses: [10.1.0.2, "fd00:1::2"], tunnel: [10.1.1.2, "fd00:1::1:2"]}
    hosts:
      - {name: h1, HOST, addresses: [10.1.0.11, "fd00:1::11"]}
      - {name: h2, HOST, addresses: [10.1.0.12, "fd00:1::12"]}
      - {name: h3, HOST, addresses: [10.1.0.13, "fd00:1::13"]}
    pools:
      - name: all
        members:
          - {host: h1, quic_server_id: "a1b1"}
          - {host: h2, quic_server_id: "a2b2"}
          - {host: h3, quic_server_id: "a3b3"}
    services:
      - name: web
        addresses: [203.0.113.10, "2001:db8:10::10"]
        protocol: udp
        port: 443
        inspect: quic
        quic:
          configurations:
            - {id: 0, server_id_bytes: 2, nonce_bytes: 6}
            - {id: 1, server_id_bytes: 2, nonce_bytes: 14, key_file: quic.key}
            - {id: 5, server_id_bytes: 2, nonce_bytes: 5, key_file: quic.key}
        pool: all
    lab:
      application: none
      network: {ipv4: 10.1.0.0/16, ipv6: "fd00:1::/64"}
      clients:
        - name: c1
          addresses: [198.51.100.2/24, 198.51.100.3/24, "2001:db8:1::2/64", "2001:db8:1::3/64"]
"""
KEY = bytes.fromhex("8f95f09245765f80256934e50c66207f")
KINDS = {
    "plain": Configuration(0, 2, 6),
    "single pass": Configuration(1, 2, 14, KEY),
    "four passes": Configuration(5, 2, 5, KEY),
}
SERVER_IDS = {"h1": b"\xa1\xb1", "h2": b"\xa2\xb2", "h3": b"\xa3\xb3"}
ADDRESSES = {4: ("198.51.100.2", "198.51.100.3"), 6: ("2001:db8:1::2", "2001:db8:1::3")}
UNITS = ["u1", "u2"]
MOVES = 5


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("quic")
    key = folder / "quic.key"
    key.touch(mode=0o600)
    key.write_text(KEY.hex() + "\n")
    with Lab(lab_name(), write_site(folder, SITE)) as made:
        made.up()
        yield made


def make_id(configuration: Configuration, host: str) -> bytes:
    return encode(configuration, SERVER_IDS[host], os.urandom(configuration.nonce_bytes))


@contextmanager
def servers(lab: Lab, version: int, kind: str) -> Iterator[dict[str, Seen]]:
    """One on each host, at the virtual IP."""
    with ExitStack() as stack:
        yield {
            host: stack.enter_context(
                quic_server(lab, host, VIP[version], 443, partial(make_id, KINDS[kind], host))
            )
            for host in SERVER_IDS
        }


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("new_id", [True, False], ids=["another id", "same id"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_client_that_moves_stays_on_its_host(
    lab: Lab, version: int, new_id: bool, kind: str
) -> None:
    """By its own will, with another id; or behind a NAT that forgot it, with the same one.

    Wherever it is, the router may send it to the other unit.
    """
    packets = Packets(lab, UNITS)
    with servers(lab, version, kind) as seen:
        with quic_client(lab, "c1", VIP[version], 443, ADDRESSES[version][0]) as client:
            host, _, answer = client.ask(b"before").partition(b" ")
            assert answer == b"before"
            for move in range(1, MOVES + 1):
                client.move(ADDRESSES[version][move % 2], new_id=new_id)
                request = b"%d" % move * 5000
                assert client.ask(request) == host + b" " + request
        assert [one.handshakes for one in seen.values()].count(0) == 2
        served = seen[host.decode()]
        assert served.handshakes == 1
        assert served.peers == [ADDRESSES[version][move % 2] for move in range(MOVES + 1)]
    bundled = [packets.outcomes(unit)["bundled_datagram"] for unit in UNITS]
    assert sum(bundled) == MOVES + 1
    # What still comes for a socket that has gone draws errors, from a client before this one, too.
    lost = {reason for _, reason in packets.dropped()}
    assert lost <= {"icmp_no_route"}
    assert [packets.unaccounted(unit) for unit in UNITS] == [0, 0]


@pytest.mark.parametrize("version", [4, 6])
def test_clients_are_shared_out(lab: Lab, version: int) -> None:
    with servers(lab, version, "four passes") as seen:
        for _ in range(9):
            with quic_client(lab, "c1", VIP[version], 443) as client:
                assert client.ask(b"x").endswith(b" x")
        assert sum(one.handshakes for one in seen.values()) == 9
        assert all(one.handshakes for one in seen.values())
