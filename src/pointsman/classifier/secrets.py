"""Secrets of the SYN cookies (R-E1), equal on all units without a word between them.

A secret is derived from the cluster's key and the number of its epoch, which wall clocks agree on;
so a handshake that one unit began may end at another, when ECMP moves a client. A cookie is good
for the rest of its epoch and the whole next one: 2 to 4 minutes.
"""

from __future__ import annotations

from hashlib import blake2b

__all__ = ["EPOCH_S", "SLOTS", "cookie_secret", "epoch_at", "live_epochs", "next_epoch_s"]

EPOCH_S = 128
SLOTS = 4
"""SECRET_SLOTS of the packet programs: an epoch's secret stands in slot epoch % SLOTS."""


def cookie_secret(cluster_key: bytes, epoch: int) -> bytes:
    """The 16-byte SipHash key of one epoch."""
    return blake2b(
        epoch.to_bytes(8, "little"), digest_size=16, key=cluster_key, person=b"pointsman cookie"
    ).digest()


def epoch_at(wall_s: float) -> int:
    """The epoch at a Unix time, seconds."""
    return int(wall_s // EPOCH_S)


def live_epochs(epoch: int) -> range:
    """Epochs whose cookies are honoured in `epoch`: another unit's clock may be ahead."""
    return range(epoch - 1, epoch + 2)


def next_epoch_s(wall_s: float) -> float:
    """Seconds from a Unix time to the next epoch."""
    return EPOCH_S - wall_s % EPOCH_S
