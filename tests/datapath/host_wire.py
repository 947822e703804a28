"""The host's program on a real interface: frames in at the far end of a veth, answers out of it."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from host_bench import HostBench
from namespace import new_namespace
from packets import HOSTS, ROUTER_MAC, UNIT_MAC, VIP, Client, checksums_right, split
from scapy.layers.inet import TCP, UDP
from scapy.packet import Packet

from pointsman.datapath import abi

__all__ = [
    "ETH_P_ALL",
    "FAMILY",
    "PACKET_IGNORE_OUTGOING",
    "PATIENCE_S",
    "SOL_PACKET",
    "HostWire",
    "host_wire",
    "resets",
]

PATIENCE_S = 10
FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}
FENCE_ID = b"\xfe\xdc\xba\x98"
SOL_PACKET, PACKET_QDISC_BYPASS, PACKET_IGNORE_OUTGOING = 263, 20, 23
ETH_P_ALL = 3
# The gateway is known from the start: answers leave at once, with no ARP and no ND before them.
# The kernel adds the local route of an IPv6 address some time after the address: here it is sooner.
SETUP = f"""
link set lo up
link set e0 addrgenmode none
link set e0 up
address add {VIP[4]}/32 dev lo
address add {VIP[6]}/128 dev lo nodad
address add {HOSTS[4][0]}/24 dev e0
address add {HOSTS[6][0]}/64 dev e0 nodad
route replace local {VIP[6]} dev lo table local
route replace local {HOSTS[6][0]} dev e0 table local
neighbour add 10.1.0.254 lladdr {ROUTER_MAC} dev e0 nud permanent
neighbour add fd00:1::fe lladdr {ROUTER_MAC} dev e0 nud permanent
route add default via 10.1.0.254
route add default via fd00:1::fe
"""


class HostWire:
    """Host 0 behind e0, seen from the other end of its cable."""

    def __init__(self, bench: HostBench, outside: socket.socket) -> None:
        self.bench = bench
        self._outside = outside
        self._fences = 0
        self._before = bench.counts()

    def send(self, *frames: bytes) -> None:
        for frame in frames:
            self._outside.send(frame)

    def next(self) -> Packet:
        """The IP packet that the host sends next, its checksums right; AssertionError if none."""
        deadline = time.monotonic() + PATIENCE_S
        while (left := deadline - time.monotonic()) > 0:
            self._outside.settimeout(left)
            try:
                frame = self._outside.recv(1 << 17)
            except TimeoutError:
                break
            if frame[0] & 1:
                continue  # multicast: an interface telling of itself
            packet = split(frame)[0]
            assert checksums_right(frame)
            return packet
        raise AssertionError(f"the host sent nothing within {PATIENCE_S} s")

    def segment(self) -> Packet:
        """As next(), which must be TCP."""
        packet = self.next()
        assert TCP in packet, packet
        return packet

    def settle(self) -> list[Packet]:
        """What the host has sent since it was last listened to, all frames being worked off.

        A frame of a flow id that nobody knows draws a notice. It is worked off on the same CPU, so
        behind everything before it.
        """
        self._fences += 1
        self.send(self.bench.tunnelled(4, flags="A", flow_id=FENCE_ID))
        packets = []
        while not _is_fence(packet := self.next()):
            packets.append(packet)
        return packets

    def changed(self) -> dict[str, int]:
        """What was counted since the last call, but for settle()'s own."""
        now = self.bench.counts()
        delta = {reason: count - self._before[reason] for reason, count in now.items()}
        delta["unknown_flow_id"] -= self._fences
        self._before, self._fences = now, 0
        return {reason: count for reason, count in delta.items() if count}

    def listen(self, client: Client, backlog: int = 16) -> socket.socket:
        """A server where the client means to go."""
        where = (VIP[client.version], client.service_port)
        listener = socket.create_server(where, family=FAMILY[client.version], backlog=backlog)
        listener.settimeout(PATIENCE_S)
        return listener

    def datagrams(self, client: Client) -> socket.socket:
        """The same for datagrams."""
        server = socket.socket(FAMILY[client.version], socket.SOCK_DGRAM)
        server.bind((VIP[client.version], client.service_port))
        server.settimeout(PATIENCE_S)
        return server


def _is_fence(packet: Packet) -> bool:
    if UDP not in packet:
        return False
    notice = abi.Notice.unpack(bytes(packet[UDP].payload)[: abi.Notice.SIZE])
    return notice.flow_id == FENCE_ID


def resets(packets: list[Packet]) -> list[Packet]:
    """Those of them that end a connection."""
    return [packet for packet in packets if TCP in packet and "R" in str(packet[TCP].flags)]


@contextmanager
def host_wire(bench: HostBench) -> Iterator[HostWire]:
    """This thread is in the host's namespace, on one CPU, until the end; then all of it is gone.

    The namespaces have no name: they go with the last descriptor, however the test ends.
    """
    with _one_cpu(), new_namespace():
        host = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        try:
            with new_namespace():
                outside = _cable(f"/proc/{os.getpid()}/fd/{host}")
        finally:
            os.close(host)
        with outside:
            _run("ip", "-batch", "-", given=SETUP)
            _run("ethtool", "-K", "e0", "tx", "off")
            number = socket.if_nametoindex("e0")
            bench.datapath.attach(number, both_ways=bench.both_ways)
            try:
                yield HostWire(bench, outside)
            finally:
                bench.datapath.detach(number)


def _cable(host: str) -> socket.socket:
    """Lays it, and holds its outer end, which is in the namespace of this moment."""
    Path("/proc/sys/net/ipv6/conf/default/disable_ipv6").write_text("1")
    _run(
        *("ip", "link", "add", "e1", "address", ROUTER_MAC, "up", "type", "veth"),
        *("peer", "name", "e0", "address", UNIT_MAC, "netns", host),
    )
    _run("ethtool", "-K", "e1", "tx", "off")  # or e0 takes its frames for too large ones for GRO
    outside = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    outside.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    # The queue of an interface that has just come up may be one that loses everything.
    outside.setsockopt(SOL_PACKET, PACKET_QDISC_BYPASS, 1)
    outside.bind(("e1", ETH_P_ALL))
    return outside


def _run(*command: str, given: str = "") -> None:
    subprocess.run(command, input=given, capture_output=True, text=True, check=True)


@contextmanager
def _one_cpu() -> Iterator[None]:
    """Frames are queued for the CPU that sent them: on one CPU they keep their order."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
