"""Struct layouts as the compiler itself records them: DWARF debugging information, read with `readelf`.

Nothing is run, so headers for another architecture are measured as well as our own; and no list of fields is
written by hand, so none can be forgotten. `readelf --debug-dump=info` prints a tree of entries, of which only
these matter:

    <1><142>: Abbrev Number: 15 (DW_TAG_structure_type)        depth, offset, tag
       <143>   DW_AT_name        : (indirect string, offset: 0x180): xenctl_bitmap
       <147>   DW_AT_byte_size   : 16
    <2><151>: Abbrev Number: 16 (DW_TAG_member)                a child: one level deeper
       <15d>   DW_AT_type        : <0x…>                       the offset of another entry
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

_ENTRY = re.compile(r"^ <(\w+)><(\w+)>: Abbrev Number: \d+ \(DW_TAG_(\w+)\)")
_ATTRIBUTE = re.compile(r"^ +<\w+> +DW_AT_(\w+) *: (?:\(.*?\):? )?(.*?)\s*$")
_REFERENCE = re.compile(r"<(0x\w+)>")


@dataclass(slots=True)
class Entry:
    """One debugging information entry."""

    tag: str
    attributes: dict[str, str] = field(default_factory=dict)
    children: list[Entry] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.attributes.get("name", "")

    def number(self, attribute: str) -> int:
        return int(self.attributes.get(attribute, "0").split()[0], 0)


@dataclass(slots=True)
class Layout:
    """A type's size, and for a struct (offset, size) of each field, nested ones with dotted names."""

    size: int
    fields: dict[str, tuple[int, int]]


class Dwarf:
    """The debugging information of one object file."""

    def __init__(self, objectfile: Path) -> None:
        command = ["readelf", "--debug-dump=info", str(objectfile)]
        text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        self._entries: dict[int, Entry] = {}
        self._parse(text)

    def layout(self, variable: str) -> Layout:
        """The layout of the type of a global variable."""
        entry = self._named("variable", variable)
        size = self._size(entry)
        return Layout(size, dict(self._fields(self._type(entry), "", 0)))

    def enumerators(self, variable: str) -> dict[str, int]:
        """Names and values of the enumeration that is the type of a global variable."""
        entry = self._type(self._named("variable", variable))
        return {child.name: child.number("const_value") for child in entry.children}

    def _parse(self, text: str) -> None:
        ancestors: list[Entry] = []
        entry: Entry | None = None
        for line in text.splitlines():
            if found := _ENTRY.match(line):
                depth, offset, tag = int(found[1], 16), int(found[2], 16), found[3]
                entry = self._entries[offset] = Entry(tag)
                del ancestors[depth:]
                if ancestors:
                    ancestors[-1].children.append(entry)
                ancestors.append(entry)
            elif entry is not None and (found := _ATTRIBUTE.match(line)):
                entry.attributes[found[1]] = found[2]

    def _named(self, tag: str, name: str) -> Entry:
        for entry in self._entries.values():
            if entry.tag == tag and entry.name == name:
                return entry
        raise KeyError(name)

    def _type(self, entry: Entry) -> Entry:
        """What the entry is of: its type with typedefs and qualifiers taken off."""
        reference = _REFERENCE.search(entry.attributes["type"])
        assert reference is not None
        target = self._entries[int(reference[1], 16)]
        return self._type(target) if target.tag in ("typedef", "const_type", "volatile_type") else target

    def _size(self, entry: Entry) -> int:
        """The size of a variable's, member's or array element's type."""
        target = self._type(entry)
        if target.tag != "array_type":
            return target.number("byte_size")
        size = self._size(target)
        for dimension in target.children:
            bound = dimension.attributes.get("upper_bound")
            size *= int(bound.split()[0], 0) + 1 if bound is not None else 0  # no bound: a flexible array
        return size

    def _fields(self, structure: Entry, prefix: str, base: int) -> Iterator[tuple[str, tuple[int, int]]]:
        """The fields of a struct, and those of the structs inside it; Xen's guest handles count as plain."""
        for member in structure.children:
            if member.tag != "member":
                continue
            name, offset = prefix + member.name, base + member.number("data_member_location")
            inner = self._type(member)
            if member.name:
                yield name, (offset, self._size(member))
            if inner.tag in ("structure_type", "union_type") and not inner.name.startswith("__guest_handle"):
                yield from self._fields(inner, f"{name}." if member.name else prefix, offset)
