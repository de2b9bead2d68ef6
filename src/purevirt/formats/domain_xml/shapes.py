"""Tables of places in XML, and the engine that reads and writes by them.

A table has a row for each place: its path ("driver/@type", "source/@file", "title" for an element's text), the name of
a value, and the kind of it. "timer[name=tsc]/@mode" is in that timer and no other. A row whose path ends with * is an
element that may come often; its kind is a table again, and its value a list. `Shape` is a table made into a tree: it
takes an element apart into values by name, and makes an element of them. What it has no row for is unknown, and kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from purevirt._typing import Any, NamedTuple
from purevirt.formats.xml import Element, Made, Tree
from purevirt.formats.xml.making import quoted, sayable
from purevirt.model.description import Unknown

__all__ = [
    "NUMBER",
    "ON_OFF",
    "OTHER",
    "PRESENT",
    "SILENT",
    "TEXT",
    "YES_NO",
    "Kind",
    "Shape",
    "silent",
    "up_to",
    "words",
]

Values = dict[str, Any]


class Kind(NamedTuple):
    """`read` gives a value or raises ValueError with what was expected, `write` a text, or None if there is none."""

    read: Callable[[str], Any]
    write: Callable[[Any], str | None]


def _number(text: str) -> int:
    digits = text.strip()
    if not (digits.isascii() and digits.isdigit() and len(digits) < 20):
        raise ValueError("a number that is not negative")
    return int(digits)


OTHER: Any = object()
"""What is read where an attribute says something that libvirt knows and the model does not: it is kept as unknown."""


def words(known: dict[str, Any], *silent: str, others: tuple[str, ...] = ()) -> Kind:
    """One of several words; of two for one value the first is written. `silent` ones say nothing, `others` are kept."""
    back: dict[Any, str] = {}
    for word, value in known.items():
        back.setdefault(value, word)
    expected = "one of " + ", ".join([*known, *silent, *others])

    def read(text: str) -> Any:
        if text in known:
            return known[text]
        if text in silent:
            return None
        if text in others:
            return OTHER
        raise ValueError(expected)

    return Kind(read, back.get)


def silent(*known: str) -> Kind:
    """These words say nothing, all others are kept."""
    return Kind(lambda text: None if text in known else OTHER, lambda value: None)


TEXT = Kind(str, lambda text: text)
NUMBER = Kind(_number, lambda number: str(number) if number >= 0 else None)
YES_NO = words({"yes": True, "no": False})


def up_to(most: int) -> Kind:
    """A number that is not written where it is larger: the schema has none such."""
    return Kind(_number, lambda number: str(number) if 0 <= number <= most else None)


ON_OFF = words({"on": True, "off": False})
PRESENT = Kind(lambda text: True, lambda value: "" if value else None)
"""An element that says something by being there."""
SILENT = Kind(lambda text: None, lambda value: None)
"""What a running domain shows, or what is always so: it says nothing of a description."""

Row = tuple[str, str, Any]


class Shape:
    """A table as a tree."""

    __slots__ = ("attributes", "children", "many", "match", "text")

    def __init__(self, rows: Iterable[Row] = ()) -> None:
        self.attributes: dict[str, tuple[str, Kind]] = {}
        self.text: tuple[str, Kind] | None = None
        self.children: dict[str, Shape] = {}
        self.many: str | None = None
        self.match: tuple[str, str] | None = None
        for path, name, kind in rows:
            self._add(path.split("/"), name, kind)

    def _add(self, steps: list[str], name: str, kind: Any) -> None:
        step, *rest = steps
        if step.startswith("@"):
            self.attributes[step[1:]] = (name, kind)
        elif step.endswith("*"):
            child = self.children[step[:-1]] = Shape(kind)
            child.many = name
        elif not step:
            self.text = (name, kind)
        else:
            child = self.children.setdefault(step, Shape())
            if "[" in step:
                attribute, _, word = step.partition("[")[2].removesuffix("]").partition("=")
                child.match = (attribute, word)
            child._add(rest or [""], name, kind)

    def read(self, tree: Tree, element: Element, place: str, values: Values, unknown: list[Unknown]) -> None:
        """Takes an element apart. ConfigError for a value that is none of its kind, and for a second of one."""
        for attribute, text in element.attributes.items():
            if self.match is not None and attribute == self.match[0]:
                continue
            row = self.attributes.get(attribute)
            if row is None:
                unknown.append(Unknown("xml", place, f"{attribute}={quoted(text)}"))
                continue
            try:
                value = row[1].read(text)
            except ValueError as error:
                raise tree.error(
                    f"<{element.name}>: {attribute} is {text!r}, expected {error}", element
                ) from None
            if value is OTHER:
                unknown.append(Unknown("xml", place, f"{attribute}={quoted(text)}"))
            elif value is not None:
                values[row[0]] = value
        if self.text is not None:
            try:
                value = self.text[1].read(element.text)
            except ValueError as error:
                raise tree.error(
                    f"<{element.name}> is {element.text.strip()!r}, expected {error}", element
                ) from None
            if value is not None:
                values[self.text[0]] = value
        seen = set()
        for child in element.children:
            shape = self._shape_of(child)
            if shape is None:
                unknown.append(Unknown("xml", place, tree.source(child)))
            elif shape.many is not None:
                items = values.setdefault(shape.many, [])
                item: Values = {}
                shape.read(tree, child, f"{place}/{child.name}[{len(items)}]", item, unknown)
                items.append(item)
            elif shape in seen:
                raise tree.error(f"a second <{child.name}> in <{element.name}>, expected one", child)
            else:
                seen.add(shape)
                key = "" if shape.match is None else f"[{shape.match[1]}]"
                shape.read(tree, child, f"{place}/{child.name}{key}", values, unknown)

    def _shape_of(self, child: Element) -> Shape | None:
        shape = self.children.get(child.name)
        if shape is None and any("[" in name for name in self.children):
            for name, one in self.children.items():
                if one.match is not None and name.startswith(f"{child.name}["):
                    attribute, word = one.match
                    if child.attributes.get(attribute) == word:
                        return one
        return shape

    def make(self, name: str, values: Values) -> Made | None:
        """The element, or None if there is nothing to say in it."""
        made = Made(name)
        for attribute, (field, kind) in self.attributes.items():
            value = values.get(field)
            if value is not None:
                text = kind.write(value)
                if text is not None and sayable(text):
                    made.attributes[attribute] = text
        if self.text is not None:
            value = values.get(self.text[0])
            if value is not None:
                text = self.text[1].write(value)
                if text is not None and sayable(text):
                    if self.text[1] is PRESENT:
                        return made
                    made.text = text
                    return made
        self.fill(made, values)
        return made if made.attributes or made.children else None

    def fill(self, made: Made, values: Values) -> None:
        """Adds the children that there is something to say in."""
        for name, shape in self.children.items():
            if shape.many is None:
                child = shape.make(name.partition("[")[0], values)
                if child is not None:
                    if shape.match is not None:
                        child.attributes = {shape.match[0]: shape.match[1], **child.attributes}
                        child.key = shape.match[1]
                    made.children.append(child)
                continue
            for index, item in enumerate(values.get(shape.many) or ()):
                child = shape.make(name, item)
                if child is not None:
                    child.key = str(index)
                    made.children.append(child)
