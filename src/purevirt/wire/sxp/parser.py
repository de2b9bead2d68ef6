r"""Bytes in, values out, however the bytes are split.

The grammar, as xend's parser has it:

- Whitespace is space, tab, LF, VT, FF, CR. `#` begins a comment, to the end of the line. The byte 0x04 ends the input:
  whatever follows it is not looked at.
- `(` … `)` is a list. Attributes, `(@ …)` as a list's second element, are to us a list like any other.
- `'` or `"` begins a string, and the same quote ends it. Escapes: `\a \b \t \n \v \f \r \\ \' \"`, `\xHH`, and up to
  three octal digits, at most 0377. Of any other escape the backslash stays and the byte after it is dropped: so did
  xend, surely by mistake, and nobody who writes for xend relies on another reading.
- Anything else begins an atom, which whitespace, `#` or one of `{ } ( ) < > [ ] ;` ends. Such a byte may also begin
  one: `a{b` is the atoms `a` and `{b`.

Text is UTF-8; bytes that are not survive as surrogate escapes, so that what was read can be written again.

The parser holds no more than what is unfinished, looks at each byte once, and keeps lists on a stack of bounded
depth: neither a long string fed in small pieces nor a million brackets cost more than their length.
"""

from __future__ import annotations

import re
from typing import TypeAlias

from purevirt.errors import RemoteProtocolError

__all__ = ["MAX_DEPTH", "MAX_SIZE", "Node", "Parser", "parse", "parse_one"]

Node: TypeAlias = "str | list[Node]"
"""What a parser yields: text, or a list of such."""

MAX_DEPTH = 128
"""How deep lists may be nested. xend's own descriptions reach a depth of seven."""

MAX_SIZE = 16 << 20
"""How many bytes one expression may take."""

_END = 0x04
_SPACE = re.compile(rb"[ \t\n\v\f\r]*")
_ATOM = re.compile(rb"[^ \t\n\v\f\r#{}()<>\[\];\x04]*")
_PLAIN = {quote: re.compile(rb"[^\\\x04" + bytes([quote]) + rb"]*") for quote in b"'\""}
_LINE = re.compile(rb"[^\n\x04]*")
_ESCAPES = dict(zip(b"abtnvfr\\'\"", (bytes([byte]) for byte in b"\a\b\t\n\v\f\r\\'\""), strict=True))
_OCTAL = frozenset(b"01234567")
_HEX = frozenset(b"0123456789abcdefABCDEF")


class Parser:
    """Expressions from a stream.

    `feed` returns the values that are complete, `close` says that no more comes and returns the last atom, if one was
    left. Both raise RemoteProtocolError, and nothing else: it names the offset of the byte that broke the grammar,
    which is also its `detail`. After that the stream has no next value: every later call raises it again.
    """

    __slots__ = (
        "_broken",
        "_chunks",
        "_depth",
        "_escape",
        "_offset",
        "_quote",
        "_size",
        "_stack",
        "_start",
        "_state",
    )

    def __init__(self, max_size: int = MAX_SIZE, max_depth: int = MAX_DEPTH) -> None:
        self._size = max_size
        self._depth = max_depth
        self._stack: list[list[Node]] = [[]]  # the lowest holds what is complete
        self._state = self._between
        self._chunks: list[bytes] = []  # of the unfinished atom or string
        self._escape = b""
        self._quote = 0
        self._offset = 0  # of the piece that is being looked at
        self._start = 0  # where the unfinished expression begins
        self._broken: tuple[str, int] | None = None

    @property
    def pending(self) -> bool:
        """Whether an expression has begun that is not finished."""
        return len(self._stack) > 1 or self._state not in (self._between, self._comment, self._after_end)

    def feed(self, data: bytes) -> list[Node]:
        """Take what arrived and return the values that are now complete, in their order."""
        self.check()
        position, size = 0, len(data)
        while position < size and self._broken is None:
            position = self._state(data, position)
        self._offset += size
        if self._broken is None and self.pending and self._offset - self._start > self._size:
            self._fail(f"an expression is longer than {self._size} bytes", self._start)
        return self._take()

    def close(self) -> list[Node]:
        """No more bytes come: what is left over. A list or a string that is still open is an error."""
        self.check()
        self._finish(self._offset)
        if self._broken is None:
            self._state = self._after_end
        return self._take()

    # --- what the bytes mean: each takes the piece and a position in it, and returns the next position

    def _between(self, data: bytes, position: int) -> int:
        match = _SPACE.match(data, position)
        assert match is not None
        position = match.end()
        if position == len(data):
            return position
        byte = data[position]
        if len(self._stack) == 1:
            self._start = self._offset + position
        if byte == 0x28:  # (
            if len(self._stack) > self._depth:
                return self._fail(f"lists are nested deeper than {self._depth}", self._offset + position)
            self._stack.append([])
        elif byte == 0x29:  # )
            if len(self._stack) == 1:
                return self._fail("a list ends that never began", self._offset + position)
            done = self._stack.pop()
            self._stack[-1].append(done)
        elif byte in _PLAIN:
            self._quote = byte
            self._state = self._string
        elif byte == 0x23:  # '#'
            self._state = self._comment
        elif byte == _END:
            self._finish(self._offset + position)
            self._state = self._after_end
        else:
            self._chunks.append(data[position : position + 1])
            self._state = self._atom
        return position + 1

    def _atom(self, data: bytes, position: int) -> int:
        match = _ATOM.match(data, position)
        assert match is not None
        self._chunks.append(match[0])
        if match.end() < len(data):
            self._add()
        return match.end()

    def _string(self, data: bytes, position: int) -> int:
        match = _PLAIN[self._quote].match(data, position)
        assert match is not None
        self._chunks.append(match[0])
        position = match.end()
        if position == len(data):
            return position
        if data[position] == self._quote:
            self._add()
        elif data[position] == _END:
            self._finish(self._offset + position)
        else:
            self._state = self._escaped
            self._escape = b""
        return position + 1

    def _escaped(self, data: bytes, position: int) -> int:
        byte = data[position]
        if byte == _END:
            self._finish(self._offset + position)
            return position
        if byte == 0x78:  # x
            self._state = self._hex
        elif byte in _OCTAL:
            self._state = self._octal
            return position
        else:
            self._chunks.append(_ESCAPES.get(byte, b"\\"))
            self._state = self._string
        return position + 1

    def _hex(self, data: bytes, position: int) -> int:
        if data[position] not in _HEX:
            return self._fail("\\x needs two hexadecimal digits", self._offset + position)
        self._escape += data[position : position + 1]
        if len(self._escape) == 2:
            self._chunks.append(bytes([int(self._escape, 16)]))
            self._state = self._string
        return position + 1

    def _octal(self, data: bytes, position: int) -> int:
        more = data[position] in _OCTAL
        if more:
            self._escape += data[position : position + 1]
            position += 1
        if not more or len(self._escape) == 3:
            number = int(self._escape, 8)
            if number > 0xFF:
                return self._fail("an octal escape is at most \\377", self._offset + position - 1)
            self._chunks.append(bytes([number]))
            self._state = self._string
        return position

    def _comment(self, data: bytes, position: int) -> int:
        match = _LINE.match(data, position)
        assert match is not None
        if match.end() < len(data):
            self._state = self._between  # which takes the end of the line, or of the input
        return match.end()

    def _after_end(self, data: bytes, position: int) -> int:
        return len(data)

    # --- what they leave behind

    def _add(self) -> None:
        self._stack[-1].append(b"".join(self._chunks).decode("utf-8", "surrogateescape"))
        self._chunks.clear()
        self._state = self._between

    def _finish(self, offset: int) -> None:
        if self._state == self._atom:
            self._add()
        elif self._state not in (self._between, self._comment, self._after_end):
            self._fail("the input ends within a string", offset)
            return
        if len(self._stack) > 1:
            self._fail("the input ends within a list", offset)

    def _take(self) -> list[Node]:
        """What is complete. What came before the broken byte is whole and is delivered; the next call tells."""
        done, self._stack[0] = self._stack[0], []
        if not done:
            self.check()
        return done

    def _fail(self, words: str, offset: int) -> int:
        self._broken = (words, offset)
        del self._stack[1:]
        self._chunks.clear()
        return offset

    def check(self) -> None:
        """Raise the error that broke the stream, if one did."""
        if self._broken is not None:
            words, offset = self._broken
            raise RemoteProtocolError(
                f"not an S-expression: {words} (byte {offset})", channel="daemon", detail=str(offset)
            )


def parse(data: bytes) -> list[Node]:
    """All expressions of `data`. RemoteProtocolError, with the offset, if one of them is broken or unfinished."""
    parser = Parser(max_size=max(MAX_SIZE, len(data)))
    values = parser.feed(data)
    values += parser.close()
    parser.check()
    return values


def parse_one(data: bytes) -> Node:
    """The one expression that `data` is. RemoteProtocolError if there is none, or more."""
    values = parse(data)
    if len(values) != 1:
        raise RemoteProtocolError(
            f"not one S-expression, but {len(values) or 'none'}", channel="daemon", detail=None
        )
    return values[0]
