"""What a format cannot say of a description, kept in it all the same: lines that its own programs pass over.

After a writer has written what it can, the result is read again, and whatever is not as it was wanted is carried, a
line for each value:

    PATH = JSON                         the format says nothing of it
    PATH = JSON instead of JSON         it says the second (a size rounded, say)

Where the lines stand is the format's business. A carried value holds only while the format itself still says what it
said when the line was written: whoever edits the file by hand is right. So nothing has to be declared about what a
format lacks, and the report of a conversion is what really was not said.

A value is JSON: records are objects without their defaults, enums the names of their members in lower case. A line has
no apostrophe in it and no letter that cannot be printed (they are escaped), so that any file can quote it.
"""

from __future__ import annotations

import json
import typing
from collections.abc import Iterable
from enum import Enum
from functools import cache
from types import UnionType
from uuid import UUID

import purevirt.model.description as described
from purevirt._typing import Any, NamedTuple
from purevirt.formats import json_values as read
from purevirt.formats.xend_json import encode
from purevirt.model.description.comparing import Item, differences, steps, value_at, with_value

__all__ = ["Carried", "apply", "line", "missing", "parse_line", "reader"]

_INSTEAD = " instead of "


class Carried(NamedTuple):
    """One value that a format cannot say: where, what it is, and what the format says instead."""

    path: str
    value: object
    native: object


def missing(said: described.DomainDescription, wanted: described.DomainDescription) -> list[Carried]:
    """What `wanted` says and `said`, which was read from what was written, does not."""
    return [Carried(path, new, old) for path, old, new in differences(said, wanted)]


def apply(
    said: described.DomainDescription, carried: Iterable[Carried]
) -> tuple[described.DomainDescription, list[Carried]]:
    """The description with what was carried; and what no longer holds, since the file now says something else."""
    description, stale = said, []
    for item in carried:
        try:
            now = value_at(said, item.path)
        except LookupError:
            now = None
        if now != item.native:
            stale.append(item)
            continue
        try:
            description = with_value(description, item.path, item.value)
        except LookupError:
            stale.append(item)  # what it was about is gone
    return description, stale


def line(item: Carried) -> str:
    """As a line of text."""
    native = "" if item.native == _default_at(item.path) else _INSTEAD + _dumped(item.native)
    return f"{item.path} = {_dumped(item.value)}{native}"


def parse_line(text: str) -> Carried:
    """ValueError, with what is wrong, for a line that `line` did not write."""
    path, equals, rest = text.partition(" = ")
    if not equals:
        raise ValueError(f"{read.shown(text)} is not PATH = VALUE")
    try:
        value, end = json.JSONDecoder().raw_decode(rest)
        native: object = None
        if rest[end:].startswith(_INSTEAD):
            native = json.loads(rest[end + len(_INSTEAD) :])
        elif rest[end:]:
            raise ValueError(f"{read.shown(rest[end:])} after the value")
        kind = _kind_at(path)
        return Carried(
            path, _value(kind, value), _default_at(path) if native is None else _value(kind, native)
        )
    except LookupError as error:
        raise ValueError(str(error)) from None
    except (read.Unfit, RecursionError) as error:
        raise ValueError(f"{read.shown(path)}: {error}") from None


def _value(kind: Any, value: object) -> Any:
    return None if value is None else reader(kind)(value)


def _dumped(value: object) -> str:
    written = json.dumps(_slim(value), ensure_ascii=False)
    if written.isprintable() and "'" not in written:
        return written
    return "".join(_escaped(letter) for letter in written)


def _escaped(letter: str) -> str:
    if letter == "'":
        return "\\u0027"
    return letter if letter.isprintable() else json.dumps(letter)[1:-1]


def _slim(value: Any) -> object:
    """As `encode` has it, without what is a default."""
    if hasattr(value, "_fields"):
        defaults = value._field_defaults
        return {
            name: _slim(item)
            for name, item in zip(value._fields, value, strict=True)
            if name not in defaults or item != defaults[name]
        }
    if isinstance(value, tuple):
        return [_slim(item) for item in value]
    return encode(value)


# --- the types of the model, from its annotations


@cache
def _fields(record: type) -> dict[str, Any]:
    return typing.get_type_hints(record, localns={**vars(described), "UUID": UUID})


def _kind_at(path: str) -> Any:
    """The annotated type of what a path leads to; for an item, its record."""
    kind: Any = described.DomainDescription
    for step, is_item in _named_steps(path):
        kind = _without_none(kind)
        if is_item:
            arguments = typing.get_args(kind)
            if len(arguments) != 2 or arguments[1] is not Ellipsis:
                raise LookupError(f"there is no {path}")
            kind = arguments[0]
        else:
            fields = _fields(kind) if hasattr(kind, "_fields") else {}
            if step not in fields:
                raise LookupError(f"there is no {path}")
            kind = fields[step]
    return kind


def _named_steps(path: str) -> list[tuple[str, bool]]:
    return [(step, isinstance(step, Item)) for step in steps(path)]


def _default_at(path: str) -> object:
    """What a description says there if it says nothing: None for an item, and for what must be said."""
    kind: Any = described.DomainDescription
    default: object = None
    for step, is_item in _named_steps(path):
        kind = _without_none(kind)
        if is_item:
            kind, default = typing.get_args(kind)[0], None
        else:
            default = kind._field_defaults.get(step)
            kind = _fields(kind)[step]
    return default


def _without_none(kind: Any) -> Any:
    if isinstance(kind, UnionType) or typing.get_origin(kind) is typing.Union:
        (kind,) = (one for one in typing.get_args(kind) if one is not type(None))
    return kind


_SIMPLE: dict[Any, read.Reader] = {
    str: read.text,
    int: read.integer,
    bool: read.flag,
    UUID: read.uuid,
}


@cache
def reader(kind: Any) -> read.Reader:
    """What reads the JSON of a value of an annotated type of the model."""
    plain = _without_none(kind)
    if plain is not kind:
        return read.optional(reader(plain))
    if kind in _SIMPLE:
        return _SIMPLE[kind]
    if hasattr(kind, "_fields"):
        return read.record(kind, **{name: reader(field) for name, field in _fields(kind).items()})
    if isinstance(kind, type) and issubclass(kind, Enum):
        return read.one_of(kind)
    arguments = typing.get_args(kind)
    if arguments[1:] == (Ellipsis,):
        return read.row(reader(arguments[0]))
    first, second = arguments
    return read.pair(reader(first), reader(second))
