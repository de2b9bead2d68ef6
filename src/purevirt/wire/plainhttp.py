"""The plain part of HTTP/1.1, the server's end: requests that are whole, answers with a Content-Length.

h11 is who knows HTTP here. But nearly every request that the Xen daemon gets is of one simple shape, and for those
h11's state machine is most of the work of a call. So this module recognises that shape, and says None of whatever else
it is shown: unusual, wrong, or not whole yet. Then h11 is shown the same bytes, and its word counts. A test holds
everything that is read or written here to what h11 makes of it. (The client has the like for answers:
`channels.xend.http`.)

Plain is: GET or POST; printable ASCII with CRLF; header fields that are tokens, each once; a body as long as
Content-Length says; no word about transfer codings, upgrades or expectations; of `Connection`, only keep-alive.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from purevirt._typing import NamedTuple

__all__ = ["Head", "end_of_head", "request_head", "response"]

_PRINTABLE = bytes(range(0x20, 0x7F))
_LINES = _PRINTABLE + b"\r\n"
_LETTERS = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_TOKEN = _LETTERS + b"0123456789!#$%&'*+-.^_`|~"
_DIGITS = b"0123456789"
_LONGEST_LENGTH = 9  # digits of a Content-Length
_LONGEST_HEAD = 4096

# What these fields say changes how a message is to be read: that is h11's business.
_NOT_PLAIN = frozenset({"transfer-encoding", "upgrade", "expect", "te", "trailer"})


class Head(NamedTuple):
    """A request's head: header fields with names in lower case, and the length of the body."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    length: int


def end_of_head(data: bytes | bytearray) -> int:
    """Where the body begins; -1: the head is not whole yet."""
    found = data.find(b"\r\n\r\n")
    return -1 if found < 0 else found + 4


def request_head(data: bytes) -> Head | None:
    """A request's head, up to and with its empty line, if it is plain. A very long one is not."""
    return _head(data) if len(data) <= _LONGEST_HEAD else None


@lru_cache(maxsize=64)  # clients send the same heads again and again
def _head(data: bytes) -> Head | None:
    if data.translate(None, _LINES):
        return None
    lines = data[:-4].split(b"\r\n")
    if data.count(b"\r") != len(lines) + 1 or data.count(b"\n") != len(lines) + 1:
        return None
    method, _, rest = lines[0].decode("ascii").partition(" ")
    target, _, version = rest.partition(" ")
    if method not in ("GET", "POST") or not target or version != "HTTP/1.1":
        return None
    headers: list[tuple[str, str]] = []
    known: set[str] = set()
    length = 0
    for line in lines[1:]:
        key, colon, value = line.partition(b":")
        if not colon or not key or key.translate(None, _TOKEN):
            return None
        name, text = key.decode("ascii").lower(), value.decode("ascii").strip(" ")
        if name in known or name in _NOT_PLAIN or (name == "connection" and text.lower() != "keep-alive"):
            return None
        if name == "content-length":
            if not text or len(text) > _LONGEST_LENGTH or text.encode().translate(None, _DIGITS):
                return None
            length = int(text)
        known.add(name)
        headers.append((name, text))
    return Head(method, target, tuple(headers), length) if "host" in known else None


def response(status: int, reason: str, headers: Iterable[tuple[str, str]], body: bytes) -> bytes | None:
    """An answer's bytes; the headers say its length."""
    if not 200 <= status <= 599 or status in (204, 304) or _foreign(reason, _PRINTABLE):
        return None
    lines, lengths = [f"HTTP/1.1 {status} {reason}\r\n"], 0
    for name, value in headers:
        line = _line(name, value)
        if name.lower() == "content-length":
            lengths += 1
            line = f"{name}: {value}\r\n" if value == str(len(body)) else None
        if line is None:
            return None
        lines.append(line)
    if lengths != 1:
        return None
    lines.append("\r\n")
    return "".join(lines).encode("ascii") + body


@lru_cache(maxsize=64)
def _line(name: str, value: str) -> str | None:
    low = name.lower()
    if low in _NOT_PLAIN or low == "connection" or not name or _foreign(name, _TOKEN):
        return None
    if _foreign(value, _PRINTABLE) or value != value.strip(" "):
        return None
    return f"{name}: {value}\r\n"


@lru_cache(maxsize=64)
def _foreign(text: str, letters: bytes) -> bool:
    """Whether a text has other letters than these."""
    return not text.isascii() or bool(text.encode("ascii").translate(None, letters))
