"""The site file's shape: one YAML file describes units, hosts, pools, services (R-A1, R-A7).

Pure data. `load.py` reads a file into a `Site` and turns what pydantic finds into errors with
file, line and key. Cross references (a pool's hosts, a rule's pool) are checked here, so that a
`Site` that exists is a site that can run.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
)
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from pointsman.config.quic_model import Quic, QuicConfiguration, ServerId

__all__ = [
    "Address",
    "Application",
    "Bystander",
    "Choose",
    "Client",
    "Cluster",
    "Forward",
    "Host",
    "Inspect",
    "Lab",
    "Listen",
    "Member",
    "NatPorts",
    "Network",
    "OtherPorts",
    "Pool",
    "Protocol",
    "Quic",
    "QuicConfiguration",
    "Role",
    "Router",
    "Rule",
    "Service",
    "Site",
    "TableKind",
    "Timeouts",
    "Tunnel",
    "Unit",
    "XdpMode",
]

Address = IPv4Address | IPv6Address
Interface = IPv4Interface | IPv6Interface
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,14}$")]
Device = Annotated[str, Field(pattern=r"^[^\s/:]{1,15}$")]
Port = Annotated[int, Field(ge=1, le=65535)]
ListenText = Annotated[str, Field(pattern=r"^((tcp|udp)/[0-9]{1,5}(-[0-9]{1,5})?|gre|esp|ah)$")]
Text = Annotated[str, Field(min_length=1, max_length=120)]


class Model(BaseModel):
    """No key is ignored and nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Role(StrEnum):
    """The functions a unit may run (R-A1)."""

    FORWARDER = "forwarder"
    CLASSIFIER = "classifier"


class XdpMode(StrEnum):
    """How the unit's program is attached: in the driver, or in the generic path of any device."""

    NATIVE = "native"
    GENERIC = "generic"


class Inspect(StrEnum):
    """When a connection is bound to a host: on its SYN, or on what its first data says."""

    NONE = "none"
    HTTP = "http"
    TLS = "tls"
    RDP = "rdp"
    QUIC = "quic"
    """Bound on the first datagram; and each goes where its connection id says."""

    @property
    def uploads(self) -> bool:
        """Whether the unit answers the handshake, and an agent uploads the connection."""
        return self in (Inspect.HTTP, Inspect.TLS, Inspect.RDP)


class Forward(StrEnum):
    """How packets reach the endpoint (R-A6)."""

    TUNNEL = "tunnel"
    """A flow id in the port fields; the host restores the packet, and answers the client itself."""
    HALF_NAT = "half-nat"
    """The destination becomes the endpoint's; answers must be routed through the same unit."""
    NAT = "nat"
    """The source becomes the unit's, too, so that answers come back whatever the routes."""
    L2 = "l2"
    """Only the MAC addresses change; the host has the virtual IP on a loopback."""


class Protocol(StrEnum):
    """What stands behind the IP header."""

    TCP = "tcp"
    UDP = "udp"
    GRE = "gre"
    ESP = "esp"
    AH = "ah"

    @property
    def has_ports(self) -> bool:
        return self in (Protocol.TCP, Protocol.UDP)


class Choose(StrEnum):
    """How a pool's next endpoint is found (R-B12)."""

    WEIGHTED = "weighted"
    ROUND_ROBIN = "round-robin"
    MOST_TOKENS_FIRST = "most-tokens-first"
    LINEAR = "linear"
    CLIENT_IP = "client-ip"
    MAGLEV = "maglev"
    TWO_CHOICES = "two-choices"


class TableKind(StrEnum):
    """Whether the CPUs of a unit share one table of routes, or each has a part of its own."""

    COMMON = "common"
    PER_CPU = "per-cpu"


class OtherPorts(StrEnum):
    """What becomes of packets for a virtual IP, on a port that is no service."""

    DROP = "drop"
    PASS = "pass"


class Cluster(Model):
    name: Name
    key_file: str | None = None
    """32 hexadecimal digits or more, shared by units and hosts; relative to the site file.
    None: `/etc/pointsman/<cluster>.key`."""


class Tunnel(Model):
    port: Port = 7471
    """UDP port of bundles and notices."""
    mtu: Annotated[int, Field(ge=1280, le=9000)] = 1500
    """Largest IP packet between units and hosts, bytes."""


class Timeouts(Model):
    """How long a route outlives its last packet, by its state, seconds."""

    opening_s: Annotated[int, Field(ge=1, le=3600)] = 60
    open_s: Annotated[int, Field(ge=1, le=30 * 86400)] = 3600
    closing_s: Annotated[int, Field(ge=1, le=3600)] = 60
    zombie_s: Annotated[int, Field(ge=1, le=3600)] = 60
    datagram_s: Annotated[int, Field(ge=1, le=86400)] = 60
    """Of everything but TCP."""


class NatPorts(Model):
    first: Port = 1024
    last: Port = 65535


class Unit(Model):
    name: Name
    interface: Device
    addresses: Annotated[list[Address], Field(min_length=1, max_length=2)]
    """At most one of each family."""
    tunnel: Annotated[list[Address], Field(min_length=1, max_length=2)]
    """Addresses that only the tunnel uses, at most one of each family. The unit adds them."""
    roles: Annotated[list[Role], Field(min_length=1)] = [Role.FORWARDER, Role.CLASSIFIER]
    xdp: XdpMode = XdpMode.NATIVE
    max_flows: Annotated[int, Field(ge=1024, le=64_000_000)] = 1_000_000
    """Routes of each address family that fit into the table."""
    flow_table: TableKind = TableKind.COMMON
    nat: Annotated[list[Address], Field(max_length=2)] = []
    """Addresses that only NAT uses as sources, at most one of each family. The unit adds them."""
    nat_ports: NatPorts = NatPorts()
    """Of those addresses."""
    max_translations: Annotated[int, Field(ge=1024, le=16_000_000)] = 65_536
    """Connections of each family that half-NAT and NAT may carry at a time."""
    max_fragments: Annotated[int, Field(ge=64, le=1_000_000)] = 4096
    """Fragmented packets of each family that may be under way at a time."""


class Host(Model):
    name: Name
    interface: Device
    addresses: Annotated[list[Address], Field(min_length=1, max_length=2)]
    """At most one of each family."""
    max_mappings: Annotated[int, Field(ge=1024, le=64_000_000)] = 1_000_000
    max_fragments: Annotated[int, Field(ge=64, le=1_000_000)] = 4096
    """Fragmented packets of each family that may be under way at a time."""
    agent: bool = True
    """Whether `pointsman host` runs there: the tunnel and inspected services need it."""


class Member(Model):
    """An endpoint: a host, by default at the address and port that clients connect to."""

    host: Name
    weight: Annotated[int, Field(ge=0, le=99)] = 1
    """Share of new connections, relative to the other members; 0: none."""
    addresses: Annotated[list[Address], Field(max_length=2)] = []
    """Where its application listens, at most one of each family; else the host's own, if there is
    a `port` or the way of forwarding changes the destination."""
    port: Port | None = None
    """Where its application listens; None: on the port that clients connect to."""
    quic_server_id: ServerId | None = None
    """What its QUIC server writes into its connection ids."""


class Pool(Model):
    name: Name
    choose: Choose = Choose.WEIGHTED
    members: Annotated[list[Member], Field(min_length=1)]


Pair = Annotated[dict[Text, str], Field(min_length=1, max_length=1)]


class Rule(Model):
    """Sends connections whose first request satisfies every given condition to a pool.

    Text is compared byte by byte with what the client sent (no decoding); names of hosts, headers
    and RDP users without regard to case. The path ends before `?`.
    """

    method: Text | None = None
    host: Text | None = None
    """Without port; `*.` at its start stands for one label or more."""
    path: Text | None = None
    path_prefix: Text | None = None
    query: Pair | None = None
    header: Pair | None = None
    header_prefix: Pair | None = None
    cookie: Pair | None = None
    sni: Text | None = None
    """As `host`, of a TLS client's hello."""
    alpn: Text | None = None
    mstshash: Text | None = None
    """The user that an RDP client names."""
    pool: Name


@dataclass(frozen=True, slots=True)
class Listen:
    """A protocol and, if it has ports, the first and last of those meant; else 0."""

    protocol: Protocol
    first: int = 0
    last: int = 0

    @classmethod
    def parse(cls, text: str) -> Listen:
        """`tcp/80`, `udp/10000-20000` or `gre`, whose form the site file's model has checked."""
        protocol, _, ports = text.partition("/")
        first, dash, last = ports.partition("-")
        return cls(Protocol(protocol), int(first or 0), int(last if dash else first or 0))

    def __str__(self) -> str:
        if not self.first:
            return str(self.protocol)
        span = f"-{self.last}" if self.last != self.first else ""
        return f"{self.protocol}/{self.first}{span}"


class Service(Model):
    name: Name
    addresses: Annotated[list[Address], Field(min_length=1)]
    """Virtual IPs."""
    protocol: Protocol = Protocol.TCP
    port: Port | None = None
    listen: list[ListenText] = []
    """Instead of `protocol` and `port`: a group, whose flows of one client go to one host."""
    forward: Forward = Forward.TUNNEL
    inspect: Inspect = Inspect.NONE
    quic: Quic | None = None
    """With `inspect: quic`."""
    proxy_protocol: bool = False
    """Clients' first data begins with a PROXY protocol header, behind which rules look."""
    rules: Annotated[list[Rule], Field(max_length=4096)] = []
    pool: Name
    """For connections that no rule claims."""

    @property
    def listens(self) -> list[Listen]:
        """What it answers to, however the site file says it."""
        if self.listen:
            return [Listen.parse(text) for text in self.listen]
        return [Listen(self.protocol, self.port or 0, self.port or 0)]

    @property
    def is_group(self) -> bool:
        """Whether several flows of a client belong together (R-A9)."""
        return len(self.listens) > 1


class Application(StrEnum):
    """What the lab starts on hosts for a service."""

    NGINX = "nginx"
    TLS = "tls"
    """The same nginx behind TLS, with a certificate of the lab's own."""
    DNS = "dns"
    """NSD, with a zone of the lab's own."""
    IPERF3 = "iperf3"
    NONE = "none"


class Client(Model):
    name: Name
    addresses: Annotated[list[Interface], Field(min_length=1)]
    """With prefix length: `198.51.100.2/24`. The router takes the first address of each network."""


class Bystander(Model):
    """A node of the lab's network that runs nothing of ours (a proxy to compare with, say)."""

    name: Name
    addresses: Annotated[list[Address], Field(min_length=1)]


class Network(Model):
    ipv4: IPv4Network | None = None
    ipv6: IPv6Network | None = None


class Router(Model):
    """A second router between the first and one node, with a link of its own between the two."""

    name: Name
    node: Name
    """The client or host behind it."""
    network: Network = Network()
    """A host's, outside the lab's network. Clients bring theirs."""
    mtu: Annotated[int, Field(ge=1280, le=9000)] = 1500
    """Of the link between the routers, bytes."""
    delay_ms: Annotated[float, Field(ge=0, le=1000)] = 0
    """Each way on that link: twice that is added to the round trip."""


class Lab(Model):
    """What `pointsman lab` needs besides the site: clients, and the network that joins all."""

    network: Network
    """Holds every unit, host and bystander; the router takes its last usable IPv4 address and,
    of IPv6, the network's address with ffff in its last 16 bits."""
    mtu: Annotated[int, Field(ge=1280, le=9000)] = 1500
    """Of every cable but those that `routers` names, bytes."""
    queues: Annotated[int, Field(ge=1, le=64)] = 1
    """Of every interface, each way."""
    clients: Annotated[list[Client], Field(min_length=1)]
    bystanders: list[Bystander] = []
    routers: list[Router] = []
    gateways: dict[Name, Name] = {}
    """Host to the unit that is its default gateway instead of the router."""
    application: Application = Application.NGINX
    """For services that `applications` does not name."""
    applications: dict[Name, Application] = {}
    """By service."""


class Site(Model):
    cluster: Cluster
    tunnel: Tunnel = Tunnel()
    timeouts: Timeouts = Timeouts()
    units: Annotated[list[Unit], Field(min_length=1)]
    hosts: Annotated[list[Host], Field(min_length=1)]
    pools: Annotated[list[Pool], Field(min_length=1)]
    services: Annotated[list[Service], Field(min_length=1)]
    other_ports: OtherPorts = OtherPorts.DROP
    lab: Lab | None = None

    @property
    def versions(self) -> set[int]:
        """The IP versions that services have addresses of."""
        return {address.version for service in self.services for address in service.addresses}
