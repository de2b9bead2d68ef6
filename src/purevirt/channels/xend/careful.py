"""Any HTTP/1.1 between us and the daemon, by h11, without I/O: what `http` finds not plain.

h11 raises for whatever breaks the protocol; here that becomes RemoteProtocolError, and an end in the middle of an
answer Closed, since it has another cause: the daemon died, or was killed.
"""

from __future__ import annotations

import h11

from purevirt.channels.xend import transport
from purevirt.channels.xend.transport import (
    CHANNEL,
    WHAT,
    Request,
    Response,
    fields_of,
    lost,
)
from purevirt.errors import LocalProtocolError, RemoteProtocolError

__all__ = ["CarefulHttp"]


class CarefulHttp:
    """One connection: a request, its answer, the next request …"""

    __slots__ = ("_body", "_connection", "_ended", "_head", "_received", "_response", "_size")

    def __init__(self) -> None:
        self._connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=transport.MAX_HEAD)
        self._start()

    def _start(self) -> None:
        self._head: h11.Response | None = None
        self._body: list[bytes] = []
        self._size = 0
        self._received = False
        self._ended = False
        self._response: Response | None = None

    def request(self, request: Request) -> bytes:
        """The bytes of a request. LocalProtocolError if HTTP cannot carry it."""
        if self._response is not None:
            self._connection.start_next_cycle()
            self._start()
        try:
            data = self._connection.send(
                h11.Request(method=request.method, target=request.target, headers=fields_of(request))
            )
            body = self._connection.send(h11.Data(data=request.body)) if request.body else b""
            end = self._connection.send(h11.EndOfMessage())
        except h11.LocalProtocolError as error:
            raise LocalProtocolError(f"HTTP cannot carry that request: {error}", channel=CHANNEL) from error
        return (data or b"") + (body or b"") + (end or b"")

    def feed(self, data: bytes) -> Response | None:
        """What was received; b"" where the other side has closed. The answer, once it is whole.

        Closed: that was the end, and the answer is not whole. RemoteProtocolError: it is no HTTP, or too large.
        """
        self._ended = self._ended or not data
        try:
            self._connection.receive_data(data)
            while self._response is None:
                event = self._connection.next_event()
                if event is h11.NEED_DATA:
                    break
                self._take(event)
        except h11.RemoteProtocolError as error:
            if not data:
                raise lost(None, False) from error
            raise RemoteProtocolError(f"{WHAT} does not speak HTTP: {error}", channel=CHANNEL) from error
        return self._response

    def _take(self, event: object) -> None:
        if isinstance(event, h11.Response):
            self._head = event
        elif isinstance(event, h11.Data):
            self._size += len(event.data)
            if self._size > transport.MAX_BODY:
                raise RemoteProtocolError(
                    f"{WHAT} answers more than {transport.MAX_BODY} bytes", channel=CHANNEL
                )
            self._body.append(bytes(event.data))
        elif isinstance(event, h11.EndOfMessage):
            assert self._head is not None
            self._response = Response(
                self._head.status_code,
                bytes(self._head.reason).decode("latin-1"),
                {
                    bytes(name).decode("ascii"): bytes(text).decode("latin-1")
                    for name, text in self._head.headers
                },
                b"".join(self._body),
            )
        elif isinstance(event, h11.ConnectionClosed):
            raise lost(None, False)

    @property
    def reusable(self) -> bool:
        """Whether another request may follow: the answer was whole, both sides keep the connection, and nothing came
        after the answer that nobody asked for."""
        connection = self._connection
        return (
            self._response is not None
            and not self._ended
            and connection.our_state is h11.DONE
            and connection.their_state is h11.DONE
            and not connection.trailing_data[0]
        )
