"""The client's end of one HTTP/1.1 connection, without I/O: requests to bytes, bytes to answers.

Plain messages, which is nearly all that the daemon and this library say to each other, are read and written by
`wire.plainhttp`. Whatever is not plain is h11's, in `careful`: it is shown what was sent and received since the last
answer, its word counts, and it keeps the connection from then on. So h11 is not even imported where all goes well.
"""

from __future__ import annotations

from purevirt._typing import TYPE_CHECKING
from purevirt.channels.xend import transport
from purevirt.channels.xend.transport import Request, Response, fields_of
from purevirt.wire import plainhttp

if TYPE_CHECKING:
    from purevirt.channels.xend.careful import CarefulHttp

__all__ = ["Http"]

_FIRST = b"HTTP/1.1 "


class Http:
    """One connection: a request, its answer, the next request …"""

    __slots__ = ("_careful", "_head", "_received", "_request", "_response", "_start")

    def __init__(self) -> None:
        self._careful: CarefulHttp | None = None
        self._begin(None)

    def _begin(self, request: Request | None) -> None:
        self._request = request
        self._received = bytearray()
        self._head: plainhttp.Head | None = None
        self._start = 0  # of the body, in what was received
        self._response: Response | None = None

    def request(self, request: Request) -> bytes:
        """The bytes of a request. LocalProtocolError if HTTP cannot carry it."""
        if self._careful is None:
            data = plainhttp.request(request.method, request.target, fields_of(request), request.body)
            if data is not None:
                self._begin(request)
                return data
            self._careful = _careful()
        return self._careful.request(request)

    def feed(self, data: bytes) -> Response | None:
        """What was received; b"" where the other side has closed. The answer, once it is whole.

        Closed: that was the end, and the answer is not whole. RemoteProtocolError: it is no HTTP, or too large.
        """
        if self._careful is not None:
            return self._careful.feed(data)
        self._received += data
        if data and self._response is None and self._is_plain():
            return self._response
        return self._begin_anew(bytes(self._received), ended=not data)

    def _is_plain(self) -> bool:
        """Whether it is, so far. Notes the answer when it is whole."""
        received = self._received
        if self._head is None:
            self._start = plainhttp.end_of_head(received)
            if self._start < 0:
                begins = received.startswith(_FIRST) or _FIRST.startswith(received)
                return begins and len(received) <= transport.MAX_HEAD and b"\n\n" not in received
            self._head = plainhttp.response_head(bytes(received[: self._start]))
        head = self._head
        if (
            head is None
            or head.length is None
            or head.length > transport.MAX_BODY
            or self._start > transport.MAX_HEAD
        ):
            return False
        left = head.length - (len(received) - self._start)
        if left == 0:
            self._response = Response(
                int(head.first[1]), head.first[2], dict(head.headers), bytes(received[self._start :])
            )
        return left >= 0

    def _begin_anew(self, received: bytes, *, ended: bool) -> Response | None:
        """It is not plain, or the connection has ended: let h11 see it from the last request on."""
        careful = self._careful = _careful()
        if self._request is not None:
            careful.request(self._request)
        response = careful.feed(received) if received else None
        return careful.feed(b"") if ended and response is None else response

    @property
    def reusable(self) -> bool:
        """Whether another request may follow: the answer was whole, both sides keep the connection, and nothing came
        after the answer that nobody asked for."""
        if self._careful is not None:
            return self._careful.reusable
        return self._response is not None


def _careful() -> CarefulHttp:
    from purevirt.channels.xend.careful import CarefulHttp

    return CarefulHttp()
