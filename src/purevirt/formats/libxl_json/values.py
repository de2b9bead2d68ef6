"""Objects of libxl's JSON, asked for by key and kind; what nobody asked for can be told.

libxl writes its C structures: a switch is "True" or "False" (a `defbool`) or a JSON boolean, an enum is a word, a
bitmap a list of numbers, and what is as by default is left out. Whatever is of another kind is a ConfigError that
names its place, as in `b_info.max_memkb`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from purevirt._typing import Any
from purevirt.errors import ConfigError

__all__ = ["Values"]

T = TypeVar("T")

_SWITCHES = {"True": True, "False": False}


class Values:
    """One object. `place` is its path in the record."""

    __slots__ = ("_asked", "_values", "file", "place")

    def __init__(self, values: Mapping[str, Any], place: str, file: str) -> None:
        self._values = values
        self._asked: set[str] = set()
        self.place = place
        self.file = file

    def at(self, key: str) -> str:
        return f"{self.place}.{key}" if self.place else key

    def raw(self, key: str) -> Any:
        self._asked.add(key)
        return self._values.get(key)

    def text(self, key: str) -> str | None:
        found: str | None = self._kind(key, str, "a string")
        return found

    def number(self, key: str) -> int | None:
        found = self.raw(key)
        if found is not None and (not isinstance(found, int) or isinstance(found, bool)):
            raise self.error(key, "a number", found)
        return found

    def flag(self, key: str) -> bool | None:
        """A defbool or a boolean; None where it is not decided."""
        found = self.raw(key)
        if isinstance(found, bool) or found is None or found == "<default>":
            return found if isinstance(found, bool) else None
        if isinstance(found, int):
            return found != 0
        if not isinstance(found, str) or found not in _SWITCHES:
            raise self.error(key, "True or False", found)
        return _SWITCHES[found]

    def word(self, key: str, known: Mapping[str, T]) -> T | None:
        """One of several words."""
        found = self.text(key)
        if found is None:
            return None
        if found not in known:
            raise self.error(key, f"one of {', '.join(known)}", found)
        return known[found]

    def numbers(self, key: str) -> tuple[int, ...]:
        found = self._kind(key, list, "a list of numbers") or []
        if not all(isinstance(item, int) and not isinstance(item, bool) for item in found):
            raise self.error(key, "a list of numbers", found)
        return tuple(found)

    def texts(self, key: str) -> tuple[str, ...]:
        found = self._kind(key, list, "a list of strings") or []
        if not all(isinstance(item, str) for item in found):
            raise self.error(key, "a list of strings", found)
        return tuple(found)

    def child(self, key: str) -> Values:
        """The object under a key; an empty one where there is none."""
        return Values(self._kind(key, dict, "an object") or {}, self.at(key), self.file)

    def children(self, key: str) -> list[Values]:
        """The objects in a list."""
        found = self._kind(key, list, "a list of objects") or []
        if not all(isinstance(item, dict) for item in found):
            raise self.error(key, "a list of objects", found)
        return [Values(item, f"{self.at(key)}[{index}]", self.file) for index, item in enumerate(found)]

    def lists(self, key: str) -> list[tuple[int, ...]]:
        """Lists of numbers in a list."""
        found = self._kind(key, list, "a list of lists") or []
        rows = Values({str(index): row for index, row in enumerate(found)}, self.at(key), self.file)
        return [rows.numbers(str(index)) for index in range(len(found))]

    def has(self, key: str) -> bool:
        return key in self._values

    def keys(self) -> list[str]:
        return list(self._values)

    def pass_over(self, *keys: str) -> None:
        """Says of keys that they are known, and say nothing of the description."""
        self._asked.update(keys)

    def unasked(self) -> dict[str, Any]:
        """What nobody asked for."""
        return {key: value for key, value in self._values.items() if key not in self._asked}

    def error(self, key: str, expected: str, found: object) -> ConfigError:
        shown = repr(found)
        shown = shown if len(shown) <= 40 else shown[:39] + "…"
        return ConfigError(f"{self.file}: {self.at(key)}: expected {expected}, found {shown}", file=self.file)

    def _kind(self, key: str, kind: type[Any], expected: str) -> Any:
        found = self.raw(key)
        if found is not None and not isinstance(found, kind):
            raise self.error(key, expected, found)
        return found
