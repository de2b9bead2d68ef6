"""Changes of an XML text in place: what is not named stays, letter for letter.

Changes are collected against the text as it was, and made all at once; where one takes an element away, changes within
it are void. A new child goes on a line of its own, indented as its siblings are.
"""

from __future__ import annotations

import re

from purevirt.formats.xml.making import Made, escaped, quoted
from purevirt.formats.xml.tree import Element, Tree, parse

__all__ = ["Edits"]

_TAG_PART = re.compile(rb"""\s+([^\s=/>]+)\s*=\s*("[^"]*"|'[^']*')""")
_NAME = re.compile(rb"<[^\s/>]+")


class Edits:
    """Changes of one text."""

    __slots__ = ("_inner", "_removed", "_splices", "tree")

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self._splices: list[tuple[int, int, bytes]] = []
        self._inner: dict[int, tuple[Element, list[Made | str]]] = {}
        self._removed: dict[int, int] = {}

    def set_attribute(self, element: Element, name: str, value: str | None) -> None:
        """Sets an attribute, in its place or behind the others; None takes it away."""
        data = self.tree.data
        match = _NAME.match(data, element.start)
        assert match is not None
        at = match.end()
        wanted = name.encode()
        while (part := _TAG_PART.match(data, at)) is not None:
            if part[1] == wanted:
                if value is None:
                    self._splices.append((part.start(), part.end(), b""))
                else:
                    written = quoted(value)
                    if part[2][:1] == b'"':
                        written = '"' + written[1:-1].replace('"', "&quot;") + '"'
                    self._splices.append((part.start(2), part.end(2), written.encode()))
                return
            at = part.end()
        if value is not None:
            self._splices.append((at, at, f" {name}={quoted(value)}".encode()))

    def set_text(self, element: Element, text: str | None) -> None:
        """Replaces all that is in an element by a text; None by nothing."""
        if self.tree.is_empty_tag(element):
            if text:
                self._open(element, escaped(text).encode())
            return
        start = self._content(element)
        self._splices.append((start, element.stop, escaped(text or "").encode()))

    def remove(self, element: Element) -> None:
        """Takes an element away, with the line that it has for itself."""
        data, start, end = self.tree.data, element.start, self.tree.end(element)
        before = start
        while before > 0 and data[before - 1 : before] in (b" ", b"\t"):
            before -= 1
        after = end
        while data[after : after + 1] in (b" ", b"\t"):
            after += 1
        alone = before > 0 and data[before - 1 : before] == b"\n"
        if alone and data[after : after + 1] == b"\n":
            start, end = before, after + 1
        elif alone and data[after : after + 2] == b"\r\n":
            start, end = before, after + 2
        elif alone and data[after : after + 2] == b"</":
            start = before  # the end tag is on the same line; it keeps that line
        self._removed[element.start] = start - 1 if start < element.start else start
        self._splices.append((start, end, b""))

    def replace(self, element: Element, text: str) -> None:
        """Puts XML in an element's place."""
        self._splices.append((element.start, self.tree.end(element), text.encode()))

    def insert(self, parent: Element, child: Made | str, after: Element | None = None) -> None:
        """A new child, behind `after` or as the last. Of several at one place, the first named is the first."""
        if after is None and not parent.children:
            self._inner.setdefault(parent.start, (parent, []))[1].append(child)
            return
        sibling = parent.children[-1] if after is None else after
        indent, newline = self._indent(sibling)
        at = self._removed.get(sibling.start, self.tree.end(sibling))
        text = self._lines(child, indent, newline)
        self._splices.append((at, at, (newline + indent + text).encode() if newline else text.encode()))

    def done(self) -> Tree:
        """The text as it is now."""
        for parent, made in self._inner.values():
            indent, newline = self._indent(parent)
            deeper = indent + "  "
            newline = newline or "\n"
            lines = "".join(newline + deeper + self._lines(child, deeper, newline) for child in made)
            content = f"{lines}{newline}{indent}".encode()
            if self.tree.is_empty_tag(parent):
                self._open(parent, content)
            else:
                kept = self.tree.data[self._content(parent) : parent.stop].rstrip()
                self._splices.append((self._content(parent), parent.stop, kept + content))
        self._inner.clear()
        if not self._splices:
            return self.tree
        return parse(self._spliced(), file=self.tree.file)

    def _spliced(self) -> bytes:
        data, at = self.tree.data, 0
        pieces: list[bytes] = []
        for start, end, text in sorted(self._splices, key=lambda one: (one[0], one[1] > one[0], -one[1])):
            if start < at and not (start == end == at - 1):
                continue  # in what is gone
            pieces += (data[at:start], text)
            at = max(at, end)
        pieces.append(data[at:])
        return b"".join(pieces)

    def _content(self, element: Element) -> int:
        """Where the tag of an element with an end tag ends."""
        data = self.tree.data
        match = _NAME.match(data, element.start)
        assert match is not None
        at = match.end()
        while (part := _TAG_PART.match(data, at)) is not None:
            at = part.end()
        return data.index(b">", at) + 1

    def _open(self, element: Element, content: bytes) -> None:
        """<a/> to <a>…</a>."""
        data, end = self.tree.data, element.stop - 2
        while data[end - 1 : end].isspace():
            end -= 1
        self._splices.append((end, element.stop, b">" + content + f"</{element.name}>".encode()))

    def _indent(self, element: Element) -> tuple[str, str]:
        """What is before an element on its line if nothing else is, and the line's end; else nothing."""
        data = self.tree.data
        start = element.start
        while data[start - 1 : start] in (b" ", b"\t"):
            start -= 1
        if data[start - 1 : start] != b"\n":
            return "", ""
        return data[start : element.start].decode(), "\r\n" if data[start - 2 : start] == b"\r\n" else "\n"

    @staticmethod
    def _lines(child: Made | str, indent: str, newline: str) -> str:
        if isinstance(child, str):
            return child
        lines = child.lines(indent if newline else "")
        return (newline or "\n").join(lines).removeprefix(indent)
