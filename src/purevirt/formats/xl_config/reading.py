"""What stands in an xl.cfg, asked for by name and kind: the reader that the tables of this package share.

`Reader` knows which settings were asked for, so that what nobody asked for can be kept as unknown. Whatever is of
another kind than was expected is a ConfigError that names the setting, the place, and what was expected.
"""

from __future__ import annotations

from collections.abc import Iterator

from purevirt._typing import Any, NoReturn
from purevirt.errors import ConfigError
from purevirt.formats.xl_config import spelling
from purevirt.formats.xl_config.syntax import Atom, Items, Syntax, Value
from purevirt.model.description import Unknown

__all__ = ["Parts", "Reader"]

Parts = dict[str, dict[str, Any]]
"""What has been read: for each record of the description ("" is the description itself), its fields by name."""


class Reader:
    """The settings of one file, while they are read."""

    __slots__ = ("kept", "syntax", "taken", "values")

    def __init__(self, syntax: Syntax) -> None:
        self.syntax = syntax
        self.values = syntax.values()
        self.taken: set[str] = set()
        self.kept: list[Unknown] = []
        """Parts of settings that xl passes over, and we keep."""

    def has(self, name: str) -> bool:
        return name in self.values

    def take(self, name: str) -> Value | None:
        """The value of a setting, which is thereby known."""
        found = self.values.get(name)
        if found is not None:
            self.taken.add(name)
        return found

    def text(self, name: str) -> str | None:
        found = self.take(name)
        return None if found is None else self.as_atom(name, found).value

    def number(self, name: str) -> int | None:
        """A number that is not negative."""
        found = self.take(name)
        return None if found is None else self.as_number(name, found)

    def flag(self, name: str) -> bool | None:
        number = self.number(name)
        return None if number is None else number != 0

    def list(self, name: str) -> tuple[Atom, ...]:
        """The items of a list of strings; nothing if there is no such setting."""
        found = self.take(name)
        return () if found is None else tuple(self.atoms(name, found))

    def keep(self, place: str, text: str) -> None:
        """Keeps what xl passes over."""
        self.kept.append(Unknown("xl", place, text))

    # --- of a kind, or an error

    def as_atom(self, name: str, found: Value) -> Atom:
        if isinstance(found, Items):
            self.fail(f"{name}: expected a string or a number, found a list", found)
        return found

    def as_number(self, name: str, found: Value, *, signed: bool = False) -> int:
        item = self.as_atom(name, found)
        number = spelling.number(item)
        if number is None or (number < 0 and not signed):
            expected = "a number" if signed else "a number that is not negative"
            self.fail(f"{name}: expected {expected}, found {item.value!r}", item)
        return number

    def as_items(self, name: str, found: Value) -> Items:
        if not isinstance(found, Items):
            self.fail(f"{name}: expected a list, as in {name} = [ … ]", found)
        return found

    def atoms(self, name: str, found: Value) -> Iterator[Atom]:
        """The items of a list, none of which is a list."""
        for item in self.as_items(name, found).items:
            if isinstance(item, Items):
                self.fail(f"{name}: expected a list of strings, found a list in it", item)
            yield item

    def fail(self, message: str, found: Value, offset: int | None = None) -> NoReturn:
        """Raises ConfigError at a value, or so many characters into its string."""
        raise self.error(message, found, offset)

    def error(self, message: str, found: Value, offset: int | None = None) -> ConfigError:
        start = found.start
        if (
            offset is not None
            and isinstance(found, Atom)
            and found.quoted
            and found.end - start == len(found.value) + 2
        ):
            start += 1 + offset  # nothing in it is escaped
        return self.syntax.error(message, start)
