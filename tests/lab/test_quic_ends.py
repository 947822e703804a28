"""The tests' QUIC server and client, straight to each other."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from lab_names import lab_name
from lab_sites import write_site
from quic_ends import quic_client, quic_server

from pointsman.lab.lab import Lab

pytestmark = pytest.mark.lab

SITE = """
    cluster: {name: quic}
    units:
      - {name: u1, UNIT, addresses: [10.1.0.1, "fd00:1::1"], tunnel: [10.1.1.1, "fd00:1::1:1"]}
    hosts:
      - {name: h1, HOST, addresses: [10.1.0.11, "fd00:1::11"]}
    pools:
      - {name: all, members: [{host: h1}]}
    services:
      - {name: web, addresses: [203.0.113.10], port: 80, pool: all}
    lab:
      application: none
      network: {ipv4: 10.1.0.0/16, ipv6: "fd00:1::/64"}
      clients:
        - name: c1
          addresses: [198.51.100.2/24, 198.51.100.3/24, "2001:db8:1::2/64", "2001:db8:1::3/64"]
"""
ADDRESSES = {
    4: ("10.1.0.11", "198.51.100.2", "198.51.100.3"),
    6: ("fd00:1::11", "2001:db8:1::2", "2001:db8:1::3"),
}
SERVER_ID = b"\x00\x11\x22\x33"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with Lab(lab_name(), write_site(tmp_path_factory.mktemp("quic"), SITE)) as made:
        made.up(agents=False)
        yield made


def make_id() -> bytes:
    return b"\x07" + SERVER_ID + os.urandom(8)


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("new_id", [True, False])
def test_client_moves_in_the_middle_of_its_connection(lab: Lab, version: int, new_id: bool) -> None:
    server, first, second = ADDRESSES[version]
    with (
        quic_server(lab, "h1", server, 443, make_id) as seen,
        quic_client(lab, "c1", server, 443, first) as client,
    ):
        assert client.ask(b"one") == b"h1 one"
        client.move(second, new_id=new_id)
        assert client.ask(b"two" * 10_000) == b"h1 " + b"two" * 10_000
        client.move(first, new_id=new_id)
        assert client.ask(b"three") == b"h1 three"
    assert seen.handshakes == 1
    assert seen.peers == [first, second, first]


def test_every_id_of_the_server_is_the_tests(lab: Lab) -> None:
    with (
        quic_server(lab, "h1", "10.1.0.11", 443, make_id) as seen,
        quic_client(lab, "c1", "10.1.0.11", 443) as client,
    ):
        assert client.ask(b"one") == b"h1 one"
        quic = client.connection
        given = {quic._peer_cid.cid, *(one.cid for one in quic._peer_cid_available)}
    assert len(given) == 8
    assert given <= seen.ids
    assert all(one[1:5] == SERVER_ID for one in given)


def test_client_says_when_nobody_answers(lab: Lab) -> None:
    with (
        pytest.raises(TimeoutError),
        quic_client(lab, "c1", "10.1.0.11", 444, within_s=1),
    ):
        pass
