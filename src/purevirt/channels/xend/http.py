"""The client's end of one HTTP/1.1 connection, without I/O: requests to bytes, bytes to answers.

h11 is what frames HTTP here, and it costs more to import than all the rest of a call. So the plain answer, as our own
daemon always sends it, is read by `_plain`: HTTP/1.1, headers of a name, a colon and printable ASCII, one
Content-Length, no Transfer-Encoding. It is deliberately narrow: whatever is not plain, in the least, is handed to h11
from its first byte, which then decides; a test compares the two on answers of all kinds.

What breaks the protocol becomes RemoteProtocolError, and an end in the middle of an answer Closed, since it has
another cause: the daemon died, or was killed.
"""

from __future__ import annotations

from functools import lru_cache

from purevirt._typing import TYPE_CHECKING, NamedTuple
from purevirt.channels.xend.transport import CHANNEL, WHAT, Request, Response, lost
from purevirt.errors import LocalProtocolError, RemoteProtocolError

if TYPE_CHECKING:
    from purevirt.channels.xend.framing import Reader

__all__ = ["MAX_BODY", "MAX_HEAD", "Http"]

MAX_HEAD = 64 * 1024
"""Bytes of an answer's status line and headers, at most."""

MAX_BODY = 256 * 1024 * 1024
"""Bytes of an answer's body, at most: a listing of a thousand domains is half a megabyte."""


class _Head(NamedTuple):
    """A plain answer's head: where its body begins and ends in what was received, and whether it keeps the
    connection."""

    status: int
    reason: str
    headers: dict[str, str]
    begin: int
    end: int
    keeps: bool


class Http:
    """One connection: a request, its answer, the next request …"""

    __slots__ = ("_ended", "_head", "_reader", "_received", "_request", "_response")

    def __init__(self) -> None:
        self._start(Request("GET", "/"))

    def _start(self, request: Request) -> None:
        self._request = request
        self._received = bytearray()
        self._head: _Head | None = None
        self._reader: Reader | None = None  # of an answer that is not plain
        self._ended = False
        self._response: Response | None = None

    def request(self, request: Request) -> bytes:
        """The bytes of a request. LocalProtocolError if HTTP cannot carry it."""
        method, target, headers, body = request
        head = _head_of(method, target, headers, len(body))
        self._start(request)
        return head + body

    def feed(self, data: bytes) -> Response | None:
        """What was received; b"" where the other side has closed. The answer, once it is whole.

        Closed: that was the end, and the answer is not whole. RemoteProtocolError: it is no HTTP, or too large.
        """
        self._ended = self._ended or not data
        if self._reader is not None:
            self._response = self._reader.feed(data)
            return self._response
        received = self._received
        received += data
        if self._head is None:
            end = received.find(b"\r\n\r\n", 0, MAX_HEAD)
            if end >= 0:
                self._head = _plain(bytes(received[:end]), end + 4)
            if self._head is None:
                if end >= 0 or len(received) >= MAX_HEAD or not data:
                    self._response = self._not_plain(bytes(received), not data)
                return self._response
            if self._head.end - self._head.begin > MAX_BODY:
                raise RemoteProtocolError(f"{WHAT} answers more than {MAX_BODY} bytes", channel=CHANNEL)
        head = self._head
        if len(received) >= head.end:
            body = bytes(received[head.begin : head.end])
            self._response = Response(head.status, head.reason, dict(head.headers), body)
        elif not data:
            raise lost(None, False)
        return self._response

    def _not_plain(self, received: bytes, ended: bool) -> Response | None:
        from purevirt.channels.xend.framing import Reader

        self._reader = Reader(self._request)
        response = self._reader.feed(received) if received else None
        return self._reader.feed(b"") if ended and response is None else response

    @property
    def reusable(self) -> bool:
        """Whether another request may follow: the answer was whole, both sides keep the connection, and nothing came
        after the answer that nobody asked for."""
        if self._response is None or self._ended:
            return False
        if self._reader is not None:
            return self._reader.keeps
        return self._head is not None and self._head.keeps and len(self._received) == self._head.end


@lru_cache(maxsize=64)  # the same calls are made again and again
def _head_of(method: str, target: str, headers: tuple[tuple[str, str], ...], length: int) -> bytes:
    lines = [f"{method} {target} HTTP/1.1", "Host: localhost"]
    lines += [f"{name}: {text}" for name, text in headers]
    if length or method == "POST":
        lines.append(f"Content-Length: {length}")
    if not all(line.isascii() and line.isprintable() for line in lines) or any(
        not word or " " in word for word in (method, target)
    ):
        raise LocalProtocolError(f"HTTP cannot carry that request: {method!r} {target!r}", channel=CHANNEL)
    return "\r\n".join([*lines, "", ""]).encode("ascii")


@lru_cache(maxsize=64)
def _plain(head: bytes, begin: int) -> _Head | None:
    """A head, if it is plain: see the essay above. None: h11 shall decide."""
    try:
        first, *lines = head.decode("ascii").split("\r\n")
    except UnicodeDecodeError:
        return None
    version, code, reason = first[:9], first[9:12], first[12:]
    if version != "HTTP/1.1 " or not code.isdigit() or not first.isprintable() or reason[:1] not in ("", " "):
        return None
    status = int(code)
    if status < 200 or status in (204, 304):
        return None
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, text = line.partition(":")
        key = name.lower()
        if not colon or not name.replace("-", "").isalnum() or not text.isprintable() or key in headers:
            return None
        headers[key] = text.strip(" ")
    length, connection = headers.get("content-length", ""), headers.get("connection", "keep-alive")
    if (
        not length.isdigit()
        or len(length) > 12
        or "transfer-encoding" in headers
        or connection not in ("keep-alive", "close")
    ):
        return None
    return _Head(status, reason.lstrip(" "), headers, begin, begin + int(length), connection == "keep-alive")
