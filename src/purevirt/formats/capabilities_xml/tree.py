"""Small XML documents as trees: elements with attributes, children, and text without mixture.

Reading is by expat, which knows no file but the one it is given: document types, and with them entities, are refused;
depth and size are bounded. What is asked of an element that is not as it should be raises ConfigError with its line and
column, and says what was expected.
"""

from __future__ import annotations

from collections.abc import Iterable

from purevirt._typing import NoReturn
from purevirt.errors import ConfigError

__all__ = ["Element", "parse", "text"]

MAX_BYTES = 16 << 20
MAX_DEPTH = 64
_LARGEST = 1 << 63


class Element:
    """One element. `content` is its text, without the space around it."""

    __slots__ = ("_file", "_parts", "attributes", "children", "column", "line", "name")

    def __init__(
        self,
        name: str,
        content: object = "",
        children: Iterable[Element] = (),
        /,
        **attributes: object,
    ) -> None:
        self.name = name
        self.attributes = {key: str(value) for key, value in attributes.items()}
        self.children = list(children)
        self.line = self.column = 0
        self._parts = [str(content)]
        self._file: str | None = None

    @property
    def content(self) -> str:
        return "".join(self._parts).strip()

    # --- what is asked of it

    def fail(self, message: str) -> NoReturn:
        """ConfigError about this element."""
        raise ConfigError(
            f"{self._file}:{self.line}:{self.column}: <{self.name}>: {message}",
            file=self._file,
            line=self.line,
            column=self.column,
        )

    def all(self, *path: str) -> list[Element]:
        """The elements at the end of a path of names."""
        found = [self]
        for name in path:
            found = [child for element in found for child in element.children if child.name == name]
        return found

    def find(self, *path: str) -> Element | None:
        """The only element at the end of a path, or None. ConfigError if there are several."""
        found = self.all(*path)
        if len(found) > 1:
            found[1].fail("expected once, found again")
        return found[0] if found else None

    def need(self, *path: str) -> Element:
        """The only element at the end of a path. ConfigError if there is none."""
        found = self.find(*path)
        if found is None:
            self.fail(f"expected an element <{path[-1]}> in it")
        return found

    def said(self, *path: str) -> str | None:
        """The content at the end of a path; None if there is no such element, or nothing in it."""
        found = self.find(*path)
        return (found.content or None) if found is not None else None

    def word(self, name: str, known: Iterable[str]) -> str:
        """An attribute that must be one of some words."""
        value, words = self.attributes.get(name), tuple(known)
        if value is None or value not in words:
            self.fail(f"{name}: expected {' or '.join(words)}, found {_shown(value)}")
        return value

    def number(self, name: str) -> int:
        """An attribute that must be a whole number."""
        value = self.maybe_number(name)
        if value is None:
            self.fail(f"{name}: expected a whole number, found nothing")
        return value

    def maybe_number(self, name: str) -> int | None:
        """The same; None if there is no such attribute."""
        value = self.attributes.get(name)
        return None if value is None else self._integer(value, f"{name}: ")

    def content_number(self) -> int:
        """Its content, which must be a whole number."""
        return self._integer(self.content, "")

    def _integer(self, value: str, where: str) -> int:
        if not (value.isascii() and value.isdigit() and len(value) <= 19 and int(value) < _LARGEST):
            self.fail(f"{where}expected a whole number, found {_shown(value)}")
        return int(value)


def _shown(value: str | None) -> str:
    if value is None:
        return "nothing"
    return repr(value if len(value) <= 40 else value[:37] + "...")


# --- reading ------------------------------------------------------------------------------------------------


def parse(source: str | bytes, file: str, root: str) -> Element:
    """The document's element, which must be called `root`."""
    from xml.parsers import expat

    try:
        data = source.encode() if isinstance(source, str) else source
    except UnicodeEncodeError:
        raise ConfigError(f"{file}: half a character is no XML", file=file) from None
    if len(data) > MAX_BYTES:
        raise ConfigError(f"{file}: larger than {MAX_BYTES >> 20} MiB", file=file)
    parser = expat.ParserCreate("utf-8" if isinstance(source, str) else None)
    parser.buffer_text = True
    top, stack = Element(""), list[Element]()

    def refuse(message: str) -> NoReturn:
        line, column = parser.CurrentLineNumber, parser.CurrentColumnNumber + 1
        raise ConfigError(f"{file}:{line}:{column}: {message}", file=file, line=line, column=column)

    def start(name: str, attributes: dict[str, str]) -> None:
        element = Element(name)
        element.attributes = attributes
        element.line, element.column = parser.CurrentLineNumber, parser.CurrentColumnNumber + 1
        element._file = file
        if len(stack) == MAX_DEPTH:
            refuse(f"elements are nested deeper than {MAX_DEPTH}")
        (stack[-1] if stack else top).children.append(element)
        stack.append(element)

    def end(name: str) -> None:
        stack.pop()

    def characters(text: str) -> None:
        stack[-1]._parts.append(text)

    def doctype(*_: object) -> None:
        refuse("document types and entities are refused")

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler = characters
    parser.StartDoctypeDeclHandler = doctype
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        line, column = error.lineno, error.offset + 1
        words = expat.ErrorString(error.code)
        raise ConfigError(
            f"{file}:{line}:{column}: no XML: {words}", file=file, line=line, column=column
        ) from None
    except (LookupError, ValueError) as error:  # an encoding that Python does not know, or that is no text's
        raise ConfigError(f"{file}: {error}", file=file) from None
    (element,) = top.children
    if element.name != root:
        element.fail(f"expected <{root}>")
    return element


# --- writing ------------------------------------------------------------------------------------------------


def text(element: Element, *, apart: bool = False) -> str:
    """The document, as libvirt lays it out: two spaces a level; `apart`, the root's children between empty lines."""
    if not apart:
        return "\n".join(_lines(element, "")) + "\n"
    parts = ["\n".join(_lines(child, "  ")) + "\n" for child in element.children]
    return "\n".join([f"<{element.name}>\n", *parts, f"</{element.name}>\n"])


def _lines(element: Element, indent: str) -> list[str]:
    attributes = "".join(f" {key}='{_escaped(value)}'" for key, value in element.attributes.items())
    head = f"{indent}<{element.name}{attributes}"
    if element.children:
        lines = [f"{head}>"]
        for child in element.children:
            lines += _lines(child, indent + "  ")
        return [*lines, f"{indent}</{element.name}>"]
    content = element.content
    return [f"{head}>{_escaped(content)}</{element.name}>" if content else f"{head}/>"]


def _escaped(value: str) -> str:
    """Text or an attribute's value. What XML has no way to say (control characters) becomes U+FFFD."""
    for letter, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("'", "&apos;")):
        value = value.replace(letter, entity)
    return "".join(letter if _allowed(letter) else "\ufffd" for letter in value)


def _allowed(letter: str) -> bool:
    return " " <= letter < "\ud800" or "\ue000" <= letter not in ("\ufffe", "\uffff")
