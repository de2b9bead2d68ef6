"""Values that know where they stood: the same values as the parser's, and the bytes that they take up."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purevirt.errors import RemoteProtocolError
from purevirt.wire import sxp
from purevirt.wire.sxp.places import Placed, PlacedList, PlacedText, parse_placed

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\x04"), max_size=8)
VALUES: st.SearchStrategy[sxp.Value] = st.recursive(
    TEXTS, lambda inner: st.lists(inner, max_size=4), max_leaves=12
)


def all_within(value: sxp.Node) -> list[Placed]:
    assert isinstance(value, (PlacedText, PlacedList))
    found: list[Placed] = [value]
    for one in value if isinstance(value, PlacedList) else ():
        found += all_within(one)
    return found


def test_each_value_has_the_bytes_that_it_takes_up() -> None:
    data = b"# no\n(vm (name 'a b') x\n ())  atom"
    values, comments = parse_placed(data)
    assert comments == 1
    assert values == [["vm", ["name", "a b"], "x", []], "atom"]
    places = [data[one.start : one.end] for value in values for one in all_within(value)]
    assert places == [
        b"(vm (name 'a b') x\n ())", b"vm", b"(name 'a b')", b"name", b"'a b'", b"x", b"()", b"atom",
    ]  # fmt: skip


@given(st.lists(VALUES, max_size=4))
def test_what_a_value_takes_up_is_that_value_again(values: list[sxp.Value]) -> None:
    data = " # (\n".join(map(sxp.text, values)).encode()
    found, comments = parse_placed(data)
    assert found == sxp.parse(data)
    assert comments == max(len(values) - 1, 0)
    for value in found:
        for one in all_within(value):
            assert sxp.parse_one(data[one.start : one.end]) == one


@given(st.binary(max_size=30) | st.text("()'\"\\\\x0a# \x04\n;{", max_size=30).map(str.encode))
def test_whatever_the_bytes_it_is_the_parser_s_word(data: bytes) -> None:
    expected: list[sxp.Node] | None = None
    with contextlib.suppress(RemoteProtocolError):
        expected = sxp.parse(data)
    if expected is None:
        with pytest.raises(RemoteProtocolError):
            parse_placed(data)
    else:
        assert parse_placed(data)[0] == expected
