"""The tests' GRE, ESP and AH, straight from client to host."""

from __future__ import annotations

import pytest
from raw_ip import Protocol, ah, ask_raw, esp, gre, raw_echo

from pointsman.lab.lab import Lab

pytestmark = pytest.mark.lab

ADDRESSES = {4: ("10.1.0.11", "198.51.100.2"), 6: ("fd00:1::11", "2001:db8:1::2")}


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize(
    ("protocol", "packet"),
    [
        (Protocol.GRE, gre(b"\x45" * 40)),
        (Protocol.GRE, gre(b"\xff\x03" * 600, call=7)),
        (Protocol.ESP, esp(b"secret" * 10, spi=0x1234)),
        (Protocol.AH, ah(b"signed", spi=0x1234)),
    ],
    ids=["gre", "pptp", "esp", "ah"],
)
def test_host_answers(bare_lab: Lab, version: int, protocol: Protocol, packet: bytes) -> None:
    host, client = ADDRESSES[version]
    with raw_echo(bare_lab, "h1", protocol, host) as sources:
        assert ask_raw(bare_lab, "c1", protocol, host, packet) == "h1"
    assert sources == [client]


def test_host_answers_from_a_virtual_address(bare_lab: Lab) -> None:
    """With a route straight to it, in a unit's stead."""
    vip = "203.0.113.99"
    bare_lab.run("h1", ["ip", "address", "add", f"{vip}/32", "dev", "lo"])
    bare_lab.run("router", ["ip", "route", "add", f"{vip}/32", "via", "10.1.0.11"])
    with raw_echo(bare_lab, "h1", Protocol.GRE, vip):
        assert ask_raw(bare_lab, "c1", Protocol.GRE, vip, gre(b"x")) == "h1"


def test_nobody_answers(bare_lab: Lab) -> None:
    with pytest.raises(TimeoutError):
        ask_raw(bare_lab, "c1", Protocol.GRE, "10.1.0.11", gre(b"x"), within_s=0.2)
