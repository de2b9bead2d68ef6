"""What the daemon's HTTP server takes and gives: requests, answers, limits; and answers that it makes by itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import NamedTuple

import h11

from purevirt.model.access import Caller
from purevirt.wire import plainhttp

__all__ = [
    "DEFAULTS",
    "Handler",
    "Limits",
    "Refused",
    "Request",
    "Response",
    "head_of",
    "plain",
    "plain_bytes",
    "refusal",
]


_SHORT = 64  # bytes of an answer that is likely to be given again


def _never() -> bool:
    return False


class Request(NamedTuple):
    """One request, complete. `headers` have names in lower case; `target` is as it was sent, printable ASCII.

    `hung_up` tells whether whoever asked has gone altogether, as far as the kernel says; one that only sends no more is
    still there.
    """

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    caller: Caller
    hung_up: Callable[[], bool] = _never

    def header(self, name: str) -> str | None:
        """The first header of that name (in lower case)."""
        return next((value for known, value in self.headers if known == name), None)


class Response(NamedTuple):
    """One answer. A missing Content-Length is added; a request by HEAD gets the head alone."""

    status: int
    reason: str
    headers: tuple[tuple[str, str], ...]
    body: bytes = b""


Handler = Callable[[Request], Awaitable[Response]]


class Limits(NamedTuple):
    """Sizes in bytes, times in seconds."""

    head: int = 32 << 10
    body: int = 1 << 20
    stranger_body: int = 4096
    """Of a caller without any role, who can ask for nothing that is longer."""
    bodies: int = 64 << 20
    """Of all requests that are being received or worked on."""
    connections: int = 800
    """Above it, each new connection ends one that is still sending its request, and is let in a little later; half of
    it is the most that one user may have, unless it is an admin."""
    idle_time: float = 300.0
    """For the next request to begin, on a connection that is kept."""
    head_time: float = 10.0
    body_time: float = 60.0
    answer_time: float = 3900.0
    """For the handler, which has deadlines of its own."""
    send_time: float = 30.0
    linger_time: float = 1.0


DEFAULTS = Limits()


class Refused(Exception):
    """A request that the server answers by itself; it ends its connection."""

    def __init__(self, status: int, reason: str, words: str) -> None:
        super().__init__(words)
        self.response = plain(status, reason, words)


def head_of(response: Response) -> h11.Response:
    """Its head. LocalProtocolError or UnicodeEncodeError if the handler gave a header that is none."""
    headers = list(response.headers)
    if not any(name.lower() == "content-length" for name, _ in headers):
        headers.append(("Content-Length", str(len(response.body))))
    encoded = [(name.encode("ascii"), value.encode("latin-1", "replace")) for name, value in headers]
    return h11.Response(status_code=response.status, headers=encoded, reason=_printable(response.reason))


def plain_bytes(response: Response) -> bytes | None:
    """The bytes of an answer, if it is a plain one."""
    return (_short_bytes if len(response.body) <= _SHORT else _plain_bytes)(response)


def _plain_bytes(response: Response) -> bytes | None:
    headers = response.headers
    if not any(name.lower() == "content-length" for name, _ in headers):
        headers = (*headers, ("Content-Length", str(len(response.body))))
    return plainhttp.response(response.status, response.reason, headers, response.body)


_short_bytes = lru_cache(maxsize=64)(_plain_bytes)  # most changes answer the same


def plain(status: int, reason: str, words: str) -> Response:
    """An answer of the server's own, after which it closes."""
    return Response(status, reason, (("Content-type", "text/plain"), ("Connection", "close")), words.encode())


def refusal(error: h11.RemoteProtocolError) -> Refused:
    """What to say of a request that breaks the protocol."""
    status = error.error_status_hint
    reason = {431: "Request header fields too large", 501: "Not implemented"}.get(status, "Bad request")
    return Refused(status if reason != "Bad request" else 400, reason, str(error))


def _printable(reason: str) -> bytes:
    """A reason phrase as it may stand in a head: what a client sent may be part of it."""
    return "".join(letter if " " <= letter <= "~" else "?" for letter in reason[:512]).encode("ascii")
