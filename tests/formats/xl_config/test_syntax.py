"""The grammar: every text comes back, values are what they say, and errors say where."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purevirt.errors import ConfigError
from purevirt.formats.xl_config import spelling
from purevirt.formats.xl_config.editing import edited
from purevirt.formats.xl_config.spelling import Plain
from purevirt.formats.xl_config.syntax import MAX_NESTING, Atom, read

STRINGS = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=8)
VALUES: st.SearchStrategy[Plain] = st.recursive(
    st.integers(-(2**40), 2**40) | STRINGS, lambda inner: st.lists(inner, max_size=4).map(tuple), max_leaves=8
)
NAMES = st.from_regex(r"[a-z][a-z0-9_.]{0,4}", fullmatch=True)
GAPS = st.sampled_from(["", " ", "\n", "\n\n", " # it's \"here\n", "#\n", "\n\t", "; ", ";;\n", "\r\n"])
BLANKS = st.sampled_from(["", " ", "\t "])
LIST_GAPS = st.sampled_from(["", " ", "\n", " # ] , '\n", "\n  "])


@st.composite
def spelled(draw: st.DrawFn, value: Plain) -> str:
    """A value, spelled in one of the ways there are."""
    if isinstance(value, tuple):
        text = "[" + draw(LIST_GAPS)
        for index, item in enumerate(value):
            text += draw(spelled(item)) + draw(LIST_GAPS)
            if index < len(value) - 1 or draw(st.booleans()):
                text += "," + draw(LIST_GAPS)
        return text + "]"
    if isinstance(value, int) and value >= 0:
        return draw(st.sampled_from([str(value), f"{value:#x}", f"0{value:o}"]))
    return spelling.atom(value, draw(st.sampled_from("\"'")))


@st.composite
def files(draw: st.DrawFn) -> tuple[str, dict[str, Plain]]:
    """A text, and the values in it."""
    settings = draw(st.lists(st.tuples(NAMES, VALUES), max_size=5))
    text = draw(GAPS)
    for name, value in settings:
        text += f"{name}{draw(BLANKS)}={draw(BLANKS)}{draw(spelled(value))}{draw(BLANKS)}"
        text += draw(st.sampled_from(["\n", ";", " # c\n", ";\n"])) + draw(GAPS)
    return text, dict(settings)


@given(files())
def test_every_text_comes_back_and_says_what_it_says(made: tuple[str, dict[str, Plain]]) -> None:
    text, values = made
    syntax = read(text)
    assert syntax.text == text
    found = syntax.values()
    assert set(found) == set(values)
    assert all(spelling.same(found[name], value) for name, value in values.items())


@given(files(), st.dictionaries(NAMES, st.none() | VALUES, max_size=4), st.data())
def test_settings_can_be_given_any_value(
    made: tuple[str, dict[str, Plain]], changes: dict[str, Plain | None], data: st.DataObject
) -> None:
    text, values = made
    for name in values:
        if data.draw(st.booleans()):
            changes[name] = data.draw(st.none() | VALUES)
    after = {name: tuple(values) for name in changes}
    wanted = {name: value for name, value in {**values, **changes}.items() if value is not None}
    found = edited(read(text), changes, after=after).values()
    assert set(found) == set(wanted)
    assert all(spelling.same(found[name], value) for name, value in wanted.items())


@given(st.lists(STRINGS, max_size=6), st.lists(STRINGS, max_size=6), st.data())
def test_items_of_a_list_can_come_and_go(old: list[str], new: list[str], data: st.DataObject) -> None:
    text = f"disk = {data.draw(spelled(tuple(old)))} # all\n"
    new = data.draw(st.permutations([*old, *new]))[: len(new) + 1] if data.draw(st.booleans()) else new
    syntax = edited(read(text), {"disk": tuple(new)})
    assert spelling.plain(syntax.values()["disk"]) == tuple(new)
    assert syntax.text.endswith(" # all\n")


def test_the_last_setting_counts_and_additions_are_added() -> None:
    syntax = read("a = 1\nb = [ 1 ]\na = 2\nb += [ 'x' ]\nc += 'y'\nc += \"z\"\n")
    assert {name: spelling.plain(value) for name, value in syntax.values().items()} == {
        "a": "2",
        "b": ("1", "x"),
        "c": "yz",
    }
    assert syntax.notes == ((3, 1, "a is set again: the last one counts"),)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("16", 16),
        ("0x10", 16),
        ("020", 16),
        ("'16'", 16),
        ("'-0x10'", -16),
        ("' 7'", 7),
        ("00", 0),
        ("08", None),
        ("1a", None),
        ("''", None),
        ("'1_0'", None),
        ("'0x'", None),
        ("'٣'", None),
    ],
)
def test_numbers_are_c_s(text: str, number: int | None) -> None:
    value = read(f"a = {text}\n").values()["a"]
    assert isinstance(value, Atom)
    assert spelling.number(value) == number


@pytest.mark.parametrize(
    ("text", "place", "expected"),
    [
        ("a = 'b", (1, 5), "the string that begins here has no closing ' on its line"),
        ("x = 1\n  a = [ 1,\n 'b'\n", (2, 7), "the list that begins here has no closing ]"),
        ("a = [ 1 2 ]", (1, 9), "expected , or ] in the list of line 1, found '2'"),
        ("a = [ 1,, 2 ]", (1, 9), "expected a value between two commas, found ,"),
        ("a = 1 ]", (1, 7), "expected the end of the line or ; after the value of a, found ']'"),
        ("a = b", (1, 5), "expected a value for a, found 'b': strings need quotes"),
        ("a =\n1", (1, 4), "expected a value for a: a string in quotes, a number, or a list"),
        ("a = -1", (1, 5), "expected a number that is not negative"),
        ("a = 0xFF", (1, 7), "expected the end of the line"),
        ("Name = 1", (1, 1), "expected NAME = VALUE, found 'Name': names are in small letters"),
        ("import os", (1, 7), "expected = or += after 'import'"),
        (r"a = 'b\qc'", (1, 7), r"\q is no escape"),
        (r"a = [ '\x41' ]", (1, 8), r"xl does not read the numeric escape \x…"),
        ("a = [ 1 ]\na += 2", (2, 1), "a += adds a number to what is none"),
        ("a = 1\nb = '\0'", (2, 6), "there is a NUL character"),
        ("a = " + "[" * (MAX_NESTING + 1), (1, 5 + MAX_NESTING), f"lists nest deeper than {MAX_NESTING}"),
    ],
)
def test_errors_say_where_and_what_was_expected(text: str, place: tuple[int, int], expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(text, file="a.cfg")
    assert (caught.value.line, caught.value.column) == place
    assert caught.value.message.startswith(f"a.cfg:{place[0]}:{place[1]}: {expected}")


@given(st.text(st.sampled_from("ab=+[]'\"\\#;,\n 01x"), max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(ConfigError):
        assert read(text).text == text


def test_carriage_returns_are_read_and_noted() -> None:
    syntax = read("a = 1\r\nb = [ 1,\r\n 2 ]\r\n")
    assert spelling.plain(syntax.values()["b"]) == ("1", "2")
    assert [note.text for note in syntax.notes] == ["xl refuses carriage returns: end lines with \\n alone"]
