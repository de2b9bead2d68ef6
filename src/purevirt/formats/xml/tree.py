"""An XML text and the tree of its elements, which know where in the text they stand.

The text is kept as it is. Each element has its name, its attributes and its text as a program sees them (references
resolved), its children, and two offsets into the text; line and column are counted when somebody asks. Namespaces are
not resolved: a prefix is part of a name.

Refused are document types (and with them every entity but XML's own five), texts above 16 MiB, elements more than 64
deep, and encodings other than UTF-8, UTF-16, ISO 8859-1 and ASCII. Nothing outside the text is ever read.
"""

from __future__ import annotations

import pyexpat

from purevirt._typing import NoReturn
from purevirt.errors import ConfigError

__all__ = ["DEEPEST", "LONGEST", "Element", "Tree", "parse"]

LONGEST = 16 << 20
"""Bytes of UTF-8."""
DEEPEST = 64
_ENCODINGS = {
    "utf-8": "utf-8",
    "utf8": "utf-8",
    "utf-16": "utf-16",
    "us-ascii": "ascii",
    "ascii": "ascii",
    "iso-8859-1": "iso-8859-1",
    "latin1": "iso-8859-1",
}


class Element:
    """An element: `start` is where its tag begins, `stop` where its end tag does (for <a/>: where it ends)."""

    __slots__ = ("attributes", "children", "name", "start", "stop", "text")

    def __init__(self, name: str, attributes: dict[str, str], start: int) -> None:
        self.name = name
        self.attributes = attributes
        self.children: list[Element] = []
        self.text = ""
        self.start = start
        self.stop = start

    def find(self, name: str) -> Element | None:
        """The first child of a name."""
        for child in self.children:
            if child.name == name:
                return child
        return None

    def __repr__(self) -> str:
        return f"<Element {self.name} at {self.start}>"


class Tree:
    """A text and its root element. `comments` is how many comments are in it."""

    __slots__ = ("comments", "data", "file", "root")

    def __init__(self, data: bytes, file: str, root: Element, comments: int) -> None:
        self.data = data
        self.file = file
        self.root = root
        self.comments = comments

    def text(self) -> str:
        """The whole of it."""
        return self.data.decode()

    def source(self, element: Element) -> str:
        """An element as it is written."""
        return self.data[element.start : self.end(element)].decode()

    def is_empty_tag(self, element: Element) -> bool:
        """Whether it is written <a/>."""
        return (
            not element.children and not element.text and self.data[element.stop - 2 : element.stop] == b"/>"
        )

    def end(self, element: Element) -> int:
        """Where an element ends."""
        if self.is_empty_tag(element):
            return element.stop
        return self.data.index(b">", element.stop) + 1

    def place(self, offset: int) -> tuple[int, int]:
        """Line and column of an offset, both from 1."""
        return _place(self.data, offset)

    def error(self, message: str, element: Element) -> ConfigError:
        """ConfigError at an element."""
        return _error(self.data, self.file, message, element.start)


def parse(text: str | bytes, *, file: str = "<text>") -> Tree:
    """Read an XML text. ConfigError, with line and column, for whatever is wrong in it.

    Bytes are in the encoding that they say; a str is text already, whatever it says.
    """
    data = _utf8(text, file)
    if len(data) > LONGEST:
        raise ConfigError(
            f"{file}: {len(data)} bytes are too many, expected at most {LONGEST}", file=file, line=1, column=1
        )
    return _Reading(data, file).tree()


class _Reading:
    """One run of expat over a text."""

    __slots__ = ("comments", "data", "file", "parser", "stack", "texts")

    def __init__(self, data: bytes, file: str) -> None:
        self.data = data
        self.file = file
        self.comments = 0
        self.stack = [Element("", {}, 0)]
        self.texts: list[list[str]] = [[]]  # of each element in the stack, in the pieces that expat gives
        self.parser = parser = pyexpat.ParserCreate("utf-8")
        parser.buffer_text = True
        parser.StartElementHandler = self.opened
        parser.EndElementHandler = self.closed
        parser.CharacterDataHandler = self.said
        parser.CommentHandler = self.commented
        parser.StartDoctypeDeclHandler = self.doctype

    def tree(self) -> Tree:
        try:
            self.parser.Parse(self.data, True)
        except pyexpat.ExpatError as error:
            offset = max(self.parser.ErrorByteIndex, 0)
            raise _error(
                self.data, self.file, f"this is no XML: {pyexpat.ErrorString(error.code)}", offset
            ) from None
        return Tree(self.data, self.file, self.stack[0].children[0], self.comments)

    def opened(self, name: str, attributes: dict[str, str]) -> None:
        element = Element(name, attributes, self.parser.CurrentByteIndex)
        stack = self.stack
        stack[-1].children.append(element)
        stack.append(element)
        self.texts.append([])
        if len(stack) > DEEPEST + 1:
            self.fail(f"<{name}> is too deep, expected at most {DEEPEST} elements in each other")

    def closed(self, name: str) -> None:
        element = self.stack.pop()
        element.stop = self.parser.CurrentByteIndex
        element.text = "".join(self.texts.pop())

    def said(self, text: str) -> None:
        self.texts[-1].append(text)

    def commented(self, text: str) -> None:
        self.comments += 1

    def doctype(self, *named: object) -> None:
        start = max(self.data.rfind(b"<!DOCTYPE", 0, self.parser.CurrentByteIndex), 0)
        raise _error(self.data, self.file, "a document type is refused, expected none", start)

    def fail(self, message: str) -> NoReturn:
        raise _error(self.data, self.file, message, self.parser.CurrentByteIndex)


def _place(data: bytes, offset: int) -> tuple[int, int]:
    start = data.rfind(b"\n", 0, offset) + 1
    return data.count(b"\n", 0, offset) + 1, len(data[start:offset].decode("utf-8", "replace")) + 1


def _error(data: bytes, file: str, message: str, offset: int) -> ConfigError:
    line, column = _place(data, offset)
    return ConfigError(f"{file}:{line}:{column}: {message}", file=file, line=line, column=column)


def _utf8(text: str | bytes, file: str) -> bytes:
    if isinstance(text, str):
        try:
            return text.encode()
        except UnicodeEncodeError as error:
            data = text[: error.start].encode()
            raise _error(data, file, "half of a surrogate pair is no character", len(data)) from None
    encoding = _encoding(text, file)
    if encoding == "utf-8":
        return _checked(text, file)
    try:
        return text.decode(encoding).encode()
    except UnicodeError:
        raise _error(b"", file, f"this is not in {encoding}, as it says", 0) from None


def _checked(data: bytes, file: str) -> bytes:
    try:
        data.decode()
    except UnicodeDecodeError as error:
        raise _error(data, file, "this is no UTF-8", error.start) from None
    return data


def _encoding(data: bytes, file: str) -> str:
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    head = data[:200].removeprefix(b"\xef\xbb\xbf")
    if not head.startswith(b"<?xml"):
        return "utf-8"
    _, said, rest = head.partition(b"?>")[0].partition(b"encoding")
    if not said:
        return "utf-8"
    name = rest.strip(b" \t\r\n=").strip(b"'\"").split(b"'")[0].split(b'"')[0].decode("ascii", "replace")
    if name.lower() not in _ENCODINGS:
        raise _error(
            data, file, f"the encoding {name!r} is refused, expected UTF-8, UTF-16, ISO-8859-1 or US-ASCII", 0
        )
    return _ENCODINGS[name.lower()]
