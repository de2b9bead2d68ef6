"""Values of an xl.cfg -> text: quotes, escapes, and how lists are laid out. The way back is `syntax`.

A value to be written is a str, an int, or a tuple of such (a list). Text that `syntax` reads gives the same values.
"""

from __future__ import annotations

from purevirt._typing import TYPE_CHECKING
from purevirt.formats.xl_config.syntax import Atom, Items, Value

__all__ = ["Plain", "atom", "number", "plain", "same", "setting", "value"]

if TYPE_CHECKING:
    from typing import TypeAlias

    Plain: TypeAlias = "str | int | tuple[Plain, ...]"
else:
    Plain = None

_ESCAPES = {
    "\\": "\\\\",
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
}
_SHORT = 100
"""A list of one item, or of short ones, is on one line up to so many characters."""


def atom(item: str | int, quote: str = '"') -> str:
    """A number, or a string in quotes. ValueError for a string with a NUL, which no file can hold.

    A negative number is a string: the grammar has none, and xl reads both alike. `quote` is what the string is put
    into unless it holds that quote and not the other one.
    """
    if isinstance(item, int):
        if item >= 0:
            return str(int(item))
        item = str(item)
    if "\0" in item:
        raise ValueError("a string in an xl.cfg cannot hold a NUL character")
    other = "'" if quote == '"' else '"'
    if quote in item and other not in item:
        quote = other
    if not item.isprintable() or "\\" in item:
        item = "".join(_ESCAPES.get(char, char) for char in item)
    return f"{quote}{item.replace(quote, chr(92) + quote)}{quote}"


def value(item: Plain, indent: str = "") -> str:
    """Any value. A list of several items, or of lists, has a line for each."""
    if not isinstance(item, tuple):
        return atom(item)
    if not item:
        return "[]"
    inner = indent + "    "
    parts = [value(one, inner) for one in item]
    if not any(isinstance(one, tuple) for one in item):
        numbers = all(isinstance(one, int) for one in item)
        line = f"[ {', '.join(parts)} ]"
        if numbers or (len(line) <= _SHORT and (len(parts) == 1 or max(map(len, parts)) <= 20)):
            return line
    return "[\n" + "".join(f"{inner}{part},\n" for part in parts) + f"{indent}]"


def setting(name: str, item: Plain) -> str:
    """`name = value`, without the line's end."""
    return f"{name} = {value(item)}"


def plain(found: Value) -> Plain:
    """What was read, as what can be written: strings (numbers too) and tuples."""
    if isinstance(found, Items):
        return tuple(plain(item) for item in found.items)
    return found.value


def same(found: Value, wanted: Plain) -> bool:
    """Whether a value that stands in a file says what is wanted: `0x10` is 16, and "16" is too."""
    if isinstance(found, Items):
        return (
            isinstance(wanted, tuple)
            and len(found.items) == len(wanted)
            and all(map(same, found.items, wanted))
        )
    if isinstance(wanted, tuple):
        return False
    if isinstance(wanted, int):
        return number(found) == wanted
    return found.value == wanted


def number(found: Atom) -> int | None:
    """The number that xl makes of a number or a string, as strtol does: 0x… is hexadecimal, 0… octal; else None."""
    text = found.value.strip(" \t\n\v\f\r")
    digits = text[1:] if text[:1] in ("-", "+") else text
    try:
        if digits[:2] in ("0x", "0X"):
            base = 16
        elif digits[:1] == "0" and digits.strip("0"):
            base = 8
        else:
            base = 10
        if not digits.isascii() or "_" in digits or digits != digits.strip():
            return None
        made = int(digits, base)
    except ValueError:
        return None
    return -made if text[:1] == "-" else made
