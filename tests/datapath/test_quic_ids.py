"""The model's connection ids against the draft's own (appendix B), and there and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from quic_ids import Configuration, decode, encode

pytestmark = pytest.mark.datapath

KEY = bytes.fromhex("8f95f09245765f80256934e50c66207f")
# As printed, but for the first octets of the second and the last, which contradict the text.
VECTORS = [
    (0, "c4605e", "4504cc4f", None, "07c4605e4504cc4f"),
    (1, "350d28b420", "3487d970b0", None, "2a350d28b4203487d970b0"),
    (0, "ed793a", "ee080dbf", KEY, "0720b1d07b359d3c"),
    (1, "ed793a51d49b8f5fab65", "ee080dbf48", KEY, "2fcc381bc74cb4fbad2823a3d1f8fed2"),
    (2, "ed793a51d49b8f5f", "ee080dbf48c0d1e5", KEY, "504dd2d05a7b0de9b2b9907afb5ecf8cc3"),
    (3, "ed793a51d49b8f5fab", "ee080dbf48c0d1e55d", KEY, "725779c9cc86beb3a3a4a3ca96fce4bfe0cdbc"),
]


@pytest.mark.parametrize(("number", "server_id", "nonce", "key", "wanted"), VECTORS)
def test_vectors(number: int, server_id: str, nonce: str, key: bytes | None, wanted: str) -> None:
    server, once = bytes.fromhex(server_id), bytes.fromhex(nonce)
    configuration = Configuration(number, len(server), len(once), key)
    assert encode(configuration, server, once).hex() == wanted
    assert decode(configuration, bytes.fromhex(wanted)) == server


@given(
    st.data(),
    st.integers(1, 15),
    st.integers(4, 18),
    st.none() | st.binary(min_size=16, max_size=16),
)
def test_there_and_back(data: st.DataObject, server: int, nonce: int, key: bytes | None) -> None:
    nonce = min(nonce, 19 - server)
    configuration = Configuration(data.draw(st.integers(0, 6)), server, nonce, key)
    server_id = data.draw(st.binary(min_size=server, max_size=server))
    once = data.draw(st.binary(min_size=nonce, max_size=nonce))
    assert decode(configuration, encode(configuration, server_id, once)) == server_id
