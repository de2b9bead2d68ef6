"""Changing settings of an xl.cfg in its own text: what does not change keeps its spelling, its place, its comments.

`edited` takes new values for names and gives the file as it is then. A value that already is what is wanted is left
alone, whatever its spelling. Of a list only the items that differ are touched: an item is replaced where it stands, a
new one is put after the one before it, in the same manner of layout; comments stay. Everything is done as replacements
of stretches of the text, in one go, and the result is read again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from purevirt._typing import NamedTuple
from purevirt.formats.xl_config import spelling
from purevirt.formats.xl_config.spelling import Plain
from purevirt.formats.xl_config.syntax import Atom, Items, Setting, Syntax, Value, read

__all__ = ["edited"]

_BLANK = re.compile(r"[ \t]*+")
_LIST_GAP = re.compile(r"(?:[ \t\r\n]++|#[^\n]*+)*+")
_LINE_REST = re.compile(r"[ \t\r]*+(?:#[^\n]*+)?+(?=\n)")
_ALIGNED = 200
"""Lists whose changed middles are longer are replaced item by item, without a search for what is alike."""


class Edit(NamedTuple):
    """Replace what is between two offsets."""

    start: int
    end: int
    text: str


def edited(
    syntax: Syntax,
    changes: Mapping[str, Plain | None],
    *,
    after: Mapping[str, Iterable[str]] | None = None,
    removed: Iterable[Setting] = (),
    appended: Iterable[str] = (),
) -> Syntax:
    """The file with other values; None takes every setting of a name away.

    A new setting goes to the end, or below the last of the settings that `after` names for it, if there is one.
    `removed` are single settings to take out, `appended` whole lines to add at the end. ValueError for a string with
    a NUL.
    """
    edits: list[Edit] = [_removal(syntax, setting) for setting in removed]
    below: dict[int, list[str]] = {}
    lines: list[str] = []
    values = syntax.values()
    for name, wanted in changes.items():
        chain = syntax.settings_of(name)
        if wanted is None:
            edits.extend(_removal(syntax, setting) for setting in syntax.settings if setting.name == name)
        elif not chain:
            anchors = set(after.get(name, ())) if after is not None else set()
            anchor = next((one for one in reversed(syntax.settings) if one.name in anchors), None)
            if anchor is None:
                lines.append(spelling.setting(name, wanted))
            else:
                below.setdefault(_line_end(syntax.text, anchor.end, syntax), []).append(
                    spelling.setting(name, wanted)
                )
        elif not spelling.same(values[name], wanted):
            edits.extend(_changed(syntax, chain, values[name], wanted))
    for offset, added in below.items():
        first, last = ("", "\n") if syntax.text.endswith("\n", 0, offset) else ("\n", "")
        edits.append(Edit(offset, offset, "".join(f"{first}{line}{last}" for line in added)))
    lines.extend(appended)
    if lines:
        text = syntax.text
        begin = "" if not text or text.endswith("\n") else "\n"
        edits.append(Edit(len(text), len(text), begin + "".join(f"{line}\n" for line in lines)))
    if not edits:
        return syntax
    return read(_applied(syntax.text, edits), file=syntax.file)


def _applied(text: str, edits: list[Edit]) -> str:
    parts: list[str] = []
    position = 0
    for start, end, new in sorted(edits, key=lambda edit: (edit.start, edit.end)):
        parts.append(text[position : max(position, start)])  # two removals may share a line's rest
        parts.append(new)
        position = max(position, end)
    parts.append(text[position:])
    return "".join(parts)


def _changed(syntax: Syntax, chain: list[Setting], old: Value, wanted: Plain) -> list[Edit]:
    """Edits that make the value of a chain of `=` and `+=` another one."""
    last = chain[-1]
    if isinstance(old, Items) and isinstance(wanted, tuple) and old.items and wanted:
        return _list_edits(syntax.text, old, wanted)
    if isinstance(old, Atom) and not isinstance(wanted, tuple) and len(chain) == 1:
        return [Edit(old.start, old.end, _in_manner(syntax.text, old, wanted))]
    edits = [_removal(syntax, setting) for setting in chain[:-1]]
    operator = f"{last.name} = " if last.adds else None
    start = last.start if operator is not None else last.value.start
    edits.append(Edit(start, last.end, (operator or "") + spelling.value(wanted)))
    return edits


def _in_manner(text: str, old: Atom, wanted: str | int) -> str:
    """Written as the old value was: in its kind of quotes."""
    if not old.quoted or isinstance(wanted, int):
        return spelling.atom(wanted)
    return spelling.atom(wanted, text[old.start])


def _removal(syntax: Syntax, setting: Setting) -> Edit:
    """Takes a setting away: with its line if nothing else is on it, else with the semicolon that parted it."""
    text, start, end = syntax.text, setting.start, setting.end
    line = text.rfind("\n", 0, start) + 1
    alone_before = not text[line:start].strip(" \t")
    rest = _BLANK.match(text, end).end()  # type: ignore[union-attr]  # it matches the empty string
    if text.startswith("\r", rest):
        rest += 1
    if text.startswith(";", rest):
        rest = _BLANK.match(text, rest + 1).end()  # type: ignore[union-attr]
        if alone_before and text.startswith("\n", rest):
            return Edit(line, rest + 1, "")
        return Edit(start, rest, "")
    if alone_before and (rest >= len(text) or text[rest] == "\n"):
        return Edit(line, min(rest + 1, len(text)), "")
    if not alone_before and (before := text[line:start].rstrip(" \t")).endswith(";"):
        start = line + len(before) - 1  # what is before it stays without its semicolon
        return Edit(start, end, "")
    return Edit(start, rest, "")


def _line_end(text: str, offset: int, syntax: Syntax) -> int:
    """Where the next line begins after a setting: behind other settings and comments that are on its line too."""
    while True:
        newline = text.find("\n", offset)
        newline = len(text) if newline < 0 else newline + 1
        over = [one.end for one in syntax.settings if offset <= one.start < newline <= one.end]
        if not over:
            return newline
        offset = over[0]


# --- lists


def _list_edits(text: str, old: Items, wanted: tuple[Plain, ...]) -> list[Edit]:
    edits: list[Edit] = []
    items = old.items
    multiline = "\n" in text[old.start : items[-1].end]
    for kind, low, high, first, last in _alignment(items, wanted):
        if kind == "equal":
            continue
        paired = min(high - low, last - first)
        for index in range(paired):
            edits.append(_replacement(text, items[low + index], wanted[first + index]))
        for index in range(low + paired, high):
            edits.extend(_item_removal(text, items, index))
        if last - first > paired:
            new = [spelling.value(item, _indent(text, items[0])) for item in wanted[first + paired : last]]
            edits.extend(_insertion(text, old, low + paired, new, multiline))
    return edits


def _alignment(
    items: tuple[Value, ...], wanted: tuple[Plain, ...]
) -> Iterable[tuple[str, int, int, int, int]]:
    """As difflib's opcodes: which items are alike, which are others."""
    begin = 0
    while begin < min(len(items), len(wanted)) and spelling.same(items[begin], wanted[begin]):
        begin += 1
    end = 0
    while end < min(len(items), len(wanted)) - begin and spelling.same(items[-1 - end], wanted[-1 - end]):
        end += 1
    high, last = len(items) - end, len(wanted) - end
    if max(high - begin, last - begin) > _ALIGNED or high == begin or last == begin:
        return [("replace", begin, high, begin, last)]
    from difflib import SequenceMatcher

    before = [spelling.plain(item) for item in items[begin:high]]
    after = [item if not isinstance(item, int) else str(int(item)) for item in wanted[begin:last]]
    return [
        (kind, begin + a, begin + b, begin + c, begin + d)
        for kind, a, b, c, d in SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
    ]


def _replacement(text: str, old: Value, wanted: Plain) -> Edit:
    if isinstance(old, Atom) and not isinstance(wanted, tuple):
        return Edit(old.start, old.end, _in_manner(text, old, wanted))
    return Edit(old.start, old.end, spelling.value(wanted, _indent(text, old)))


def _item_removal(text: str, items: tuple[Value, ...], index: int) -> list[Edit]:
    """An item with its comma; with its line, if nothing else is on it."""
    start, end = items[index].start, items[index].end
    gap = _LIST_GAP.match(text, end).end()  # type: ignore[union-attr]
    if text.startswith(",", gap):
        if text[end:gap].strip():
            return [Edit(start, end, ""), Edit(gap, gap + 1, "")]  # a comment stands before its comma
        return [_with_line(text, start, gap + 1)]
    if index and text[items[index - 1].end : start].strip() == ",":
        return [Edit(items[index - 1].end, end, "")]
    return [_with_line(text, start, end)]


def _with_line(text: str, start: int, end: int) -> Edit:
    line = text.rfind("\n", 0, start) + 1
    rest = _BLANK.match(text, end).end()  # type: ignore[union-attr]
    if text.startswith("\n", rest) and not text[line:start].strip(" \t"):
        return Edit(line, rest + 1, "")
    return Edit(start, rest, "")


def _insertion(text: str, old: Items, index: int, new: list[str], multiline: bool) -> list[Edit]:
    """New items before the one at `index`, that is behind the one before it."""
    items = old.items
    if index == 0:
        first = items[0]
        between = f",\n{_indent(text, first)}" if multiline else ", "
        return [Edit(first.start, first.start, "".join(f"{item}{between}" for item in new))]
    previous = items[index - 1]
    gap = _LIST_GAP.match(text, previous.end).end()  # type: ignore[union-attr]
    has_comma = text.startswith(",", gap)
    if not multiline:
        return [Edit(previous.end, previous.end, "".join(f", {item}" for item in new))]
    indent = _indent(text, previous)
    stop = gap + 1 if has_comma else previous.end
    rest = _LINE_REST.match(text, stop)
    if rest is None:
        return [Edit(previous.end, previous.end, "".join(f",\n{indent}{item}" for item in new))]
    lines = "".join(f"\n{indent}{item}," for item in new)
    if has_comma:
        return [Edit(rest.end(), rest.end(), lines)]
    return [Edit(stop, stop, ","), Edit(rest.end(), rest.end(), lines)]


def _indent(text: str, item: Value) -> str:
    """The white space that the item's line begins with; four spaces if the list begins there."""
    line = text.rfind("\n", 0, item.start) + 1
    blank = _BLANK.match(text, line)
    assert blank is not None
    return blank[0] if blank.end() == item.start else "    "
