"""Cookie secrets: the same on every unit, another in every epoch, never overwritten in use."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pointsman.classifier.secrets import (
    EPOCH_S,
    SLOTS,
    cookie_secret,
    epoch_at,
    live_epochs,
    next_epoch_s,
)
from pointsman.datapath import abi
from pointsman.tunnel.keys import tag_key

KEY = bytes(range(16))
TIMES = st.integers(0, 2**36).map(lambda eighths: eighths / 8)
"""Sums of which are exact."""


def test_a_secret_is_known_to_every_version() -> None:
    """Units of two versions run side by side during an upgrade."""
    assert cookie_secret(KEY, 13_671_875).hex() == "300ed6a8bf64042e0519ad2bff74a8b8"


def test_secrets_differ_by_epoch_and_key_and_from_the_tag() -> None:
    secrets = {cookie_secret(key, epoch) for key in (KEY, bytes(16)) for epoch in range(100)}
    assert len(secrets | {tag_key(KEY), tag_key(bytes(16))}) == 202
    assert {len(secret) for secret in secrets} == {abi.SiphashKey.SIZE}


def test_slots_are_the_packet_programs() -> None:
    assert SLOTS == abi.SECRET_SLOTS


@given(epoch=st.integers(1, 2**40))
def test_live_secrets_have_a_slot_each_and_one_is_spare(epoch: int) -> None:
    """So that nobody reads a slot while the next epoch's secret is written into it."""
    slots = [live % SLOTS for live in live_epochs(epoch)]
    assert len(set(slots)) == len(slots) < SLOTS
    (new,) = set(live_epochs(epoch + 1)) - set(live_epochs(epoch))
    assert new % SLOTS not in slots


@given(wall_s=TIMES)
def test_a_cookie_lives_for_its_epoch_and_the_next(wall_s: float) -> None:
    epoch = epoch_at(wall_s)
    assert epoch in live_epochs(epoch_at(wall_s + EPOCH_S))
    assert epoch not in live_epochs(epoch_at(wall_s + 2 * EPOCH_S))


@given(wall_s=TIMES)
def test_a_clock_that_is_ahead_by_less_than_an_epoch_is_understood(wall_s: float) -> None:
    assert epoch_at(wall_s + EPOCH_S - 1) in live_epochs(epoch_at(wall_s))


@given(wall_s=TIMES)
def test_next_epoch_begins_when_it_is_said(wall_s: float) -> None:
    wait_s = next_epoch_s(wall_s)
    assert 0 < wait_s <= EPOCH_S
    assert epoch_at(wall_s + wait_s) == epoch_at(wall_s) + 1
