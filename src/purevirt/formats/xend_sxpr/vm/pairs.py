"""`(key value)` pairs within an expression, asked for by key: the reader that the modules of this package share.

The first pair of a key counts, as it did for xend. Whatever nobody asked for is left over, and kept as unknown. A value
of another kind than was expected is a ConfigError that names the key, the place, and what was expected.
"""

from __future__ import annotations

import re

import purevirt.wire.sxp as sxp
from purevirt._typing import NoReturn
from purevirt.formats.xend_sxpr.vm.source import Source, sayable, shown
from purevirt.wire.sxp import Node
from purevirt.wire.sxp.places import PlacedList

__all__ = ["Pairs"]

# Python's own words for numbers, which xend wrote: a whole float, and a long's L.
_NUMBER = re.compile(r"([+-]?[0-9]{1,4000})(?:\.0*|L)?")
_FLAGS = {"true": True, "false": False, "yes": True, "no": False, "on": True, "off": False}


class Pairs:
    """The pairs of one expression. `what` is how messages name it."""

    __slots__ = ("_first", "_taken", "all", "expression", "source", "what")

    def __init__(self, source: Source, expression: PlacedList, what: str) -> None:
        self.source = source
        self.expression = expression
        self.what = what
        self.all: list[PlacedList] = []
        self._first: dict[str, PlacedList] = {}
        self._taken: set[int] = set()
        for item in expression[1:]:
            key = sxp.head(item)
            if key is None or not isinstance(item, PlacedList):
                self.fail(f"expected (KEY VALUE) in ({what} …), found {shown(item)}", item)
            self.all.append(item)
            self._first.setdefault(key, item)

    def has(self, *keys: str) -> bool:
        return any(key in self._first for key in keys)

    def take(self, *keys: str) -> PlacedList | None:
        """The first of the keys that is there: all of its pair."""
        for key in keys:
            found = self._first.get(key)
            if found is not None:
                self.known(found)
                return found
        return None

    def known(self, pair: PlacedList) -> None:
        """That pair was understood."""
        self._taken.add(id(pair))

    def unknown(self, pair: PlacedList) -> None:
        """That pair was not, after all."""
        self._taken.discard(id(pair))

    def pass_over(self, *keys: str) -> None:
        """Such pairs are known to say nothing."""
        for key in keys:
            self.take(key)

    def left(self) -> list[PlacedList]:
        """What nobody asked for, in its order."""
        return [pair for pair in self.all if id(pair) not in self._taken]

    def value(self, *keys: str) -> Node | None:
        """The one value behind a key. None if there is no such pair, or nothing in it."""
        pair = self.take(*keys)
        if pair is None or len(pair) == 1:
            return None
        if len(pair) > 2:
            self.fail(f"{pair[0]}: expected one value, found {len(pair) - 1}", pair)
        return pair[1]

    def text(self, *keys: str) -> str | None:
        """Text; the empty one says nothing."""
        found = self.value(*keys)
        return None if found is None else self.as_text(self.key(*keys), found) or None

    def number(self, *keys: str, signed: bool = False) -> int | None:
        found = self.value(*keys)
        return None if found is None else self.as_number(self.key(*keys), found, signed=signed)

    def flag(self, *keys: str) -> bool | None:
        """A number that is or is not 0, or one of Python's and people's words for it."""
        found = self.value(*keys)
        if found is None:
            return None
        if isinstance(found, str) and found.lower() in _FLAGS:
            return _FLAGS[found.lower()]
        number = _whole(found)
        if number is None:
            self.fail(f"{self.key(*keys)}: expected 0 or 1, found {shown(found)}", found)
        return number != 0

    def key(self, *keys: str) -> str:
        """The one of the keys that is there."""
        return next((key for key in keys if key in self._first), keys[0])

    def as_text(self, key: str, found: Node) -> str:
        if isinstance(found, list):
            self.fail(f"{key}: expected text, found {shown(found)}", found)
        if not sayable(found):
            self.fail(f"{key}: expected text in UTF-8, found {found!r}", found)
        return str(found)

    def as_number(self, key: str, found: Node, *, signed: bool = False) -> int:
        number = _whole(found)
        if number is None or (number < 0 and not signed):
            expected = "a number" if signed else "a number that is not negative"
            self.fail(f"{key}: expected {expected}, found {shown(found)}", found)
        return number

    def fail(self, message: str, at: Node) -> NoReturn:
        raise self.source.error(message, at)


def _whole(found: Node) -> int | None:
    match = _NUMBER.fullmatch(found) if isinstance(found, str) else None
    return None if match is None else int(match[1])
