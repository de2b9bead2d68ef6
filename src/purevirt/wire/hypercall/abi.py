"""C structs as data: a list of fields, and where each lies.

A struct is declared once, as C declares it, with the interface versions that have each field. Its offsets are
computed, not written down:

    Every 64-bit target of Xen (x86_64 and arm64) lays structs out alike: a field begins at a multiple of its
    own alignment, which for these types is the size of one element; the struct's size is a multiple of the
    largest alignment in it. Integers are little-endian. Xen's `uint64_aligned_t` and `XEN_GUEST_HANDLE_64`
    are u64 by another name there, `domid_t` is u16, a handle (UUID) 16 bytes aligned to 1.

Offsets written down by hand would only be as right as the hand; computed ones are right if the declaration
is, and are compared with what a C compiler says about the real headers
(tests/wire/hypercall/test_layouts.py).

The same `Shape` packs and unpacks, so that what the simulated hypervisor encodes is what the client decodes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

from purevirt._typing import Any, NamedTuple, Protocol

__all__ = [
    "CStruct",
    "Field",
    "InterfaceVersions",
    "Shape",
    "handle",
    "i32",
    "text",
    "u8",
    "u16",
    "u32",
    "u64",
]

_SIZES = {"B": 1, "s": 1, "H": 2, "I": 4, "i": 4, "Q": 8}


class InterfaceVersions(Protocol):
    """What decides which fields a struct has: a row of `versions.RELEASES` is one."""

    @property
    def sysctl(self) -> int: ...
    @property
    def domctl(self) -> int: ...
    @property
    def arch(self) -> str: ...


class Field(NamedTuple):
    """One member: `code` and `length` as the struct module writes them; where it exists.

    `since` is the first interface version that has it. A field without a name is padding that C spells out.
    """

    name: str
    code: str
    length: int = 1
    since: int = 0
    arch: str | None = None

    @property
    def alignment(self) -> int:
        return _SIZES[self.code]

    @property
    def size(self) -> int:
        return _SIZES[self.code] * self.length


def u8(name: str, count: int = 1, *, since: int = 0, arch: str | None = None) -> Field:
    return Field(name, "B", count, since, arch)


def u16(name: str, count: int = 1, *, since: int = 0, arch: str | None = None) -> Field:
    return Field(name, "H", count, since, arch)


def u32(name: str, count: int = 1, *, since: int = 0, arch: str | None = None) -> Field:
    return Field(name, "I", count, since, arch)


def i32(name: str) -> Field:
    return Field(name, "i")


def u64(name: str) -> Field:
    return Field(name, "Q")


def handle(name: str) -> Field:
    """An address in the caller's memory (XEN_GUEST_HANDLE_64): 0 is none."""
    return Field(name, "Q")


def text(name: str, length: int) -> Field:
    """`char name[length]`, and the 16 bytes of a domain's handle."""
    return Field(name, "s", length)


class Shape:
    """A struct at one interface version: its size, its offsets, and how to pack and unpack it."""

    __slots__ = ("_counts", "_names", "_readers", "_struct", "offsets", "size")

    def __init__(self, fields: Iterable[Field], least: int) -> None:
        self.offsets: dict[str, tuple[int, int]] = {}
        """Each field's offset and size in bytes."""
        self._counts: dict[str, tuple[int, str]] = {}
        self._readers: dict[tuple[str, ...], struct.Struct] = {}
        position, alignment = 0, 1
        for field in fields:
            position += -position % field.alignment
            if field.name:
                self.offsets[field.name] = (position, field.size)
                self._counts[field.name] = (field.length, field.code)
            position += field.size
            alignment = max(alignment, field.alignment)
        self.size: int = max(position + -position % alignment, least)
        self._names = tuple(self.offsets)
        self._struct = self.reader(self._names)

    def reader(self, names: tuple[str, ...]) -> struct.Struct:
        """A compiled struct of the struct's whole size that holds just these fields, given in the order of C.

        For what is decoded by the thousand: `reader(names).iter_unpack(array)` walks an array of structs.
        """
        compiled = self._readers.get(names)
        if compiled is None:
            parts, position = ["<"], 0
            for name in names:
                offset, size = self.offsets[name]
                count, code = self._counts[name]
                if offset < position:
                    raise ValueError(f"{name} does not stand after its predecessor")
                parts.append(f"{offset - position}x{count if count > 1 else ''}{code}")
                position = offset + size
            parts.append(f"{self.size - position}x")
            compiled = self._readers[names] = struct.Struct("".join(parts))
        return compiled

    def pack(self, **values: Any) -> bytes:
        """The struct's bytes. A field not named is zero; an array is a sequence of its whole length."""
        flat: list[Any] = []
        for name, (count, code) in self._counts.items():
            if code == "s":
                flat.append(values.pop(name, b""))
            elif count == 1:
                flat.append(values.pop(name, 0))
            else:
                flat.extend(values.pop(name, (0,) * count))
        if values:
            raise TypeError(f"no such field: {', '.join(values)}")
        return self._struct.pack(*flat)

    def unpack(self, data: bytes, offset: int = 0) -> dict[str, Any]:
        """The fields by name, arrays as tuples. struct.error if `data` is too short."""
        flat = self._struct.unpack_from(data, offset)
        values: dict[str, Any] = {}
        position = 0
        for name, (count, code) in self._counts.items():
            if code == "s" or count == 1:
                values[name] = flat[position]
                position += 1
            else:
                values[name] = flat[position : position + count]
                position += count
        return values


class CStruct:
    """A struct over all versions. `interface` says which version number its fields' `since` counts in."""

    __slots__ = ("_shapes", "fields", "interface", "least", "name")

    def __init__(self, name: str, *fields: Field, interface: str = "", least: int = 0) -> None:
        self.name = name
        self.fields = fields
        self.interface = interface
        self.least = least
        self._shapes: dict[tuple[int, str], Shape] = {}

    def __repr__(self) -> str:
        return f"<CStruct {self.name}>"

    def at(self, versions: InterfaceVersions) -> Shape:
        """The struct as this interface has it."""
        if self.interface == "sysctl":
            version = versions.sysctl
        elif self.interface == "domctl":
            version = versions.domctl
        else:
            version = 0
        key = (version, versions.arch)
        shape = self._shapes.get(key)
        if shape is None:
            shape = self._shapes[key] = Shape(
                (f for f in self.fields if version >= f.since and f.arch in (None, versions.arch)), self.least
            )
        return shape
