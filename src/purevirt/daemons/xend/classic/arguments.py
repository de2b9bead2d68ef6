"""What a request asks with: a query, then a form (urlencoded or multipart) whose values count instead.

Every argument is a list of values. `Arguments` hands out the one that an operation needs, in its type, or raises
`Refusal` in xend's own words, which clients show to their users.
"""

from __future__ import annotations

import asyncio
import re
from urllib.parse import parse_qs

from purevirt.daemons.xend.http import Request
from purevirt.errors import RemoteProtocolError
from purevirt.wire import sxp

__all__ = ["Arguments", "Refusal", "integer", "read_arguments"]

_MOST = 1000
"""How many arguments a request may have."""

_PIECE = 16384

_INTEGER = re.compile(r"\s*[+-]?[0-9]{1,40}\s*", re.ASCII)
_BOUNDARY = re.compile(r'boundary=(?:"([^"]{1,200})"|([^\s;"]{1,200}))', re.IGNORECASE)
_NAME = re.compile(rb'\bname=(?:"([^"]*)"|([^\s;"]+))', re.IGNORECASE)


class Refusal(Exception):
    """An operation that is not begun: an argument is missing or wrong, or there is no such thing to do here.

    The text is the whole message to the user.
    """


class Arguments:
    """The arguments of one request, by name."""

    def __init__(self, values: dict[str, list[str]]) -> None:
        self._values = values

    def all(self, name: str) -> list[str]:
        """Every value given under that name."""
        return self._values.get(name, [])

    def text(self, name: str) -> str:
        """The one value."""
        values = self.all(name)
        if not values:
            raise Refusal(f"Missing parameter: {name}")
        if len(values) > 1:
            raise Refusal(f"Too many values for {name}")
        return values[0]

    def integer(self, name: str) -> int:
        return integer(self.text(name))

    def flag(self, name: str) -> bool:
        return self.text(name).lower() in ("on", "yes", "1", "true")

    async def expression(self, name: str) -> sxp.Node:
        """Exactly one S-expression. A long one is read piece by piece: others have their turn between."""
        data = self.text(name).encode("utf-8", "surrogateescape")
        parser = sxp.Parser()
        values: list[sxp.Node] = []
        try:
            for start in range(0, len(data), _PIECE):
                values += parser.feed(data[start : start + _PIECE])
                await asyncio.sleep(0)
            values += parser.close()
            parser.check()
        except RemoteProtocolError as error:
            raise Refusal(f"Coercion to sxpr failed: {error}") from None
        if not values:
            raise Refusal("Coercion to sxpr failed")
        if len(values) > 1:
            raise Refusal("Too many sxprs")
        return values[0]


def integer(text: str) -> int:
    """A whole number, or Python's words for what is none, as xend passed them on."""
    if not _INTEGER.fullmatch(text):
        raise Refusal(f"invalid literal for int() with base 10: {text[:200]!r}")
    return int(text)


def read_arguments(request: Request, query: str) -> Arguments:
    """All arguments of a request. ValueError if there are too many, or a form cannot be read.

    Blank values are dropped from the query and kept from a form; a form counts for POST only.
    """
    values = _urlencoded(query, keep_blank=False)
    if request.method == "POST" and request.body:
        kind = request.header("content-type") or ""
        plain = kind.partition(";")[0].strip().lower()
        if plain == "application/x-www-form-urlencoded":
            values.update(_urlencoded(request.body.decode("utf-8", "surrogateescape"), keep_blank=True))
        elif plain == "multipart/form-data":
            values.update(_multipart(request.body, kind))
    return Arguments(values)


def _urlencoded(text: str, *, keep_blank: bool) -> dict[str, list[str]]:
    return parse_qs(text, keep_blank_values=keep_blank, errors="surrogateescape", max_num_fields=_MOST)


def _multipart(body: bytes, kind: str) -> dict[str, list[str]]:
    match = _BOUNDARY.search(kind)
    if match is None:
        raise ValueError("a multipart form without a boundary")
    boundary = b"--" + (match[1] or match[2]).encode("latin-1", "replace")
    parts = body.split(boundary, _MOST + 2)
    if len(parts) > _MOST + 2 or not parts[-1].startswith(b"--"):
        raise ValueError("a multipart form that does not end, or has too many parts")
    values: dict[str, list[str]] = {}
    for part in parts[1:-1]:
        head, _, content = part.partition(b"\r\n\r\n")
        name = _NAME.search(head[:4096])
        if name is None:
            raise ValueError("a part of a multipart form without a name")
        key = (name[1] if name[1] is not None else name[2]).decode("utf-8", "surrogateescape")
        values.setdefault(key, []).append(content.removesuffix(b"\r\n").decode("utf-8", "surrogateescape"))
    return values
