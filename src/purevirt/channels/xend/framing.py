"""Answers that are not plain, read by h11: see `http`, which loads this only when it meets one."""

from __future__ import annotations

import h11

from purevirt.channels.xend import http
from purevirt.channels.xend.transport import CHANNEL, WHAT, Request, Response, lost
from purevirt.errors import RemoteProtocolError

__all__ = ["Reader"]


class Reader:
    """One answer to one request that went out already."""

    __slots__ = ("_body", "_connection", "_head", "_response", "_size")

    def __init__(self, request: Request) -> None:
        self._connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=http.MAX_HEAD)
        # Told again, for h11 to know where it stands.
        self._connection.send(
            h11.Request(method=request.method, target=request.target, headers=[("Host", "localhost")])
        )
        self._connection.send(h11.EndOfMessage())
        self._head: h11.Response | None = None
        self._body: list[bytes] = []
        self._size = 0
        self._response: Response | None = None

    def feed(self, data: bytes) -> Response | None:
        """What was received; b"" where the other side has closed. The answer, once it is whole."""
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
            if self._size > http.MAX_BODY:
                raise RemoteProtocolError(f"{WHAT} answers more than {http.MAX_BODY} bytes", channel=CHANNEL)
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
    def keeps(self) -> bool:
        """Whether both sides keep the connection, and nothing came after the answer."""
        return (
            self._connection.our_state is h11.DONE
            and self._connection.their_state is h11.DONE
            and not self._connection.trailing_data[0]
        )
