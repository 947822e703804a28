"""Keys of the tables, from addresses as people write them."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.datapath.abi import Family
from pointsman.datapath.addresses import (
    address_of,
    family_of,
    flow_key4,
    flow_key6,
    in6_key,
    pack_port,
    port_of,
    service_key4,
    service_key6,
)

CLIENT4, VIP4 = IPv4Address("198.51.100.7"), IPv4Address("203.0.113.10")
CLIENT6, VIP6 = IPv6Address("2001:db8::7"), IPv6Address("2001:db8:1::10")


@given(st.ip_addresses())
def test_address_survives_packing(address: IPv4Address | IPv6Address) -> None:
    assert address_of(address.packed) == address
    assert family_of(address) == (Family.IPV4 if address.version == 4 else Family.IPV6)


@pytest.mark.parametrize("size", [0, 3, 5, 15, 17])
def test_bytes_of_no_address_are_refused(size: int) -> None:
    with pytest.raises(ValueError, match="is not permitted as an IPv6 address"):
        address_of(bytes(size))


@given(st.integers(0, 65535))
def test_port_survives_packing(port: int) -> None:
    assert port_of(pack_port(port)) == port
    assert pack_port(port) == bytes([port >> 8, port & 0xFF])


@pytest.mark.parametrize("port", [-1, 65536])
def test_no_port_is_refused(port: int) -> None:
    with pytest.raises(OverflowError):
        pack_port(port)


def test_keys_read_as_the_packet_does() -> None:
    flow4 = flow_key4(CLIENT4, 4001, VIP4, 80, 6)
    assert flow4.pack() == CLIENT4.packed + VIP4.packed + b"\x0f\xa1\x00\x50\6\0\0\0"
    flow6 = flow_key6(CLIENT6, 4001, VIP6, 80, 17)
    assert flow6.pack() == CLIENT6.packed + VIP6.packed + b"\x0f\xa1\x00\x50\x11\0\0\0"
    assert service_key4(VIP4, 443, 6).pack() == VIP4.packed + b"\x01\xbb\x06\x00"
    assert service_key6(VIP6, 0, 6).pack() == VIP6.packed + b"\x00\x00\x06\x00"
    assert in6_key(VIP6).pack() == VIP6.packed
