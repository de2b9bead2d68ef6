r"""Values in, the bytes that xend would have written out.

xend wrote with Python 2, and its clients know what that looks like:

- Lists with single spaces between their elements: `(name pv1)`, `()`.
- Integers and floats in decimal, a float with twelve significant digits (Python 2's `str`).
- A string is bare if it is alphanumeric, or `@`, or made of letters, digits and `. - _ : / ~` only. Otherwise it is
  quoted as Python 2's `repr` did: in single quotes, or in double quotes if it holds a single quote and no double one;
  `\t \n \r \\`, the quote itself escaped, and `\xHH` for every byte that is not printable ASCII. The empty string is
  `''`.
- True and False are bare; None is the quoted text `'None'`, and so is an integer of more than 64 bits (to Python 2 a
  `long`): a reader must accept quoted numbers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeAlias

from purevirt.errors import LocalProtocolError
from purevirt.wire.sxp.parser import MAX_DEPTH

__all__ = ["Value", "encode", "text"]

Value: TypeAlias = "str | int | float | bool | Sequence[Value] | None"
"""What can be written: text, numbers, and lists or tuples of such."""

_BARE = re.compile(r"[A-Za-z0-9.\-_:/~]+|@")
_SPECIAL = {0x09: "\\t", 0x0A: "\\n", 0x0D: "\\r", 0x5C: "\\\\"}
_ESCAPED = re.compile(rb"[^\x20-\x7e]|\\")


def encode(value: Value) -> bytes:
    """The bytes of one value. LocalProtocolError if it is nested too deep, or text that no bytes stand for."""
    return text(value).encode("ascii")


def text(value: Value) -> str:
    """The same as text: it is ASCII in any case."""
    parts: list[str] = []
    _write(value, parts, MAX_DEPTH)
    return "".join(parts)


def _write(value: Value, parts: list[str], depth: int) -> None:
    if isinstance(value, str):
        parts.append(value if _BARE.fullmatch(value) else _quoted(value))
    elif value is None:
        parts.append("'None'")
    elif isinstance(value, float):
        parts.append(_decimal(value))
    elif isinstance(value, int):
        plain = str(value) if not isinstance(value, bool) else str(bool(value))
        parts.append(plain if -(1 << 63) <= value < 1 << 63 else f"'{plain}'")
    else:
        if depth == 0:
            raise LocalProtocolError(f"lists are nested deeper than {MAX_DEPTH}", channel="daemon")
        between = "("
        for element in value:
            parts.append(between)
            _write(element, parts, depth - 1)
            between = " "
        parts.append("()" if between == "(" else ")")


def _decimal(value: float) -> str:
    plain = f"{value:.12g}"
    return plain if not plain.lstrip("-").isdigit() else plain + ".0"


def _quoted(value: str) -> str:
    try:
        data = value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise LocalProtocolError(f"text that has no bytes: {value!r}", channel="daemon") from error
    quote = '"' if b"'" in data and b'"' not in data else "'"
    inner = _ESCAPED.sub(_escape, data).decode("ascii")
    if quote in inner:
        inner = inner.replace(quote, "\\" + quote)
    return quote + inner + quote


def _escape(match: re.Match[bytes]) -> bytes:
    byte = match[0][0]
    return (_SPECIAL.get(byte) or f"\\x{byte:02x}").encode("ascii")
