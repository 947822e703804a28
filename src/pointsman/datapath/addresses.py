"""Addresses and four-tuples between `ipaddress` and the network-order bytes in the maps."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

from pointsman.datapath.abi import (
    Family,
    FlowKey4,
    FlowKey6,
    In6Key,
    RangeKey4,
    RangeKey6,
    ServiceKey4,
    ServiceKey6,
)

__all__ = [
    "Address",
    "address_of",
    "family_of",
    "flow_key4",
    "flow_key6",
    "in6_key",
    "pack_port",
    "port_of",
    "range_key4",
    "range_key6",
    "service_key4",
    "service_key6",
]

IPV4_BYTES = 4

Address = IPv4Address | IPv6Address


def family_of(address: Address) -> Family:
    """Which half of the tables an address belongs to."""
    return Family.IPV4 if isinstance(address, IPv4Address) else Family.IPV6


def address_of(packed: bytes) -> Address:
    """The address in 4 or 16 bytes; ValueError for any other number."""
    return IPv4Address(packed) if len(packed) == IPV4_BYTES else IPv6Address(packed)


def pack_port(port: int) -> bytes:
    """A port as it lies in a packet; OverflowError outside 0 to 65535."""
    return port.to_bytes(2, "big")


def port_of(packed: bytes) -> int:
    """The port in 2 bytes."""
    return int.from_bytes(packed, "big")


def flow_key4(
    source: IPv4Address, source_port: int, to: IPv4Address, to_port: int, protocol: int
) -> FlowKey4:
    """The key of a client's connection in flows4; ports 0 for a protocol without."""
    return FlowKey4(source.packed, to.packed, pack_port(source_port), pack_port(to_port), protocol)


def flow_key6(
    source: IPv6Address, source_port: int, to: IPv6Address, to_port: int, protocol: int
) -> FlowKey6:
    """The key of a client's connection in flows6; ports 0 for a protocol without."""
    return FlowKey6(source.packed, to.packed, pack_port(source_port), pack_port(to_port), protocol)


def service_key4(address: IPv4Address, port: int, protocol: int) -> ServiceKey4:
    """The key of a service in services4; port and protocol 0 mark the address as a VIP."""
    return ServiceKey4(address.packed, pack_port(port), protocol)


def service_key6(address: IPv6Address, port: int, protocol: int) -> ServiceKey6:
    """The key of a service in services6; port and protocol 0 mark the address as a VIP."""
    return ServiceKey6(address.packed, pack_port(port), protocol)


def range_key4(address: IPv4Address, port: int, protocol: int, bits: int) -> RangeKey4:
    """The key in ranges4 of all ports whose first `bits` bits are this port's."""
    before = 8 * len(address.packed) + 2 * 8
    return RangeKey4(before + bits, address.packed, protocol, 0, pack_port(port))


def range_key6(address: IPv6Address, port: int, protocol: int, bits: int) -> RangeKey6:
    """The key in ranges6 of all ports whose first `bits` bits are this port's."""
    before = 8 * len(address.packed) + 2 * 8
    return RangeKey6(before + bits, address.packed, protocol, 0, pack_port(port))


def in6_key(address: IPv6Address) -> In6Key:
    """The key of an address in host_numbers6 and tunnels6; their IPv4 twins take packed bytes."""
    return In6Key(address.packed)
