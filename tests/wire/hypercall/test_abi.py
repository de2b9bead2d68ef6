"""C structs as data: offsets by the rule of 64-bit ABIs, and bytes both ways."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purevirt.wire.hypercall.abi import CStruct, Field, Shape, text, u8, u16, u32, u64
from purevirt.wire.hypercall.structs import STRUCTS
from purevirt.wire.hypercall.versions import RELEASES

ROW = RELEASES[0]


def test_a_field_begins_at_a_multiple_of_its_size() -> None:
    shape = Shape([u8("a"), u32("b"), u8("c"), u64("d"), u16("e")], 0)
    assert shape.offsets == {"a": (0, 1), "b": (4, 4), "c": (8, 1), "d": (16, 8), "e": (24, 2)}
    assert shape.size == 32


def test_a_field_exists_from_its_version_on_and_on_its_architecture() -> None:
    table = CStruct("t", u32("a"), u32("b", since=0x14), u8("x", arch="arm64"), interface="domctl")
    assert set(table.at(ROW).offsets) == {"a"}
    assert set(table.at(ROW._replace(domctl=0x14, arch="arm64")).offsets) == {"a", "b", "x"}


def test_what_is_not_given_is_zero_and_padding_always_is() -> None:
    shape = Shape([u8("a"), u32("b"), Field("", "H", 3), u64("c")], 0)
    assert shape.pack(b=0x01020304) == bytes.fromhex("00000000 04030201 00000000 00000000 0000000000000000")


def test_an_unknown_field_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(TypeError, match="no such field: q"):
        Shape([u8("a")], 0).pack(q=1)
    with pytest.raises(ValueError, match="a does not stand after"):
        Shape([u8("a"), u8("b")], 0).reader(("b", "a"))


def test_a_reader_walks_an_array_by_the_whole_structs_size() -> None:
    shape = Shape([u32("a"), text("name", 5), u64("b"), u32("more", 2)], 0)
    data = shape.pack(a=1, b=2, name=b"abc") + shape.pack(a=3, b=4, more=(8, 9))
    assert list(shape.reader(("a", "b")).iter_unpack(data)) == [(1, 2), (3, 4)]
    assert shape.unpack(data, shape.size) == {"a": 3, "name": bytes(5), "b": 4, "more": (8, 9)}


def values(shape: Shape, table: CStruct) -> st.SearchStrategy[dict[str, Any]]:
    limits = {"B": 0xFF, "H": 0xFFFF, "I": 0xFFFFFFFF, "Q": (1 << 64) - 1}
    strategies: dict[str, st.SearchStrategy[Any]] = {}
    for field in table.fields:
        if field.name not in shape.offsets:
            continue
        if field.code == "s":
            strategies[field.name] = st.binary(min_size=field.length, max_size=field.length)
            continue
        numbers = (
            st.integers(-(1 << 31), (1 << 31) - 1)
            if field.code == "i"
            else st.integers(0, limits[field.code])
        )
        strategies[field.name] = (
            numbers if field.length == 1 else st.tuples(*[numbers for _ in range(field.length)])
        )
    return st.fixed_dictionaries(strategies)


@pytest.mark.parametrize("name", STRUCTS)
@given(data=st.data(), row=st.sampled_from(RELEASES))
def test_what_is_packed_is_unpacked(name: str, data: st.DataObject, row: Any) -> None:
    shape = STRUCTS[name].at(row)
    given_values = data.draw(values(shape, STRUCTS[name]))
    packed = shape.pack(**given_values)
    assert len(packed) == shape.size
    assert shape.unpack(packed) == given_values


@given(st.binary(max_size=200))
def test_unpacking_too_little_is_the_one_error(data: bytes) -> None:
    shape = STRUCTS["xen_sysctl_physinfo"].at(RELEASES[-1])
    if len(data) < shape.size:
        with pytest.raises(struct.error):
            shape.unpack(data)
    else:
        shape.unpack(data)
