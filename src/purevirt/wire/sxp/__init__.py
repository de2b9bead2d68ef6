"""xend's S-expressions, both ways: how the classic Xen daemon writes whatever it says (MIME type application/sxp).

`parser` turns bytes into values, `writer` values into the very bytes that xend would have written, `lookup` finds
things in them; `places`, loaded by those who need it, parses into values that know where they stood. Source of the
grammar and the quoting: xend of Xen 4.0 and 4.1 (tools/python/xen/xend/sxp.py).

A parser sees no difference between `5` and the text "5", nor does xend: every value that is not a list is text.
"""

from purevirt.wire.sxp.lookup import child, children, head, number, value
from purevirt.wire.sxp.parser import MAX_DEPTH, MAX_SIZE, Node, Parser, parse, parse_one
from purevirt.wire.sxp.writer import Value, encode, text

__all__ = [
    "MAX_DEPTH",
    "MAX_SIZE",
    "Node",
    "Parser",
    "Value",
    "child",
    "children",
    "encode",
    "head",
    "number",
    "parse",
    "parse_one",
    "text",
    "value",
]
