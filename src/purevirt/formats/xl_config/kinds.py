"""Kinds of values of an xl.cfg: how a number of MiB, a switch, one word of several is read and written.

A `Kind` is a pair of functions. `read` takes a reader, the setting's name and its value, and gives the model's value,
or raises ConfigError; None says "as if nothing were said" (a word like "default"). `write` gives what is to be written,
or None where the format cannot say it, which is then carried.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from uuid import UUID

from purevirt._typing import Any, NamedTuple
from purevirt.formats.xl_config.reading import Reader
from purevirt.formats.xl_config.spelling import Plain, number
from purevirt.formats.xl_config.syntax import Items, Value

__all__ = [
    "FLAG", "INVERTED", "LIST", "LIST_OR_ONE", "LIST_OR_WORDS", "MIB", "NUMBER", "NUMBERS", "SIGNED", "TEXT", "UUIDS",
    "Kind", "listed", "mebibytes", "mib_between", "sayable", "text_or", "word", "words",
]  # fmt: skip


class Kind(NamedTuple):
    """How a value is read, and how it is written."""

    read: Callable[[Reader, str, Value], Any]
    write: Callable[[Any], Plain | None]


def sayable(text: str) -> bool:
    """Whether a file can hold a string at all."""
    return "\0" not in text


def _text(reader: Reader, name: str, found: Value) -> str:
    return reader.as_atom(name, found).value


def _write_text(text: str) -> str | None:
    return text if sayable(text) else None


def _number(reader: Reader, name: str, found: Value) -> int:
    return reader.as_number(name, found)


def _write_number(value: int) -> int | None:
    return value if value >= 0 else None


def _signed(reader: Reader, name: str, found: Value) -> int:
    return reader.as_number(name, found, signed=True)


def _flag(reader: Reader, name: str, found: Value) -> bool:
    return reader.as_number(name, found) != 0


def _inverted(reader: Reader, name: str, found: Value) -> bool:
    return reader.as_number(name, found) == 0


def mebibytes(kib: int) -> int:
    """As many MiB as hold so many KiB."""
    return -(-kib // 1024)


def _mib(reader: Reader, name: str, found: Value) -> int:
    return reader.as_number(name, found) * 1024


def _uuid(reader: Reader, name: str, found: Value) -> UUID:
    text = reader.as_atom(name, found).value
    try:
        made = UUID(text)
    except ValueError:
        made = None
    if made is None or len(text) != 36 or str(made) != text.lower():
        reader.fail(
            f"{name}: expected a UUID like 01234567-89ab-cdef-0123-456789abcdef, found {text!r}", found
        )
    return made


def listed(items: tuple[str, ...]) -> tuple[Plain, ...] | None:
    """A list of strings, if there are any and a file can hold them."""
    return tuple(items) if items and all(map(sayable, items)) else None


def _list(reader: Reader, name: str, found: Value) -> tuple[str, ...]:
    return tuple(item.value for item in reader.atoms(name, found))


def _list_or_one(reader: Reader, name: str, found: Value) -> tuple[str, ...]:
    if isinstance(found, Items):
        return _list(reader, name, found)
    return (found.value,) if found.value else ()


def _list_or_words(reader: Reader, name: str, found: Value) -> tuple[str, ...]:
    return _list(reader, name, found) if isinstance(found, Items) else tuple(found.value.split())


def _numbers(reader: Reader, name: str, found: Value) -> tuple[int, ...]:
    return tuple(reader.as_number(name, item) for item in reader.atoms(name, found))


TEXT = Kind(_text, _write_text)
NUMBER = Kind(_number, _write_number)
SIGNED = Kind(_signed, lambda value: value)
FLAG = Kind(_flag, lambda value: 1 if value else 0)
INVERTED = Kind(_inverted, lambda value: 0 if value else 1)
"""A switch that says the opposite of the model's."""
MIB = Kind(_mib, lambda kib: mebibytes(kib) if kib >= 0 else None)
"""KiB in the model; whole MiB in the file, rounded up."""


def mib_between(least: int, most: int) -> Kind:
    """As MIB, within bounds that xl keeps."""

    def read(reader: Reader, name: str, found: Value) -> int:
        mib = reader.as_number(name, found)
        if not least <= mib <= most:
            reader.fail(f"{name}: expected {least} to {most} MiB, found {mib}", found)
        return mib * 1024

    return Kind(read, lambda kib: mebibytes(kib) if least <= mebibytes(kib) <= most else None)


UUIDS = Kind(_uuid, str)
LIST = Kind(_list, listed)
LIST_OR_ONE = Kind(_list_or_one, listed)
"""A list, or one string alone."""
LIST_OR_WORDS = Kind(_list_or_words, listed)
"""A list, or a string that is split into words."""
NUMBERS = Kind(_numbers, lambda items: tuple(items) if items and min(items) >= 0 else None)


def word(
    kind: type[Enum],
    *,
    numbered: tuple[Enum, ...] = (),
    silent: tuple[str, ...] = (),
    also: Mapping[str, Enum] | None = None,
) -> Kind:
    """One of an enum's values. `numbered` are those that old files say by number, `silent` words that say nothing,
    `also` other words."""
    members: dict[str, Enum | None] = {member.value: member for member in kind}
    expected = ", ".join([*members, *silent])
    members.update(also or {})
    members.update(dict.fromkeys(silent))

    def read(reader: Reader, name: str, found: Value) -> Enum | None:
        item = reader.as_atom(name, found)
        if item.value in members:
            return members[item.value]
        index = number(item) if numbered else None
        if index is not None and 0 <= index < len(numbered):
            return numbered[index]
        if item.value.lower() not in members:
            reader.fail(f"{name}: expected one of {expected}, found {item.value!r}", item)
        return members[item.value.lower()]

    return Kind(read, lambda member: member.value)


def words(*known: str, silent: tuple[str, ...] = ()) -> Kind:
    """One of several words, which the model has as text; `silent` are those that say nothing."""

    def read(reader: Reader, name: str, found: Value) -> str | None:
        item = reader.as_atom(name, found)
        lower = item.value.lower()
        if lower in silent:
            return None
        if lower not in known:
            reader.fail(f"{name}: expected one of {', '.join([*known, *silent])}, found {item.value!r}", item)
        return lower

    return Kind(read, lambda text: text if text in known else None)


def text_or(*silent: str) -> Kind:
    """Any text; `silent` are words that say nothing."""

    def read(reader: Reader, name: str, found: Value) -> str | None:
        text = reader.as_atom(name, found).value
        return None if text in silent else text

    return Kind(read, lambda text: text if text not in silent and sayable(text) else None)
