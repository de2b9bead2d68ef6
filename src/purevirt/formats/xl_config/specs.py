"""The small language in the strings of devices: `key=value,key=value,flag` <-> a record, by a table.

xl cuts such a string at its commas, passes over spaces before each part, and takes the rest as it stands; a value can
hold no comma. A part that it does not know it either refuses or passes over: what is passed over is kept (`lenient`).
`disk` and PCI devices have rules of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from purevirt._typing import Any, NamedTuple
from purevirt.formats.xl_config.reading import Reader
from purevirt.formats.xl_config.syntax import Atom

__all__ = [
    "FLAG", "NUMBER", "TEXT", "Option", "Part", "Spec", "listed", "parts", "whole", "words",
]  # fmt: skip


class Part(NamedTuple):
    """One part of a string: its key, its value (None: a word alone), and where in the string it begins."""

    key: str
    value: str | None
    offset: int

    @property
    def text(self) -> str:
        return self.key if self.value is None else f"{self.key}={self.value}"


class Option(NamedTuple):
    """A key, the field it is in the record, and how its text is read and written.

    `read` raises ValueError with what was expected; `write` gives None where it cannot be said.
    """

    key: str
    field: str
    read: Callable[[str], Any]
    write: Callable[[Any], str | None]


def parts(text: str) -> Iterator[Part]:
    """A string cut at its commas, without empty parts."""
    offset = 0
    for piece in text.split(","):
        stripped = piece.lstrip(" ")
        if stripped:
            key, equals, value = stripped.partition("=")
            yield Part(key, value if equals else None, offset + len(piece) - len(stripped))
        offset += len(piece) + 1


class Spec:
    """A table of options, and the record that they make."""

    __slots__ = (
        "_by_key",
        "_defaults",
        "_fixed",
        "_flags",
        "_lenient",
        "_needed",
        "_options",
        "_record",
        "_unsayable",
    )

    def __init__(
        self,
        record: Any,
        *options: Option,
        aliases: Mapping[str, str] | None = None,
        flags: Mapping[str, tuple[str, Any]] | None = None,
        needed: Mapping[str, str] | None = None,
        fixed: Mapping[str, str] | None = None,
        unsayable: tuple[str, ...] = (),
        defaults: Mapping[str, Any] | None = None,
        lenient: bool = False,
    ) -> None:
        """`aliases` are other names of keys, `flags` words alone, each with a field and its value, `needed` the fields
        that must be said, and how. `fixed` keys have one value only and are always written. A record in which a field
        of `unsayable` is said cannot be written at all: xl would make another device of it. `defaults` are those of
        fields that are not the record's own."""
        self._record = record
        self._options = options
        self._defaults = {**record._field_defaults, **(defaults or {})}
        self._by_key = {option.key: option for option in options}
        for alias, key in (aliases or {}).items():
            self._by_key[alias] = self._by_key[key]
        self._flags = flags or {}
        self._needed = needed or {}
        self._fixed = fixed or {}
        self._unsayable = unsayable
        self._lenient = lenient

    def read(self, reader: Reader, name: str, index: int, item: Atom) -> Any:
        """The record that a string describes. ConfigError for what xl would refuse."""
        return self.made(reader, name, item, self.fields(reader, name, index, item, parts(item.value)))

    def fields(
        self, reader: Reader, name: str, index: int, item: Atom, given: Iterator[Part]
    ) -> dict[str, Any]:
        """What the parts say, by field."""
        found: dict[str, Any] = {}
        by_key = self._by_key
        for part in given:
            option = by_key.get(part.key)
            if option is not None and part.value is not None:
                try:
                    found[option.field] = option.read(part.value)
                except ValueError as error:
                    message = f"{name}: {part.key} is {part.value!r}, expected {error}"
                    raise reader.error(message, item, part.offset) from None
            elif part.text in self._flags:
                field, value = self._flags[part.text]
                found[field] = value
            elif part.key in self._fixed:
                if part.value != self._fixed[part.key]:
                    wanted = f"{part.key}={self._fixed[part.key]}"
                    reader.fail(f"{name}: expected {wanted}, found {part.text!r}", item, part.offset)
            elif self._lenient:
                reader.keep(f"{name}[{index}]", part.text)
            else:
                known = ", ".join([*(f"{key}=" for key in (*self._fixed, *by_key)), *self._flags])
                reader.fail(f"{name}: expected one of {known}; found {part.text!r}", item, part.offset)
        return found

    def made(self, reader: Reader, name: str, item: Atom, fields: dict[str, Any]) -> Any:
        for field, how in self._needed.items():
            if field not in fields:
                reader.fail(f"{name}: {item.value!r} lacks {how}", item)
        return self._record(**fields)

    def write(self, record: Any, without: tuple[str, ...] = ()) -> str | None:
        """The string; None if it cannot say what the record says. Keys in `without` are left out."""
        if any(getattr(record, field) != self._defaults[field] for field in self._unsayable):
            return None
        written = [f"{key}={value}" for key, value in self._fixed.items()]
        for key, field, _, write in self._options:
            value = getattr(record, field)
            if key in without or (field not in self._needed and value == self._defaults.get(field)):
                continue
            text = write(value)
            if text is None:
                return None
            written.append(f"{key}={text}")
        written.extend(
            flag for flag, (field, value) in self._flags.items() if getattr(record, field) == value
        )
        return ",".join(written)


def whole(text: str) -> str | None:
    """A value that no comma cuts, else None."""
    return None if "," in text or "\0" in text else text


def _number(text: str) -> int:
    try:
        if not text.isascii() or "_" in text:
            raise ValueError
        return int(text)
    except ValueError:
        raise ValueError("a number") from None


def _natural(text: str) -> int:
    number = _number(text)
    if number < 0:
        raise ValueError("a number that is not negative")
    return number


def _flag(text: str) -> bool:
    return _natural(text) != 0


def TEXT(key: str, field: str) -> Option:  # noqa: N802 - stands in tables like a constant
    """Any text without a comma."""
    return Option(key, field, str, whole)


def NUMBER(key: str, field: str) -> Option:  # noqa: N802
    """A number that is not negative."""
    return Option(key, field, _natural, lambda number: str(number) if number >= 0 else None)


def FLAG(key: str, field: str) -> Option:  # noqa: N802
    """0 is no, any other number yes."""
    return Option(key, field, _flag, lambda value: "1" if value else "0")


def words(key: str, field: str, known: Mapping[str, Any]) -> Option:
    """One of several words, each with what the model has for it; of those alike, the first is written."""
    by_value: dict[Any, str] = {}
    for text, value in known.items():
        by_value.setdefault(value, text)

    def read(text: str) -> Any:
        if text in known:
            return known[text]
        raise ValueError("one of " + ", ".join(known))

    return Option(key, field, read, by_value.get)


def listed(key: str, field: str, read: Callable[[str], Any], separator: str = ";") -> Option:
    """Several values, between semicolons."""

    def read_all(text: str) -> tuple[Any, ...]:
        return tuple(read(item) for item in text.split(separator) if item)

    def write(items: tuple[Any, ...]) -> str | None:
        texts = [str(item) for item in items]
        if not all(text and separator not in text for text in texts):
            return None
        return whole(separator.join(texts))

    return Option(key, field, read_all, write)
