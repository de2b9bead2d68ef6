"""The plain part of HTTP/1.1, both ends: whole messages with a Content-Length, and nothing that needs a second thought.

h11 is who knows HTTP here. But nearly every message between the library and the Xen daemon is of one simple shape, and
for those h11's state machine is most of the work of a call, and its import most of the start of a short program. So
this module recognises that shape, and says None of whatever else it is shown: unusual, wrong, or not whole yet. Then
h11 is shown the same bytes, and its word counts. A test holds every message that is read or written here to what h11
makes of it.

Plain is: printable ASCII with CRLF; header fields that are tokens, each once; a body as long as Content-Length says,
and nothing after it; no word about transfer codings, upgrades or expectations; of `Connection`, in requests, only
keep-alive.
"""

from __future__ import annotations

from collections.abc import Iterable

from purevirt._typing import NamedTuple

__all__ = ["Head", "end_of_head", "request", "request_head", "response", "response_head"]

_PRINTABLE = bytes(range(0x20, 0x7F))
_LINES = _PRINTABLE + b"\r\n"
_VISIBLE = _PRINTABLE[1:]
_LETTERS = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_TOKEN = _LETTERS + b"0123456789!#$%&'*+-.^_`|~"
_DIGITS = b"0123456789"
_LONGEST_LENGTH = 9  # digits of a Content-Length

# What these fields say changes how a message is to be read: that is h11's business.
_NOT_PLAIN = frozenset({"transfer-encoding", "connection", "upgrade", "expect", "te", "trailer"})

Headers = tuple[tuple[str, str], ...]


class Head(NamedTuple):
    """The first line, in three parts; header fields with names in lower case; the body's length, None: not said."""

    first: tuple[str, str, str]
    headers: Headers
    length: int | None


def end_of_head(data: bytes | bytearray) -> int:
    """Where the body begins; -1: the head is not whole yet."""
    found = data.find(b"\r\n\r\n")
    return -1 if found < 0 else found + 4


def request_head(data: bytes) -> Head | None:
    """A request's head, up to its empty line: method, target, version. Without a length it has no body."""
    head = _head(data, keep_alive=True)
    if head is None:
        return None
    method, target, version = head.first
    if method not in ("GET", "POST") or not target or " " in version or version != "HTTP/1.1":
        return None
    if not any(name == "host" for name, _ in head.headers):
        return None
    return head


def response_head(data: bytes) -> Head | None:
    """An answer's head: version, status, reason. Its length is said."""
    head = _head(data, keep_alive=False)
    if head is None:
        return None
    version, status, _ = head.first
    if version != "HTTP/1.1" or len(status) != 3 or status.encode().translate(None, _DIGITS):
        return None
    if not "200" <= status <= "599" or status in ("204", "304") or head.length is None:
        return None
    return head


def _head(data: bytes, *, keep_alive: bool) -> Head | None:
    if data.translate(None, _LINES):
        return None
    lines = data[:-4].split(b"\r\n")
    if data.count(b"\r") != len(lines) + 1 or data.count(b"\n") != len(lines) + 1:
        return None
    first = lines[0].decode("ascii").split(" ", 2)
    if len(first) != 3:
        return None
    headers: list[tuple[str, str]] = []
    known: set[str] = set()
    length = None
    for line in lines[1:]:
        key, colon, value = line.partition(b":")
        if not colon or not key or key.translate(None, _TOKEN):
            return None
        name, text = key.decode("ascii").lower(), value.decode("ascii").strip(" ")
        if name in known or (name in _NOT_PLAIN and not (keep_alive and name == "connection")):
            return None
        if name == "connection" and text.lower() != "keep-alive":
            return None
        if name == "content-length":
            if not text or len(text) > _LONGEST_LENGTH or text.encode().translate(None, _DIGITS):
                return None
            length = int(text)
        known.add(name)
        headers.append((name, text))
    return Head((first[0], first[1], first[2]), tuple(headers), length)


def request(method: str, target: str, headers: Iterable[tuple[str, str]], body: bytes) -> bytes | None:
    """A request's bytes; the headers say its length, and its host first."""
    if method not in ("GET", "POST") or not target or _foreign(target, _VISIBLE):
        return None
    return _message(f"{method} {target} HTTP/1.1\r\n", headers, body)


def response(status: int, reason: str, headers: Iterable[tuple[str, str]], body: bytes) -> bytes | None:
    """An answer's bytes; the headers say its length."""
    if not 200 <= status <= 599 or status in (204, 304) or _foreign(reason, _PRINTABLE):
        return None
    return _message(f"HTTP/1.1 {status} {reason}\r\n", headers, body)


def _message(first: str, headers: Iterable[tuple[str, str]], body: bytes) -> bytes | None:
    lines = [first]
    length = "0"
    for name, value in headers:
        low = name.lower()
        if low in _NOT_PLAIN or not name or _foreign(name, _TOKEN) or _foreign(value, _PRINTABLE):
            return None
        if low == "content-length":
            length = value
        if value != value.strip(" "):
            return None
        lines.append(f"{name}: {value}\r\n")
    if length != str(len(body)):
        return None
    lines.append("\r\n")
    return "".join(lines).encode("ascii") + body


def _foreign(text: str, letters: bytes) -> bool:
    """Whether a text has other letters than these."""
    return not text.isascii() or bool(text.encode("ascii").translate(None, letters))
