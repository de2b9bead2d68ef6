"""A parser that remembers where each value stood: for texts that people write, and that are changed in place.

It is the parser of `parser`, watched: the grammar is written once. The values are the same ones, text and lists, each
with the bytes that it takes up, quotes and brackets included.
"""

from __future__ import annotations

from typing import TypeAlias

from purevirt.wire.sxp.parser import MAX_SIZE, Node, Parser

__all__ = ["Placed", "PlacedList", "PlacedText", "parse_placed"]


class PlacedText(str):
    """Text, and the offsets of its first byte and of the byte after it."""

    __slots__ = ("end", "start")
    start: int
    end: int


class PlacedList(list[Node]):
    """A list, and the offsets of its opening bracket and of the byte after the closing one."""

    __slots__ = ("end", "start")
    start: int
    end: int


Placed: TypeAlias = PlacedText | PlacedList


class _PlacedParser(Parser):
    """Puts a place on what the parser has just added, where it added something."""

    __slots__ = ("_begun", "_starts", "comments")

    def __init__(self, max_size: int) -> None:
        super().__init__(max_size)
        self._begun = 0  # where the unfinished atom or string begins
        self._starts: list[int] = []  # and the unfinished lists
        self.comments = 0

    def _between(self, data: bytes, position: int) -> int:
        depth, state = len(self._stack), self._state
        position = super()._between(data, position)
        end = self._offset + position
        if len(self._stack) > depth:
            self._starts.append(end - 1)
        elif len(self._stack) < depth and self._starts and self._broken is None:
            done = self._stack[-1].pop()
            assert isinstance(done, list)
            placed = PlacedList(done)
            placed.start, placed.end = self._starts.pop(), end
            self._stack[-1].append(placed)
        elif self._state == self._comment:
            self.comments += 1
        elif self._state != state:
            self._begun = end - 1
        return position

    def _atom(self, data: bytes, position: int) -> int:
        position = super()._atom(data, position)
        return self._ended(position)

    def _string(self, data: bytes, position: int) -> int:
        position = super()._string(data, position)
        return self._ended(position)

    def _finish(self, offset: int) -> None:
        atom = self._state == self._atom
        super()._finish(offset)
        if atom and self._stack[-1]:
            self._place(offset)

    def _ended(self, position: int) -> int:
        if self._state == self._between and self._broken is None:
            self._place(self._offset + position)
        return position

    def _place(self, end: int) -> None:
        text = self._stack[-1].pop()
        assert isinstance(text, str)
        placed = PlacedText(text)
        placed.start, placed.end = self._begun, end
        self._stack[-1].append(placed)


def parse_placed(data: bytes) -> tuple[list[Placed], int]:
    """All expressions of `data` with their places, and how many comments are between them.

    RemoteProtocolError, with the offset, if one of them is broken or unfinished.
    """
    parser = _PlacedParser(max(MAX_SIZE, len(data)))
    values = parser.feed(data)
    values += parser.close()
    parser.check()
    return [value for value in values if isinstance(value, (PlacedText, PlacedList))], parser.comments
