"""Small readers of JSON values, to be put together into tables (`xend_json` has one).

A reader takes what `json.loads` made and returns the strict value, or raises `Unfit`, whose message says where in the
document, and what is wrong there. Nothing else is ever raised, whatever the document holds.
"""

from __future__ import annotations

import enum
from collections.abc import Callable

from purevirt._typing import Any
from purevirt.model.domain import uuid_of

__all__ = [
    "Reader",
    "Unfit",
    "flag",
    "handle",
    "integer",
    "many",
    "nothing",
    "number",
    "one_of",
    "optional",
    "pair",
    "record",
    "row",
    "shown",
    "text",
    "uuid",
]

Reader = Callable[[object], Any]


class Unfit(Exception):
    """A value is not what the table says; the message says where."""


def integer(value: object) -> int:
    if type(value) is not int:
        raise Unfit(f"{shown(value)} is not an integer")
    return value


def number(value: object) -> float:
    if type(value) not in (int, float):
        raise Unfit(f"{shown(value)} is not a number")
    assert isinstance(value, (int, float))
    try:
        return float(value)
    except OverflowError:
        raise Unfit(f"{shown(value)} is too large") from None


def text(value: object) -> str:
    if not isinstance(value, str):
        raise Unfit(f"{shown(value)} is not text")
    return value


def flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise Unfit(f"{shown(value)} is neither true nor false")
    return value


def handle(value: object) -> bytes:
    """The 16 bytes of a UUID."""
    digits = text(value).replace("-", "")
    try:
        found = bytes.fromhex(digits) if len(digits) == 32 else b""
    except ValueError:
        found = b""
    if len(found) != 16:
        raise Unfit(f"{shown(value)} is not a UUID")
    return found


def uuid(value: object) -> object:
    return uuid_of(handle(value))


def optional(read: Reader) -> Reader:
    """The same, or null."""
    return lambda value: None if value is None else read(value)


def many(read: Reader, make: Callable[[list[Any]], object] = list) -> Reader:
    """A list of them."""

    def read_all(value: object) -> object:
        if not isinstance(value, list):
            raise Unfit(f"{shown(value)} is not a list")
        return make([read(item) for item in value])

    return read_all


def row(read: Reader) -> Reader:
    """A list, as a tuple."""
    return many(read, tuple)


def pair(first: Reader, second: Reader) -> Reader:
    """A list of two, as a tuple."""

    def read(value: object) -> object:
        if not isinstance(value, list) or len(value) != 2:
            raise Unfit(f"{shown(value)} is not a list of two")
        return first(value[0]), second(value[1])

    return read


def one_of(kind: type[enum.Enum]) -> Reader:
    """A member of an enum, by its name in lower case."""
    known = {member.name.lower(): member for member in kind}

    def read(value: object) -> object:
        found = known.get(value) if isinstance(value, str) else None
        if found is None:
            raise Unfit(f"{shown(value)} is none of {', '.join(known)}")
        return found

    return read


def record(make: Any, **fields: Reader) -> Reader:
    """A named tuple: `make`'s class, and how each of its fields is read."""
    assert tuple(fields) == make._fields, f"{make.__name__}: {tuple(fields)} are not its fields"
    defaults = make._field_defaults

    def read(value: object) -> object:
        if not isinstance(value, dict):
            raise Unfit(f"{shown(value)} is not an object")
        values = []
        for name, field in fields.items():
            key = "uuid" if name == "handle" else name
            if key in value:
                try:
                    values.append(field(value[key]))
                except Unfit as unfit:
                    raise Unfit(f"{key}: {unfit}") from None
            elif name in defaults:
                values.append(defaults[name])
            else:
                raise Unfit(f"{key} is missing")
        return make(*values)

    return read


def nothing(value: object) -> None:
    if value is not None:
        raise Unfit(f"{shown(value)} is not null")


def shown(value: object) -> str:
    """A value in a message: not much of it."""
    if isinstance(value, str):
        return repr(value if len(value) <= 60 else value[:57] + "...")
    if isinstance(value, (list, dict)):
        return f"a {type(value).__name__} of {len(value)}"
    written = "null" if value is None else repr(value)
    return written if len(written) <= 60 else written[:57] + "..."
