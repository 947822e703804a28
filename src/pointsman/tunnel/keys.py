"""The key under which bundles and notices are tagged (docs/wire/bundle.md)."""

from __future__ import annotations

from hashlib import blake2b

__all__ = ["tag_key"]


def tag_key(cluster_key: bytes) -> bytes:
    """The 16-byte SipHash key, derived from the cluster's."""
    return blake2b(digest_size=16, key=cluster_key, person=b"pointsman tag").digest()
