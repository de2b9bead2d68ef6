"""A `(vm …)` as a document: its text, the description it holds, and how it changes when the description does.

A change replaces the pair, the image or the device that says something else, and leaves the rest as it stands. Where
that would not say all that a fresh text says (an old spelling in the way), the text is written afresh.
"""

from __future__ import annotations

from collections import Counter

import purevirt.wire.sxp as sxp
from purevirt._typing import NamedTuple
from purevirt.formats import carried
from purevirt.formats.carried import Carried
from purevirt.formats.large import Unhindered
from purevirt.formats.xend_sxpr.vm.binding import CARRIED, Canonical, Expression, canonical, described
from purevirt.formats.xend_sxpr.vm.devices import KINDS
from purevirt.formats.xend_sxpr.vm.source import Source, read
from purevirt.model.description import DomainDescription
from purevirt.wire.sxp.places import PlacedList

__all__ = ["Note", "SxprDocument", "format", "parse"]

_EXPECTED = "(vm …) or (domain …)"
_ORDER = (
    "name", "uuid", "description", "memory", "maxmem", "shadow_memory", "vcpus", "vcpu_avail", "cpus", "cpu_weight",
    "cpu_cap", "pool_name", "on_poweroff", "on_reboot", "on_crash", "security_label", "bootloader", "bootloader_args",
)  # fmt: skip
"""In which order a fresh text has them."""


class Note(NamedTuple):
    """Something that was passed over: where, and what."""

    line: int
    column: int
    text: str


class SxprDocument:
    """An expression of a domain as xend took it.

    `description` is what it says, with what it carries; `carried` is what of it xend has no words for; `comments` how
    many there are; `notes` what in it no longer holds.
    """

    __slots__ = ("_said", "_source", "carried", "comments", "description", "notes")

    def __init__(
        self,
        source: Source,
        said: DomainDescription,
        description: DomainDescription,
        carries: tuple[Carried, ...],
        notes: tuple[Note, ...] = (),
    ) -> None:
        self._source = source
        self._said = said
        self.description = description
        self.carried = carries
        self.comments = source.comments
        self.notes = notes

    @property
    def autostart(self) -> bool:
        """Whether it says that the domain starts with the daemon: `(on_xend_start start)`."""
        return sxp.value(self._source.root, "on_xend_start") == "start"

    def text(self) -> str:
        """The expression, letter for letter as it was where nothing changed."""
        return self._source.text()

    def updated(self, description: DomainDescription) -> SxprDocument:
        """The same text, changed where the description says something else."""
        if description == self.description:
            return self
        fresh = format(description, file=self._source.file)
        changed = _changed(self, description, fresh.carried)
        said = described(changed)
        if tuple(carried.missing(said, description)) != fresh.carried:
            return fresh
        return SxprDocument(changed, said, description, fresh.carried)

    def __repr__(self) -> str:
        return f"<SxprDocument of {self.description.name!r}>"


def parse(text: str, *, file: str = "<text>") -> SxprDocument:
    """Read `(vm …)`, or `(domain …)` as xend shows one. ConfigError, with line and column, for what is wrong in it.

    What is true of a running domain only (its number, its state, its times) is passed over.
    """
    with Unhindered(text):
        source = read(text, file=file, expected=_EXPECTED)
        said = described(source)
    lines = _carried_lines(source)
    if not lines:
        return SxprDocument(source, said, said, ())
    description, stale = carried.apply(said, lines)
    place = sxp.child(source.root, CARRIED)
    notes = []
    if stale and place is not None:
        at = source.error("", place)
        notes = [
            Note(at.line or 1, at.column or 1, f"no longer holds: {carried.line(item)}") for item in stale
        ]
    missing = tuple(carried.missing(said, description))
    return SxprDocument(source, said, description, missing, tuple(notes))


def format(description: DomainDescription, *, file: str = "<text>") -> SxprDocument:  # noqa: A001 - see parse
    """Write a description as `(vm …)`, with all that it says, a line for each pair."""
    made = canonical(description)
    bare = _read(_written(made, ()), file)
    said = described(bare)
    lost = tuple(carried.missing(said, description))
    source = _read(_written(made, tuple(map(carried.line, lost))), file) if lost else bare
    return SxprDocument(source, said, description, lost)


def _read(text: str, file: str) -> Source:
    return read(text, file=file, expected=_EXPECTED)


def _written(made: Canonical, lines: tuple[str, ...]) -> str:
    children = [sxp.text(made.pairs[key]) for key in _ORDER if key in made.pairs]
    if made.image is not None:
        children.append(_image_text(made.image))
    children += [sxp.text(("device", device)) for device in made.devices]
    children += map(sxp.text, made.unknown)
    if lines:
        children.append(_carrying(lines))
    return "\n    ".join(["(vm", *children]) + ")\n"


def _image_text(image: Expression) -> str:
    kind, *pairs = image[1] if isinstance(image[1], tuple) else ("linux",)
    return "\n        ".join([f"(image ({kind}", *map(sxp.text, pairs)]) + "))"


def _carrying(lines: tuple[str, ...]) -> str:
    return "\n        ".join([f"({CARRIED}", *map(sxp.text, lines)]) + ")"


def _carried_lines(source: Source) -> list[Carried]:
    found = []
    for line in (sxp.child(source.root, CARRIED) or [])[1:]:
        if isinstance(line, list):
            raise source.error(f"{CARRIED}: expected lines of text, found a list", line)
        try:
            found.append(carried.parse_line(line))
        except ValueError as error:
            raise source.error(f"{CARRIED}: {error}", line) from None
    return found


# --- changes in place


def _changed(document: SxprDocument, description: DomainDescription, lost: tuple[Carried, ...]) -> Source:
    source = document._source
    before, after = canonical(document._said), canonical(description)
    edits = _Edits(source)
    for key in dict.fromkeys((*before.pairs, *after.pairs)):
        if before.pairs.get(key) != after.pairs.get(key):
            edits.put(key, sxp.text(after.pairs[key]) if key in after.pairs else None)
    if before.image != after.image:
        edits.put("image", None if after.image is None else _image_text(after.image))
    _change_devices(edits, before.devices, after.devices)
    was, will = frozenset(before.unknown), frozenset(after.unknown)
    edits.drop_texts({sxp.text(one) for one in was - will})
    edits.more += [sxp.text(one) for one in after.unknown if one not in was]
    lines = tuple(map(carried.line, lost))
    edits.put(CARRIED, _carrying(lines) if lines else None)
    return _read(edits.done(), source.file)


def _change_devices(edits: _Edits, before: tuple[Expression, ...], after: tuple[Expression, ...]) -> None:
    """Kind by kind. Devices that stay keep their places, as many as follow one another in both."""
    for word in dict.fromkeys(str(device[0]) for device in (*before, *after)):
        there = edits.devices(word)
        old = [device for device in before if device[0] == word]
        new = [device for device in after if device[0] == word]
        if old == new:
            continue
        if len(there) != len(old):  # some of them are said in another way
            for child in there:
                edits.drop(child)
            there, old = [], []
        index, still = 0, Counter(new)
        for child, device in zip(there, old, strict=True):
            if index < len(new) and (device == new[index] or not still[device]):
                if device != new[index]:
                    edits.replace(child, sxp.text(("device", new[index])))
                still[new[index]] -= 1
                index += 1
            else:
                edits.drop(child)
        edits.more += [sxp.text(("device", device)) for device in new[index:]]


class _Edits:
    """Children of the root to be replaced, dropped, or added at the end."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.more: list[str] = []
        self._changes: dict[int, tuple[PlacedList, str | None]] = {}

    def children(self) -> list[PlacedList]:
        return [child for child in self.source.root[1:] if isinstance(child, PlacedList)]

    def devices(self, word: str) -> list[PlacedList]:
        """The devices that are written as of that kind."""
        found = []
        for child in self.children():
            kind = sxp.head(child[1]) if child[0] == "device" and len(child) == 2 else None
            if kind is not None and (KINDS[kind].word if kind in KINDS else kind) == word:
                found.append(child)
        return found

    def put(self, key: str, text: str | None) -> None:
        """Another text for a pair, None for none."""
        there = [child for child in self.children() if child[0] == key]
        if there and text is not None:
            self.replace(there[0], text)
        elif there:
            self.drop(there[0])
        elif text is not None:
            self.more.append(text)

    def drop_texts(self, texts: set[str]) -> None:
        """Every child that would be written so."""
        for child in self.children() if texts else ():
            if id(child) not in self._changes and sxp.text(child) in texts:
                self.drop(child)

    def replace(self, child: PlacedList, text: str) -> None:
        self._changes[id(child)] = (child, text)

    def drop(self, child: PlacedList) -> None:
        self._changes[id(child)] = (child, None)

    def done(self) -> str:
        data, root = self.source.data, self.source.root
        parts: list[bytes] = []
        at = 0
        for child, text in sorted(self._changes.values(), key=lambda change: change[0].start):
            before = data[at : child.start]
            parts.append(before if text is not None else _without_space(before))
            parts.append(b"" if text is None else text.encode("utf-8"))
            at = child.end
        rest = data[at : root.end - 1]
        parts.append(rest)
        parts += [f"\n    {text}".encode() for text in self.more]
        parts.append(data[root.end - 1 :])
        return b"".join(parts).decode("utf-8")


def _without_space(before: bytes) -> bytes:
    """What stands before something that goes, without the space between; a comment keeps the end of its line."""
    stripped = before.rstrip(b" \t\r\n")
    return stripped + b"\n" if b"#" in stripped[stripped.rfind(b"\n") + 1 :] else stripped
