"""An xl.cfg as a document: its text, the description it holds, and how it changes when the description does.

What xl has no words for is carried in a setting that it passes over (`purevirt = [ … ]`, see `formats.carried`).
Whether something needs to be carried is never declared: what was written is read again and compared with what was
wanted.
"""

from __future__ import annotations

import re

from purevirt.formats import carried
from purevirt.formats.carried import Carried
from purevirt.formats.large import Unhindered
from purevirt.formats.xl_config import spelling
from purevirt.formats.xl_config.binding import CARRIED, LAYOUT, Unit, canonical, described
from purevirt.formats.xl_config.editing import edited
from purevirt.formats.xl_config.reading import Reader
from purevirt.formats.xl_config.spelling import Plain
from purevirt.formats.xl_config.syntax import Note, Setting, Syntax, read
from purevirt.model.description import DomainDescription, Unknown

__all__ = ["XEN", "XlDocument", "format", "parse"]

XEN = (4, 17)
"""The oldest Xen that understands what is written: where a later one has more words, they are carried instead."""

_COMMENT = re.compile(r""""[^"\\\n]*+(?:\\.[^"\\\n]*+)*+"|'[^'\\\n]*+(?:\\.[^'\\\n]*+)*+'|(#)[^\n]*""")
_GROUP = {name: index for index, names in enumerate(LAYOUT) for name in names}
_RANK = {name: rank for rank, name in enumerate(name for names in LAYOUT for name in names)}


class XlDocument:
    """A configuration file of xl.

    `description` is what it says, with what it carries; `carried` is what of it xl has no words for; `notes` are
    oddities that can be read all the same.
    """

    __slots__ = ("_said", "_syntax", "carried", "description", "xen")

    def __init__(
        self,
        syntax: Syntax,
        said: DomainDescription,
        description: DomainDescription,
        carries: tuple[Carried, ...],
        xen: tuple[int, int],
    ) -> None:
        self._syntax = syntax
        self._said = said
        self.description = description
        self.carried = carries
        self.xen = xen

    @property
    def notes(self) -> tuple[Note, ...]:
        """What is odd in it: a name that is set twice, carriage returns, a carried value that no longer holds."""
        return self._syntax.notes

    @property
    def comments(self) -> int:
        """How many comments are in it."""
        return sum(1 for match in _COMMENT.finditer(self._syntax.text) if match[1])

    def text(self) -> str:
        """The file, letter for letter as it was where nothing changed."""
        return self._syntax.text

    def updated(self, description: DomainDescription) -> XlDocument:
        """The same file, changed where the description says something else.

        Comments, order, unknown settings and the spelling of what did not change stay.
        """
        if description == self.description:
            return self
        syntax = self._syntax
        changes = _changes(self, description)
        gone, new = _unknown_changes(syntax, self._said.unknown, description.unknown, set(changes))
        after = {name: _anchors(name) for name in changes}
        syntax = edited(syntax, changes, after=after, removed=gone, appended=new)
        syntax, said = _without_leftovers(syntax, description, self.xen)
        return _finished(syntax, said, description, self.xen)

    def __repr__(self) -> str:
        return f"<XlDocument of {self.description.name!r}, {len(self._syntax.text.splitlines())} lines>"


def parse(text: str, *, file: str = "<text>", xen: tuple[int, int] = XEN) -> XlDocument:
    """Read a configuration file of xl. ConfigError, with line and column, for what is wrong in it.

    `xen` is the version for which changes are written.
    """
    with Unhindered(text):
        syntax = read(text, file=file)
        said = described(syntax)
    lines = [item for item, _ in _carried_lines(syntax)]
    if not lines:
        return XlDocument(syntax, said, said, (), xen)
    description, stale = carried.apply(said, lines)
    if stale:
        offset = syntax.values()[CARRIED].start
        place = syntax.place(offset)
        notes = [Note(*place, f"no longer holds: {carried.line(item)}") for item in stale]
        syntax = Syntax(syntax.text, syntax.file, syntax.settings, (*syntax.notes, *notes))
    return XlDocument(syntax, said, description, tuple(carried.missing(said, description)), xen)


def format(  # noqa: A001 - the other half of parse
    description: DomainDescription, *, file: str = "<text>", xen: tuple[int, int] = XEN
) -> XlDocument:
    """Write a description as a configuration file, in groups of what belongs together.

    For Xen 4.17, unless `xen` says that a later one is to read it.
    """
    written: dict[str, Plain] = {}
    for unit in canonical(description, xen):
        written.update(unit.written)
    _, unknown = _unknown_changes(read("", file=file), (), description.unknown, set(written))
    lines: list[str] = []
    group = None
    for name in sorted(written, key=lambda name: _RANK[name]):
        if group is not None and _GROUP[name] != group:
            lines.append("")
        group = _GROUP[name]
        lines.append(spelling.setting(name, written[name]))
    if unknown:
        lines.extend(["", *unknown])
    syntax = read("".join(f"{line}\n" for line in lines), file=file)
    return _finished(syntax, described(syntax), description, xen)


def _finished(
    syntax: Syntax, said: DomainDescription, description: DomainDescription, xen: tuple[int, int]
) -> XlDocument:
    """With what the text does not say of the description carried in it."""
    lost = tuple(carried.missing(said, description))
    old = syntax.values().get(CARRIED)
    there = _carried_lines(syntax)
    kept = [(item, text) for item, text in there if item in lost]
    said_already = [item for item, _ in kept]
    added = [item for item in lost if item not in said_already]
    lines: tuple[Plain, ...] = (*(text for _, text in kept), *map(carried.line, added))
    if old is not None or lines:
        syntax = edited(syntax, {CARRIED: lines or None})
        if old is None:  # a blank line before it
            start = syntax.settings[-1].start
            syntax = read(f"{syntax.text[:start]}\n{syntax.text[start:]}", file=syntax.file)
    return XlDocument(syntax, said, description, lost, xen)


def _carried_lines(syntax: Syntax) -> list[tuple[Carried, str]]:
    """What a file carries, each with the line as it stands there."""
    reader = Reader(syntax)
    lines = []
    for item in reader.list(CARRIED):
        try:
            lines.append((carried.parse_line(item.value), item.value))
        except ValueError as error:
            reader.fail(f"{CARRIED}: {error}", item)
    return lines


# --- changes in place


def _changes(document: XlDocument, description: DomainDescription) -> dict[str, Plain | None]:
    """New values of settings, None for those to be taken away."""
    values = document._syntax.values()
    changes: dict[str, Plain | None] = {}
    before, after = canonical(document._said, document.xen), canonical(description, document.xen)
    for old, new in zip(before, after, strict=True):
        if old.written == new.written:
            continue
        for name in sorted({*old.names, *new.written}, key=lambda name: _RANK[name]):
            if name in new.written:
                changes[name] = _kept_spelling(document._syntax, name, old, new)
            elif name in values and name in _known(document):
                changes[name] = None
    return changes


def _known(document: XlDocument) -> set[str]:
    """The settings of the file that say something of the description."""
    unknown = {item.place for item in document._said.unknown}
    return {setting.name for setting in document._syntax.settings} - unknown


def _kept_spelling(syntax: Syntax, name: str, old: Unit, new: Unit) -> Plain:
    """The new value, with those items of a list as they are in the file that mean the same as before."""
    wanted, meant = new.written[name], old.written.get(name)
    found = syntax.values().get(name)
    spelled = None if found is None else spelling.plain(found)
    if not (isinstance(wanted, tuple) and isinstance(meant, tuple) and isinstance(spelled, tuple)):
        return wanted
    if len(meant) != len(spelled):
        return wanted
    spare: dict[Plain, list[Plain]] = {}
    for meaning, text in zip(reversed(meant), reversed(spelled), strict=True):
        spare.setdefault(meaning, []).append(text)
    return tuple(spare[item].pop() if spare.get(item) else item for item in wanted)


def _unknown_changes(
    syntax: Syntax, old: tuple[Unknown, ...], new: tuple[Unknown, ...], written: set[str]
) -> tuple[list[Setting], list[str]]:
    """Unknown settings that are to go, and lines that are to come."""
    before = frozenset(old)
    gone = before.difference(new)
    settings = [
        setting
        for setting in syntax.settings
        if Unknown("xl", setting.name, syntax.text[setting.start : setting.end]) in gone
    ]
    come = [item for item in new if item not in before and item.format == "xl" and "[" not in item.place]
    return settings, [item.text for item in come if item.place not in written and _is_setting(item)]


def _is_setting(item: Unknown) -> bool:
    """Whether the text is one setting of that name, as an unknown one has to be to be written."""
    from purevirt.errors import ConfigError

    try:
        (setting,) = read(item.text).settings
    except (ConfigError, ValueError):
        return False
    return setting.name == item.place and item.text == item.text[setting.start : setting.end]


def _anchors(name: str) -> tuple[str, ...]:
    """The settings below which a new one fits: those of its group."""
    return LAYOUT[_GROUP[name]] if name in _GROUP else ()


def _without_leftovers(
    syntax: Syntax, description: DomainDescription, xen: tuple[int, int]
) -> tuple[Syntax, DomainDescription]:
    """Without settings that say what is no longer wanted, and what could not be written otherwise.

    Such are old spellings of nothing (`sdl = 0`), and what xl reads but nobody should write.
    """
    said = described(syntax)
    lost = carried.missing(said, description)
    if not lost:
        return syntax, said
    written = {name for unit in canonical(said, xen) for name in unit.written}
    unknown = {item.place for item in said.unknown}
    silent = {setting.name for setting in syntax.settings} - written - unknown - {CARRIED, "name"}
    if not silent:
        return syntax, said
    shorter = edited(syntax, dict.fromkeys(sorted(silent)))
    then = described(shorter)
    return (shorter, then) if len(carried.missing(then, description)) < len(lost) else (syntax, said)
