"""The host's program with its maps filled: by test run here, live in test_upload.py."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address
from types import TracebackType
from typing import Any, Self

from bench import Outcome
from models import bundle_tag
from packets import HOSTS, ROUTER_MAC, TUNNEL, UNIT_MAC, Client, ip_of
from scapy.layers.inet import TCP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Packet

from pointsman.config.endpoints import own_places
from pointsman.config.model import Site
from pointsman.datapath import abi, testrun
from pointsman.datapath.addresses import flow_key4, flow_key6
from pointsman.datapath.host import HostDatapath
from pointsman.host.settings import fill_endpoints, fill_tunnels, host_config, host_sizes
from pointsman.tunnel.keys import tag_key

__all__ = ["FLOW_ID", "TC_DROP", "TC_NEXT", "TC_REDIRECT", "HostBench", "ports_of"]

TC_NEXT, TC_DROP, TC_REDIRECT = -1, 2, 7
FLOW_ID = b"\x12\x34\x56\x78"


class HostBench:
    """Host 0 of site_file.py."""

    def __init__(self, site: Site, key: bytes) -> None:
        self.site, self.key = site, key
        self.config = host_config(site, key)
        self.datapath = HostDatapath(host_sizes(site, site.hosts[0]), self.config)
        self.both_ways = bool(own_places(site, site.hosts[0].name))
        fill_tunnels(self.datapath, site)
        fill_endpoints(self.datapath, site, site.hosts[0])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.datapath.close()

    def reset(self) -> None:
        data = self.datapath
        data.mappings4.clear()
        data.mappings6.clear()
        data.vips4.clear()
        data.vips6.clear()
        data.fragments4.clear()
        data.fragments6.clear()

    def counts(self) -> dict[str, int]:
        return {reason.name.lower(): count for reason, count in self.datapath.counts().items()}

    def leave(self, frame: bytes, *, summed: bool = False) -> Outcome:
        """A packet on its way out."""
        return self.send(frame, summed=summed, program="leave")

    def send(
        self, frame: bytes, *, gso_size: int = 0, summed: bool = False, program: str = "restore"
    ) -> Outcome:
        """Every packet ends in exactly one reason. `summed`: a driver added it all up, and the sum
        must be right afterwards.
        """
        before = self.counts()
        context = testrun.skb_context(1, gso_size=gso_size) if gso_size else None
        entry = self.datapath.program_fd(program)
        result = testrun.test_run(entry, frame, ctx=context, summed=summed)
        changed = {reason: count - before[reason] for reason, count in self.counts().items()}
        counted = [reason for reason, count in changed.items() if count]
        assert sum(changed.values()) == 1, f"counted {changed}"
        return Outcome(result.retval, counted[0], result.data)

    def mapping(self, version: int, flow_id: bytes = FLOW_ID) -> abi.Mapping4 | abi.Mapping6:
        """KeyError if there is none."""
        tunnel = ip_address(TUNNEL[version]).packed
        if version == 4:
            return self.datapath.mappings4.get(abi.MappingKey4(tunnel, flow_id))
        return self.datapath.mappings6.get(abi.MappingKey6(tunnel, flow_id))

    def teach(self, client: Client, flags: int = 0, learnt: int = 0) -> None:
        source, target, sport, dport = client.four_tuple
        tunnel = ip_address(TUNNEL[client.version]).packed
        if client.version == 4:
            key4 = flow_key4(IPv4Address(source), sport, IPv4Address(target), dport, client.proto)
            self.datapath.mappings4.set(
                abi.MappingKey4(tunnel, FLOW_ID), abi.Mapping4(key4, learnt, flags)
            )
        else:
            key6 = flow_key6(IPv6Address(source), sport, IPv6Address(target), dport, client.proto)
            self.datapath.mappings6.set(
                abi.MappingKey6(tunnel, FLOW_ID), abi.Mapping6(key6, learnt, flags)
            )

    def bundle(
        self,
        client: Client,
        kind: abi.BundleKind,
        inner: Packet,
        *,
        cut: int | None = None,
        **attributes: Any,
    ) -> bytes:
        """The frame of a bundle; `cut`: how many bytes of the client's packet it carries."""
        return self.bundle_of(
            client.version, kind, inner, client.four_tuple, client.proto, cut=cut, **attributes
        )

    def bundle_of(
        self,
        version: int,
        kind: abi.BundleKind,
        inner: Packet,
        parties: tuple[str, str, int, int],
        protocol: int,
        *,
        cut: int | None = None,
        **attributes: Any,
    ) -> bytes:
        """The same of any packet; parties and protocol are what the tag says of it."""
        fields: dict[str, Any] = {
            "flow_id": FLOW_ID,
            "flags": 0,
            "hops": 0,
            "mss": b"\x05\xb4",
            "snd_wscale": 0,
            "rcv_wscale": 0,
            "endpoint": bytes(4),
        } | attributes
        blank = abi.Bundle(1, kind, tag=bytes(8), **fields).pack()
        numbers = (inner[TCP].seq, inner[TCP].ack) if TCP in inner else (0, 0)
        tag = bundle_tag(tag_key(self.key), blank, parties, *numbers, protocol=protocol)
        payload = blank[:16] + tag.to_bytes(8, "little") + bytes(inner)[:cut]
        outer = ip_of(version, TUNNEL[version], HOSTS[version][0])
        return bytes(
            Ether(src=ROUTER_MAC, dst=UNIT_MAC) / outer / UDP(sport=50000, dport=7471) / payload
        )

    def tunnelled(
        self, version: int, payload: bytes = b"", *, flow_id: bytes = FLOW_ID, **tcp: Any
    ) -> bytes:
        """A segment whose ports are the flow id."""
        outer = ip_of(version, TUNNEL[version], HOSTS[version][0], ttl=tcp.pop("ttl", 64))
        segment = outer / TCP(window=1024, **ports_of(flow_id), **tcp)
        return bytes(
            Ether(src=ROUTER_MAC, dst=UNIT_MAC) / (segment / payload if payload else segment)
        )

    def datagram(
        self, version: int, payload: bytes = b"", *, flow_id: bytes = FLOW_ID, **udp: Any
    ) -> bytes:
        """A datagram whose ports are the flow id."""
        outer = ip_of(version, TUNNEL[version], HOSTS[version][0], ttl=udp.pop("ttl", 64))
        packet = outer / UDP(**ports_of(flow_id), **udp) / payload
        return bytes(Ether(src=ROUTER_MAC, dst=UNIT_MAC) / packet)


def ports_of(flow_id: bytes) -> dict[str, int]:
    """The ports that a flow id makes, for scapy."""
    return {
        "sport": int.from_bytes(flow_id[:2], "big"),
        "dport": int.from_bytes(flow_id[2:], "big"),
    }
