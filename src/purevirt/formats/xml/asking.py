"""Asking elements for what must be there: an element, a word, a number.

Whatever is not as it should be is a ConfigError with the element's line and column, and says what was expected.
"""

from __future__ import annotations

from collections.abc import Iterable

from purevirt._typing import NoReturn
from purevirt.formats.xml.tree import Element, Tree, parse

__all__ = ["Asked", "ask"]

_LARGEST = 1 << 63


def ask(text: str | bytes, root: str, *, file: str = "<text>") -> Asked:
    """The root element of a text, which must be called `root`. ConfigError, as for `parse`."""
    tree = parse(text, file=file)
    asked = Asked(tree, tree.root)
    if asked.name != root:
        asked.fail(f"expected <{root}>")
    return asked


class Asked:
    """An element that is asked."""

    __slots__ = ("_element", "_tree", "attributes", "name")

    def __init__(self, tree: Tree, element: Element) -> None:
        self._tree = tree
        self._element = element
        self.name = element.name
        self.attributes = element.attributes

    @property
    def content(self) -> str:
        """Its text, without the space around it."""
        return self._element.text.strip()

    @property
    def children(self) -> list[Asked]:
        return [Asked(self._tree, child) for child in self._element.children]

    def fail(self, message: str) -> NoReturn:
        """ConfigError about this element."""
        raise self._tree.error(f"<{self.name}>: {message}", self._element)

    def all(self, *path: str) -> list[Asked]:
        """The elements at the end of a path of names."""
        found = [self._element]
        for name in path:
            found = [child for element in found for child in element.children if child.name == name]
        return [Asked(self._tree, element) for element in found]

    def find(self, *path: str) -> Asked | None:
        """The only element at the end of a path, or None. ConfigError if there are several."""
        found = self.all(*path)
        if len(found) > 1:
            found[1].fail("expected once, found again")
        return found[0] if found else None

    def need(self, *path: str) -> Asked:
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
