"""A unit's programs with their maps filled and no interface: one frame in, one outcome out."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from types import TracebackType
from typing import Self

from packets import UNIT_MAC, Client, split
from scapy.layers.inet import TCP
from scapy.packet import Packet

from pointsman.classifier.secrets import cookie_secret, epoch_at
from pointsman.classifier.service import Classifier, compiled_services
from pointsman.config.endpoints import endpoints
from pointsman.config.model import Site
from pointsman.datapath import abi, testrun
from pointsman.datapath.addresses import flow_key4, flow_key6
from pointsman.datapath.unit import UnitDatapath
from pointsman.forwarder.next_hops import NextHop
from pointsman.forwarder.service import EndpointTable
from pointsman.unit.settings import client_mss, unit_config, unit_sizes

__all__ = ["XDP_DROP", "XDP_PASS", "XDP_TX", "Outcome", "UnitBench", "host_mac"]

XDP_DROP, XDP_PASS, XDP_TX = 1, 2, 3
LOOPBACK = 1


def host_mac(index: int) -> bytes:
    return bytes([2, 0, 0, 1]) + index.to_bytes(2, "big")


@dataclass(frozen=True)
class Outcome:
    """What became of a frame: the program's verdict, the one reason counted, the frame after."""

    verdict: int
    reason: str
    frame: bytes

    @property
    def bundle(self) -> tuple[Packet, abi.Bundle, Packet]:
        """Outer IP packet, bundle header, the client's packet."""
        outer, udp = split(self.frame)
        payload = bytes(udp.payload)
        inner = type(outer)(payload[abi.Bundle.SIZE :])
        return outer, abi.Bundle.unpack(payload[: abi.Bundle.SIZE]), inner

    @property
    def tcp(self) -> TCP:
        return split(self.frame)[1]


class UnitBench:
    """Service 0 inspected, service 1 plain, three hosts, all behind the loopback (site_file.py)."""

    def __init__(
        self, site: Site, key: bytes, quic_keys: Mapping[tuple[str, int], bytes] | None = None
    ) -> None:
        self.site, self.key = site, key
        self.wall_s = time.time()
        unit = site.units[0]
        compiled = compiled_services(site)
        self.datapath = UnitDatapath(unit_sizes(site, unit, compiled), unit_config(site, unit, key))
        self.endpoints = list(endpoints(site))
        self.classifier = Classifier(self.datapath, site, key, client_mss(site), quic_keys or {})
        self.classifier.fill(compiled, self.wall_s)
        self.table = EndpointTable(self.datapath, site, unit)
        for index in range(len(site.hosts)):
            self.set_host(index, usable=True)
            self.datapath.host_numbers4.set(self._host(4, index), index)
            self.datapath.host_numbers6.set(abi.In6Key(self._host(6, index)), index)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.datapath.close()

    def _host(self, version: int, index: int) -> bytes:
        return next(a.packed for a in self.site.hosts[index].addresses if a.version == version)

    def set_host(self, index: int, *, usable: bool) -> None:
        hop = NextHop(LOOPBACK, host_mac(index), bytes.fromhex(UNIT_MAC.replace(":", "")))
        self.table.write((index, IPv4Address(self._host(4, index))), hop, usable=usable)
        self.table.write((index, IPv6Address(self._host(6, index))), hop, usable=usable)

    def reset(self) -> None:
        """Forgets all routes, fragments and epochs, makes all hosts usable."""
        self.datapath.flows4.clear()
        self.datapath.flows6.clear()
        self.datapath.fragments4.clear()
        self.datapath.fragments6.clear()
        for index in range(len(self.site.hosts)):
            self.datapath.host_epochs.set(index, abi.HostEpoch(bytes(8), 0, 0))
            self.set_host(index, usable=True)

    def send(self, frame: bytes) -> Outcome:
        """Every packet ends in exactly one reason: that is checked here, for every test."""
        before = self.datapath.counts()
        result = testrun.test_run(self.datapath.program_fd("forward"), frame)
        after = self.datapath.counts()
        changed = {reason.name.lower(): after[reason] - before[reason] for reason in after}
        counted = [reason for reason, count in changed.items() if count]
        assert sum(changed.values()) == 1, f"counted {changed}"
        return Outcome(result.retval, counted[0], result.data)

    def flow(self, client: Client) -> abi.Flow:
        """The client's route. KeyError if there is none."""
        source, target, sport, dport = client.four_tuple
        if client.version == 4:
            key4 = flow_key4(IPv4Address(source), sport, IPv4Address(target), dport, client.proto)
            return self.datapath.flows4.get(key4)
        key6 = flow_key6(IPv6Address(source), sport, IPv6Address(target), dport, client.proto)
        return self.datapath.flows6.get(key6)

    def host_of(self, client: Client) -> int:
        """The index of the host that the client's route leads to."""
        return self.endpoints[self.flow(client).endpoint].host

    def set_flow(self, client: Client, flow: abi.Flow) -> None:
        source, target, sport, dport = client.four_tuple
        if client.version == 4:
            key4 = flow_key4(IPv4Address(source), sport, IPv4Address(target), dport, client.proto)
            self.datapath.flows4.set(key4, flow)
        else:
            key6 = flow_key6(IPv6Address(source), sport, IPv6Address(target), dport, client.proto)
            self.datapath.flows6.set(key6, flow)

    def secret(self, epochs_ago: int = 0) -> bytes:
        """The cookie secret of the present epoch, or of one before or after."""
        return cookie_secret(self.key, epoch_at(self.wall_s) - epochs_ago)

    def shake_hands(self, client: Client, **syn: object) -> int:
        """SYN and cookie SYN-ACK; returns the unit's initial sequence number."""
        outcome = self.send(client.syn(**syn))
        assert outcome.reason == "syn_answered"
        return int(outcome.tcp.seq)

    def open_plain(self, client: Client) -> Outcome:
        """A plain connection, up to the client's acknowledgement of the host's SYN-ACK."""
        bundled = self.send(client.syn())
        assert bundled.reason == "bundled_syn"
        acked = self.send(client.frame(flags="A", seq=client.isn + 1, ack=77))
        assert acked.reason == "hit"
        return bundled
