"""The grammar of xl.cfg: text -> settings with their places. Nothing is evaluated, and no text is lost.

A file is a series of `name = value` and `name += value`, each ended by a line's end or a semicolon. A value is a
string in either kind of quotes, a number, or a list of values; lists nest, may go over lines, and may end in a comma.
A `#` begins a comment wherever no string is open. `Syntax` holds the very text beside what was found in it, so that
`editing` can change one value and leave every other character alone; `spelling` writes values.

The grammar is that of Xen's own parser (libxlutil 4.17, with which the tests compare this one): names begin with a
small letter, numbers are `[0-9][0-9a-fx]*`, numbers and strings are the same to whoever reads them, a later `=` wins,
`+=` appends lists and strings. It is stricter in one place: xl reads numeric escapes (`\\x41`, `\\101`) as nothing or
refuses them, so that nobody can have meant what it makes of them; here they are errors. It is more lenient in one
place: the carriage returns of Windows are space, which `Syntax.notes` says since xl refuses them.
"""

from __future__ import annotations

import re

from purevirt._typing import NamedTuple
from purevirt.errors import ConfigError

__all__ = ["MAX_NESTING", "MAX_SIZE", "Atom", "Items", "Note", "Setting", "Syntax", "Value", "read"]

MAX_NESTING = 64
MAX_SIZE = 16 << 20

_GAP = re.compile(r"(?:[ \t\n;]++|\r(?=\n|\Z)|#[^\n]*+)*+")
_LIST_GAP = re.compile(r"(?:[ \t\n]++|\r(?=\n)|#[^\n]*+)*+")
_VALUE = r"""("[^"\\\n]*+(?:\\.[^"\\\n]*+)*+"|'[^'\\\n]*+(?:\\.[^'\\\n]*+)*+')|([0-9][0-9a-fx]*+)|(\[)"""
_SETTING = re.compile(rf"([a-z][a-z0-9_.]*+)[ \t]*+(\+?=)[ \t]*+(?:{_VALUE})")
_ITEM = re.compile(rf"(?:{_VALUE})")
_END = re.compile(r"[ \t]*+\r?(?:#|\n|;|\Z)")
_ESCAPE = re.compile(r"\\(.)")
_ESCAPED = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"} | {
    char: char for char in "\\'\""
}
_NAME = re.compile(r"[a-z][a-z0-9_.]*+")
_OPERATOR = re.compile(r"[ \t]*+\+?=")
_NUMBER_LIKE = re.compile(r"[-+]?[0-9][0-9A-Za-z_.]*")
_WORD = re.compile(r"[^\s\[\],;#='\"]+")


class Atom(NamedTuple):
    """A string or a number as it stands there: `value` is its text without quotes and escapes.

    `start` and `end` are offsets into the text; `quoted` is false for a number.
    """

    value: str
    quoted: bool
    start: int
    end: int


class Items(NamedTuple):
    """A list. `start` is the offset of its bracket, `end` that behind its last; after `+=` there are several lists."""

    items: tuple[Value, ...]
    start: int
    end: int


Value = Atom | Items


class Setting(NamedTuple):
    """`name = value` (or `+=`, where `adds`), from offset `start` to `end`."""

    name: str
    adds: bool
    value: Value
    start: int
    end: int


class Note(NamedTuple):
    """What is odd though it can be read: a second `=` for one name, carriage returns."""

    line: int
    column: int
    text: str


class Syntax:
    """A file: its very text, and the settings in it in their order."""

    __slots__ = ("file", "notes", "settings", "text")

    def __init__(self, text: str, file: str, settings: tuple[Setting, ...], notes: tuple[Note, ...]) -> None:
        self.text = text
        self.file = file
        self.settings = settings
        self.notes = notes

    def values(self) -> dict[str, Value]:
        """What each name is in the end, in the order in which the names come up first."""
        found: dict[str, Value] = {}
        for name, adds, value, _, _ in self.settings:
            if adds and name in found:
                found[name] = _added(found[name], value)
            else:
                found[name] = value
        return found

    def settings_of(self, name: str) -> list[Setting]:
        """The settings that make up the value of `name`: the last `=`, and every `+=` after it."""
        chain: list[Setting] = []
        for setting in self.settings:
            if setting.name == name:
                if not setting.adds:
                    chain.clear()
                chain.append(setting)
        return chain

    def place(self, offset: int) -> tuple[int, int]:
        """Line and column of an offset, both from 1."""
        return _place(self.text, offset)

    def error(self, message: str, offset: int) -> ConfigError:
        """An error that names this file, and where in it."""
        return _error(self.text, self.file, message, offset)


def read(text: str, *, file: str = "<string>") -> Syntax:
    """The settings of a text. ConfigError, with line and column, for what xl could not read either.

    Time is linear in the size, which may be 16 MiB (`MAX_SIZE`); lists nest 64 deep at most (`MAX_NESTING`).
    """
    if len(text) > MAX_SIZE:
        raise ConfigError(f"{file}: larger than {MAX_SIZE >> 20} MiB", file=file)
    if "\0" in text:
        raise _error(text, file, "there is a NUL character in the file", text.index("\0"))
    settings: list[Setting] = []
    assigned: set[str] = set()
    twice: list[Setting] = []
    lists: set[str] = set()
    gap, match_setting, match_end = _GAP.match, _SETTING.match, _END.match
    size = len(text)
    position = gap(text, 0).end()  # type: ignore[union-attr]  # it matches the empty string as well
    while position < size:
        match = match_setting(text, position)
        if match is None:
            raise _no_setting(text, file, position)
        name, operator, quoted, number, _ = match.groups()
        end = match.end()
        value: Value
        if quoted is not None:
            start = match.start(3)
            plain = quoted[1:-1]
            value = Atom(_unescaped(text, file, plain, start) if "\\" in plain else plain, True, start, end)
        elif number is not None:
            value = Atom(number, False, match.start(4), end)
        else:
            value = _read_list(text, file, end - 1)
            end = value.end
        setting = Setting(name, operator == "+=", value, position, end)
        if setting.adds:
            if name in assigned and (name in lists) is not isinstance(value, Items):
                raise _error(text, file, f"{name} += adds {_kind(value)} to what is none", position)
        elif name in assigned:
            twice.append(setting)
        assigned.add(name)
        if isinstance(value, Items):
            lists.add(name)
        else:
            lists.discard(name)
        settings.append(setting)
        if match_end(text, end) is None:
            raise _not_ended(text, file, end, name)
        position = gap(text, end).end()  # type: ignore[union-attr]
    return Syntax(text, file, tuple(settings), _notes(text, twice))


def _read_list(text: str, file: str, start: int) -> Items:
    """The list whose bracket is at `start`. A stack of its own, so that depth costs nothing."""
    gap, match_item = _LIST_GAP.match, _ITEM.match
    stack: list[tuple[int, list[Value]]] = []
    items: list[Value] = []
    opened = start
    position = start + 1
    while True:
        position = gap(text, position).end()  # type: ignore[union-attr]
        if text.startswith("]", position):
            position += 1
            made = Items(tuple(items), opened, position)
            if not stack:
                return made
            opened, items = stack.pop()
            items.append(made)
        else:
            match = match_item(text, position)
            if match is None:
                raise _no_item(text, file, position, opened, bool(items))
            quoted, number, _ = match.groups()
            if quoted is not None:
                plain = quoted[1:-1]
                if "\\" in plain:
                    plain = _unescaped(text, file, plain, position)
                items.append(Atom(plain, True, position, match.end()))
            elif number is not None:
                items.append(Atom(number, False, position, match.end()))
            else:
                if len(stack) + 1 >= MAX_NESTING:
                    raise _error(text, file, f"lists nest deeper than {MAX_NESTING}", position)
                stack.append((opened, items))
                opened, items = position, []
                position += 1
                continue
            position = match.end()
        position = gap(text, position).end()  # type: ignore[union-attr]
        if text.startswith(",", position):
            position += 1
        elif not text.startswith("]", position):
            raise _no_item(text, file, position, opened, True, between=True)


def _unescaped(text: str, file: str, plain: str, start: int) -> str:
    def replaced(match: re.Match[str]) -> str:
        char = match[1]
        if char in _ESCAPED:
            return _ESCAPED[char]
        where = start + 1 + match.start()
        if char in "01234567x":
            raise _error(
                text,
                file,
                f"xl does not read the numeric escape \\{char}…: write the character itself",
                where,
            )
        raise _error(
            text, file, f"\\{char} is no escape: expected \\ before one of a b f n r t v \\ ' \"", where
        )

    return _ESCAPE.sub(replaced, plain)


def _added(old: Value, new: Value) -> Value:
    if isinstance(old, Items) and isinstance(new, Items):
        return Items(old.items + new.items, old.start, new.end)
    if isinstance(old, Atom) and isinstance(new, Atom):
        return Atom(old.value + new.value, True, old.start, new.end)
    return new


def _kind(value: Value) -> str:
    return "a list" if isinstance(value, Items) else "a string" if value.quoted else "a number"


def _place(text: str, offset: int) -> tuple[int, int]:
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)


def _error(text: str, file: str, message: str, offset: int) -> ConfigError:
    line, column = _place(text, offset)
    return ConfigError(f"{file}:{line}:{column}: {message}", file=file, line=line, column=column)


def _notes(text: str, twice: list[Setting]) -> tuple[Note, ...]:
    notes = [
        Note(*_place(text, later.start), f"{later.name} is set again: the last one counts") for later in twice
    ]
    if "\r\n" in text:
        notes.append(
            Note(*_place(text, text.index("\r\n")), "xl refuses carriage returns: end lines with \\n alone")
        )
    return tuple(notes)


# What is wrong with a text that the expressions above did not match, and where.


def _no_setting(text: str, file: str, position: int) -> ConfigError:
    name = _NAME.match(text, position)
    if name is None:
        word = _WORD.match(text, position)
        found = word[0] if word is not None else text[position]
        hint = ": names are in small letters" if found[:1].isupper() else ""
        return _error(text, file, f"expected NAME = VALUE, found {_shown(found)}{hint}", position)
    operator = _OPERATOR.match(text, name.end())
    if operator is None:
        return _error(text, file, f"expected = or += after {_shown(name[0])}", name.end())
    where = operator.end()
    while text.startswith((" ", "\t"), where):
        where += 1
    return _no_value(text, file, where, f"for {name[0]}")


def _no_value(text: str, file: str, where: int, whose: str) -> ConfigError:
    if where >= len(text) or text[where] in "\r\n;#":
        return _error(text, file, f"expected a value {whose}: a string in quotes, a number, or a list", where)
    if text[where] in "\"'":
        return _error(
            text, file, f"the string that begins here has no closing {text[where]} on its line", where
        )
    word = _WORD.match(text, where)
    found = word[0] if word is not None else text[where]
    if _NUMBER_LIKE.fullmatch(found):
        expected = (
            "a number that is not negative, in decimal, octal (0…) or hexadecimal with small letters (0x…)"
        )
        return _error(
            text, file, f"expected {expected} {whose}, found {_shown(found)}: else put it in quotes", where
        )
    return _error(text, file, f"expected a value {whose}, found {_shown(found)}: strings need quotes", where)


def _not_ended(text: str, file: str, end: int, name: str) -> ConfigError:
    where = end
    while text.startswith((" ", "\t"), where):
        where += 1
    word = _WORD.match(text, where)
    found = word[0] if word is not None else text[where]
    message = f"expected the end of the line or ; after the value of {name}, found {_shown(found)}"
    return _error(text, file, message, where)


def _no_item(
    text: str, file: str, where: int, opened: int, filled: bool, *, between: bool = False
) -> ConfigError:
    if where >= len(text):
        return _error(text, file, "the list that begins here has no closing ]", opened)
    if between:
        word = _WORD.match(text, where)
        found = word[0] if word is not None else text[where]
        line, _ = _place(text, opened)
        return _error(text, file, f"expected , or ] in the list of line {line}, found {_shown(found)}", where)
    if text[where] == ",":
        return _error(
            text, file, f"expected a value{' between two commas' if filled else ''}, found ,", where
        )
    return _no_value(text, file, where, "in the list")


def _shown(found: str) -> str:
    return repr(found if len(found) <= 40 else found[:39] + "…")
