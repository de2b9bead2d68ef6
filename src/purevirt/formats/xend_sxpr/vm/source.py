"""The text of an expression, with places: what stands where, and how an error says so."""

from __future__ import annotations

import purevirt.wire.sxp as sxp
from purevirt.errors import ConfigError, RemoteProtocolError
from purevirt.wire.sxp.places import Placed, PlacedList, PlacedText, parse_placed

__all__ = ["Source", "read", "sayable", "shown"]

_MOST = 16 << 20


class Source:
    """A text that is one expression. Offsets are those of its UTF-8."""

    __slots__ = ("comments", "data", "file", "root")

    def __init__(self, data: bytes, file: str, root: PlacedList, comments: int) -> None:
        self.data = data
        self.file = file
        self.root = root
        self.comments = comments

    def error(self, message: str, at: sxp.Node) -> ConfigError:
        """A ConfigError at a value."""
        return _error(
            message, self.data, at.start if isinstance(at, (PlacedText, PlacedList)) else 0, self.file
        )

    def text(self) -> str:
        return self.data.decode("utf-8")


def read(text: str, *, file: str, expected: str) -> Source:
    """The one expression that a text is. ConfigError, with line and column, if it is none; `expected` says which."""
    try:
        data = text.encode("utf-8")
    except UnicodeEncodeError:
        raise ConfigError(f"{file}: expected text that UTF-8 can hold", file=file) from None
    if len(data) > _MOST:
        raise ConfigError(f"{file}: larger than {_MOST >> 20} MiB", file=file)
    try:
        values, comments = parse_placed(data)
    except RemoteProtocolError as error:
        offset = int(error.detail or 0)
        words = str(error).removesuffix(f" (byte {offset})")
        raise _error(words, data, offset, file) from None
    if not values:
        raise _error(f"expected {expected}, found nothing", data, len(data), file)
    root: Placed = values[0]
    if not isinstance(root, PlacedList):
        raise _error(f"expected {expected}, found {shown(root)}", data, root.start, file)
    if len(values) > 1:
        message = f"expected one expression only, found {shown(values[1])} behind it"
        raise _error(message, data, values[1].start, file)
    return Source(data, file, root, comments)


def _error(message: str, data: bytes, offset: int, file: str) -> ConfigError:
    before = data[:offset]
    line = before.count(b"\n") + 1
    column = len(before[before.rfind(b"\n") + 1 :].decode("utf-8", "replace")) + 1
    return ConfigError(f"{file}:{line}:{column}: {message}", file=file, line=line, column=column)


def shown(value: sxp.Node) -> str:
    """A value in a message: not much of it."""
    if isinstance(value, list):
        head = sxp.head(value)
        return "a list" if head is None else f"({head if len(head) < 40 else head[:37] + '...'} …)"
    return repr(value if len(value) <= 60 else value[:57] + "...")


def sayable(text: str) -> bool:
    """Whether there are bytes for a text: half a surrogate pair has none."""
    return text.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in text)
