"""What a program says, as it comes: told line by line, with its beginning and its end kept."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Said"]

_KEPT = 1 << 16  # bytes at the beginning, and again at the end
_LONGEST_LINE = 1 << 12


class Said:
    """Output that is fed in pieces. `on_line` is told of each line that is not empty, cut at 4,096 bytes."""

    def __init__(self, on_line: Callable[[str], None]) -> None:
        self._on_line = on_line
        self._line = b""
        self._begin = bytearray()
        self._end = bytearray()
        self._lost = False

    def feed(self, data: bytes) -> None:
        """Some more. A carriage return ends a line as well, as in progress that overwrites itself."""
        room = _KEPT - len(self._begin)
        self._begin += data[:room]
        self._end += data[room:]
        if len(self._end) > 2 * _KEPT:
            del self._end[:-_KEPT]
            self._lost = True
        *lines, self._line = (self._line + data).replace(b"\r", b"\n").split(b"\n")
        for line in lines:
            self._tell(line)
        if len(self._line) > _LONGEST_LINE:
            self._tell(self._line)
            self._line = b""

    def finish(self) -> str:
        """All that is kept, after the last line was told."""
        self._tell(self._line)
        self._line = b""
        middle = b"\n[...]\n" if self._lost else b""
        return bytes(self._begin + middle + self._end).decode("utf-8", "backslashreplace")

    def _tell(self, line: bytes) -> None:
        text = line[:_LONGEST_LINE].decode("utf-8", "backslashreplace").strip()
        if text:
            self._on_line(text)
