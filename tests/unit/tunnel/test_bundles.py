"""What a bundle leaves of a packet's room, and the key of its tag."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.config.model import Tunnel
from pointsman.datapath import abi
from pointsman.tunnel import bundles
from pointsman.tunnel.bundles import MAX_MSS, advertised_mss, bundle_room
from pointsman.tunnel.keys import tag_key

VERSIONS = pytest.mark.parametrize("version", [4, 6])


def test_header_is_the_packet_programs() -> None:
    assert bundles.BUNDLE_HEADER == abi.Bundle.SIZE


@pytest.mark.parametrize(
    ("version", "mtu", "mss"),
    [
        (4, 1500, 1500 - (20 + 8 + 24) - 20 - 20),
        (6, 1500, 1500 - (40 + 8 + 24) - 40 - 20),
        (4, 1280, 1188),
        (6, 1280, 1148),
        (4, 1552, 1460),
        (4, 9000, 1460),
        (6, 9000, 1440),
    ],
)
def test_advertised_mss(version: int, mtu: int, mss: int) -> None:
    assert advertised_mss(version, mtu) == mss


@VERSIONS
@given(mtu=st.integers(1280, 9000))
def test_a_full_first_segment_fits_into_a_bundle(version: int, mtu: int) -> None:
    headers = {4: 20, 6: 40}[version] + 20
    mss = advertised_mss(version, mtu)
    assert 1000 < mss <= MAX_MSS[version]
    assert bundle_room(version) + headers + mss <= mtu


@VERSIONS
def test_default_mtu_is_ethernets(version: int) -> None:
    assert advertised_mss(version, Tunnel().mtu) == MAX_MSS[version] - bundle_room(version)


def test_tag_key_is_known_to_every_version() -> None:
    assert tag_key(bytes(range(16))).hex() == "9414e948b4ad23f104d007c22eb3fb53"
    assert tag_key(bytes(16)) != tag_key(bytes(range(16)))
    assert len(tag_key(bytes(16))) == abi.SiphashKey.SIZE
