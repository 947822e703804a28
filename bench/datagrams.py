"""UDP datagrams/s from client to host, made as fast as one CPU makes and delivers them."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from typing import Any

from harness import Harness
from results import Results
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from pointsman.lab.lab import Lab

__all__ = ["measure_datagrams"]

CLIENT, ROUTER_PORT, HOST, PORT = "198.51.100.2", "c1", "h1", 90
ADDRESSES = {"direct": "10.3.0.11", "plain": "203.0.113.30"}
COUNT = 200_000
PAYLOAD = bytes(64)


def measure_datagrams(lab: Lab, results: Results, say: Callable[[str], None]) -> None:
    """Fills `datagrams` of the results. ValueError if nearly all got lost on their way."""
    lab.run("router", ["ethtool", "-K", ROUTER_PORT, "gro", "on"])
    own = _link(lab, "c1")
    with lab.enter_netns(HOST):
        sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with sink, Harness() as harness:
        sink.bind(("0.0.0.0", PORT))
        for _ in range(results.rounds):
            for target, address in ADDRESSES.items():
                ends = Ether(src=own["address"], dst=_router_mac(lab)) / IP(src=CLIENT, dst=address)
                harness.load([bytes(ends / UDP(sport=4000, dport=PORT) / PAYLOAD)])
                rate = _rate(lab, harness, own["ifindex"])
                results.datagrams.setdefault(target, []).append(rate)
    said = ", ".join(f"{target} {rates[-1]:,.0f}" for target, rates in results.datagrams.items())
    say(f"UDP datagrams/s: {said}")


def _rate(lab: Lab, harness: Harness, ifindex: int) -> float:
    """Datagrams/s that arrive at the host's interface.

    A sender that gets a CPU to itself makes more than the first cable's ring holds: that is lost.
    """
    before = _received(lab)
    started = time.monotonic()
    with lab.enter_netns("c1"):
        harness.send_out(ifindex, COUNT)
    seconds = time.monotonic() - started
    arrived = _received(lab) - before
    if arrived < COUNT / 10:
        raise ValueError(f"{arrived:,} of {COUNT:,} datagrams arrived")
    return arrived / seconds


def _link(lab: Lab, node: str) -> dict[str, Any]:
    shown = lab.run(node, ["ip", "-s", "-j", "link", "show", "e0"]).stdout
    link: dict[str, Any] = json.loads(shown)[0]
    return link


def _received(lab: Lab) -> int:
    return int(_link(lab, HOST)["stats64"]["rx"]["packets"])


def _router_mac(lab: Lab) -> str:
    shown = lab.run("router", ["ip", "-j", "link", "show", ROUTER_PORT]).stdout
    return str(json.loads(shown)[0]["address"])
