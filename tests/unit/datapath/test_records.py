"""Generated structs: what goes in comes out, and nothing is padded or cut silently."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.datapath import abi
from pointsman.datapath.codecs import U32, Integer, Raw, Record, RecordCodec
from pointsman.datapath.reasons import REASONS, Reason, Where

RECORDS = [
    thing
    for name in abi.__all__
    if isinstance(thing := getattr(abi, name), type) and issubclass(thing, Record)
]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.__name__)
@given(data=st.data())
def test_record_survives_packing(record: type[Record], data: st.DataObject) -> None:
    # Large ones repeat a piece whose length divides nothing in them.
    piece = min(record.SIZE, 251)
    drawn = data.draw(st.binary(min_size=piece, max_size=piece))
    value = record.unpack((drawn * (record.SIZE // piece + 1))[: record.SIZE])
    packed = value.pack()
    assert len(packed) == record.SIZE
    assert record.unpack(packed) == value


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.__name__)
def test_record_of_another_size_is_refused(record: type[Record]) -> None:
    for size in (0, record.SIZE - 1, record.SIZE + 1):
        with pytest.raises(ValueError, match=f"{size} bytes given, {record.SIZE} wanted"):
            record.unpack(bytes(size))


def test_fields_lie_where_c_puts_them() -> None:
    key = abi.FlowKey4(b"\xc0\x00\x02\x01", b"\xcb\x00\x71\x0a", b"\xc0\x01", b"\x00\x50", 6)
    assert key.pack().hex() == "c0000201cb00710ac001005006000000"
    assert abi.Pool(first=1, deck=0x01020304).pack().hex() == "0100000004030201"


def test_hidden_fields_are_zero() -> None:
    notice = abi.Notice(version=1, kind=128, flow_id=b"\1" * 4, nonce=b"\2" * 8, tag=b"\3" * 8)
    assert notice.pack()[2:4] == b"\0\0"


def test_nested_structs_and_arrays_keep_their_order() -> None:
    count = abi.MATCH_CLASSES
    bits = tuple(abi.RuleBits(i, tuple(range(i, i + abi.RULE_WORDS))) for i in range(count))
    lengths = tuple(abi.TextLengths((i, i + 1)) for i in range(count))
    ruleset = abi.Ruleset(
        classes=5, rules=2, first_pool=3, flags=1, lengths=lengths, indifferent=bits
    )
    assert abi.Ruleset.unpack(ruleset.pack()) == ruleset
    assert ruleset.pack()[16:].startswith(lengths[0].pack() + lengths[1].pack())
    assert ruleset.pack().endswith(bits[-2].pack() + bits[-1].pack())


def test_rows_of_an_array_are_the_fields_in_order() -> None:
    notices = [abi.Notice(1, 128, bytes([i] * 4), bytes(8), b"\3" * 8) for i in range(3)]
    rows = list(abi.Notice.rows(b"".join(notice.pack() for notice in notices)))
    assert rows == [(n.version, n.kind, n.flow_id, n.nonce, n.tag) for n in notices]
    assert list(abi.Notice.rows(b"")) == []
    with pytest.raises(struct.error):
        abi.Notice.rows(bytes(abi.Notice.SIZE + 1))


@pytest.mark.parametrize(
    "wrong",
    [
        abi.FlowKey4(b"\1" * 3, b"\2" * 4, b"\0\1", b"\0\1", 6),
        abi.FlowKey4(b"\1" * 5, b"\2" * 4, b"\0\1", b"\0\1", 6),
        abi.Pool(first=-1, deck=0),
        abi.Pool(first=0, deck=1 << 32),
        abi.RuleBits(0, (0,) * (abi.RULE_WORDS - 1)),
        abi.Ruleset(0, 0, 0, 0, (), (abi.RuleBits(0, (0,) * abi.RULE_WORDS),) * abi.MATCH_CLASSES),
    ],
    ids=["short", "long", "negative", "too large", "few words", "few structs"],
)
def test_value_that_does_not_fit_is_refused(wrong: Record) -> None:
    with pytest.raises(ValueError, match=r"given, |out of range|format requires|pack expected"):
        wrong.pack()


@given(st.integers(0, 2**32 - 1))
def test_integers_are_little_endian(value: int) -> None:
    assert U32.unpack(U32.pack(value)) == value
    assert U32.pack(value)[0] == value & 0xFF


def test_integer_and_bytes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(OverflowError):
        Integer(4).pack(1 << 32)
    with pytest.raises(ValueError, match="3 bytes given, 4 wanted"):
        Raw(4).pack(b"abc")


def test_records_of_counters_are_summed_field_by_field() -> None:
    total = RecordCodec(abi.Traffic).add([abi.Traffic(1, 20, 300), abi.Traffic(4, 50, 600)])
    assert total == abi.Traffic(packets=5, bytes=70, connections=900)


def test_every_reason_is_described_once() -> None:
    assert list(REASONS) == list(Reason)
    assert len({info.text for info in REASONS.values() if info.where is Where.UNIT}) == sum(
        info.where is Where.UNIT for info in REASONS.values()
    )
    assert REASONS[Reason.NOT_OURS].name == "not_ours"
