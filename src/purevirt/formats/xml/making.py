"""Elements to be written, and how they are: two spaces for each level, single quotes, as libvirt has them."""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["Made", "element", "escaped", "quoted", "sayable"]

_UNSAYABLE = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_IN_TEXT = re.compile("[&<>\r]")
_IN_ATTRIBUTE = re.compile("[&<>'\t\n\r]")
_REFERENCES = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    "'": "&apos;",
    "\t": "&#9;",
    "\n": "&#10;",
    "\r": "&#13;",
}


def sayable(text: str) -> bool:
    """Whether XML has all of its characters."""
    return text.isprintable() or _UNSAYABLE.search(text) is None


def escaped(text: str) -> str:
    """As the text of an element."""
    return _IN_TEXT.sub(_reference, text) if _IN_TEXT.search(text) else text


def quoted(text: str) -> str:
    """As an attribute's value, with its quotes."""
    return f"'{_IN_ATTRIBUTE.sub(_reference, text)}'" if _IN_ATTRIBUTE.search(text) else f"'{text}'"


def _reference(match: re.Match[str]) -> str:
    return _REFERENCES[match[0]]


class Made:
    """An element to be written: text or children, not both. `key` says which one of its name it is.

    A child that is a str is XML already, and stands as it is.
    """

    __slots__ = ("attributes", "children", "key", "name", "text")

    def __init__(
        self,
        name: str,
        attributes: dict[str, str] | None = None,
        text: str | None = None,
        children: list[Made | str] | None = None,
        key: str = "",
    ) -> None:
        self.name = name
        self.attributes = {} if attributes is None else attributes
        self.text = text
        self.children: list[Made | str] = [] if children is None else children
        self.key = key

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Made)
            and self.name == other.name
            and self.attributes == other.attributes
            and self.text == other.text
            and self.children == other.children
        )

    __hash__ = None  # type: ignore[assignment]

    def find(self, name: str) -> Made | None:
        """The first child of a name."""
        for child in self.children:
            if isinstance(child, Made) and child.name == name:
                return child
        return None

    def lines(self, indent: str = "") -> list[str]:
        """The text, a string for each line."""
        lines: list[str] = []
        self._write(lines, indent)
        return lines

    def _write(self, lines: list[str], indent: str) -> None:
        tag = self.name
        for name, value in self.attributes.items():
            tag += f" {name}={quoted(value)}"
        if self.children:
            lines.append(f"{indent}<{tag}>")
            deeper = indent + "  "
            for child in self.children:
                if isinstance(child, str):
                    lines.append(deeper + child)
                else:
                    child._write(lines, deeper)
            lines.append(f"{indent}</{self.name}>")
        elif self.text is not None:
            lines.append(f"{indent}<{tag}>{escaped(self.text)}</{self.name}>")
        else:
            lines.append(f"{indent}<{tag}/>")


def element(name: str, content: object = "", children: Iterable[Made] = (), /, **attributes: object) -> Made:
    """An element from plain values. Letters that XML has no way to say become U+FFFD."""
    text = _said(content)
    return Made(name, {key: _said(value) for key, value in attributes.items()}, text or None, list(children))


def _said(value: object) -> str:
    return _UNSAYABLE.sub("\ufffd", str(value))
