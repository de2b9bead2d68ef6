"""A small HTTP/1.1 server for the daemon's sockets: h11 parses and frames, this waits and gives up waiting.

A handler takes a whole request and returns a whole answer; who asks is found out when a connection is accepted. What
this promises:

- Every wait has a deadline: for the next request, for its head, its body, the answer, and for the client to take it.
  When there are too many connections, one that is still sending its request gives way to the next, of the user who has
  most of those: nobody can lock others out by opening sockets.
- Every request that can be understood at all gets an answer, and one that cannot gets the status that says so. A
  handler that fails is a 500; nothing that a client sends ends the server.
- What a client asked for is done, and noted, even if it is gone by then: only the answer is dropped.
- The old xend closed a connection after one answer, unless asked to keep it alive, and said so in no header. Its
  clients read to the end, so that is the rule (`keeps` tells which requests are under HTTP/1.1's own instead). A
  closing connection is read for a moment longer: an answer must not be lost because its client was still sending.

Headers go out as the handler gives them, letter for letter and in their order: old clients were never tested with
others. Neighbours: `rpc` and `classic` are the handlers, `access` tells callers apart, `service` opens the sockets.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import h11

from purevirt.model.access import Caller

__all__ = ["DEFAULTS", "Handler", "Limits", "Request", "Response", "Server", "serve"]

_log = logging.getLogger("purevirt.xend.http")

_CHUNK = 65536


class Request(NamedTuple):
    """One request, complete. `headers` have names in lower case; `target` is as it was sent, printable ASCII."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    caller: Caller

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

    head: int = 64 << 10
    body: int = 16 << 20
    connections: int = 800
    """Above it, each new connection ends one that is still sending its request, and is let in a little later."""
    idle_time: float = 300.0
    """For the next request to begin, on a connection that is kept."""
    head_time: float = 10.0
    body_time: float = 60.0
    answer_time: float = 3900.0
    """For the handler, which has deadlines of its own."""
    send_time: float = 30.0
    linger_time: float = 1.0


DEFAULTS = Limits()


def _is_ours(request: Request) -> bool:
    return request.target.startswith("/purevirt/")


async def serve(
    sock: socket.socket,
    handler: Handler,
    identify: Callable[[socket.socket], Caller],
    *,
    limits: Limits = DEFAULTS,
    keeps: Callable[[Request], bool] = _is_ours,
) -> Server:
    """Serve on a listening socket (Unix or TCP) until the `Server` that this returns is closed; it closes the socket.

    `identify` tells who is at the other end of an accepted connection. `keeps` says whether a connection stays open
    after an answer to a request, as HTTP/1.1 has it; for all others the client must ask with `Connection: keep-alive`.
    """
    server = Server(sock, handler, identify, limits, keeps)
    server.start()
    return server


class _Refused(Exception):
    """A request that is answered here and ends its connection."""

    def __init__(self, status: int, reason: str, words: str) -> None:
        super().__init__(words)
        self.response = _plain(status, reason, words)


class Server:
    """What `serve` returns."""

    def __init__(
        self,
        sock: socket.socket,
        handler: Handler,
        identify: Callable[[socket.socket], Caller],
        limits: Limits,
        keeps: Callable[[Request], bool],
    ) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._handler = handler
        self._identify = identify
        self._limits = limits
        self._keeps = keeps
        self._tasks: set[asyncio.Task[None]] = set()
        # Whose request is not whole yet, the longest first, and for which user.
        self._reading: dict[asyncio.Task[None], int] = {}
        self._room = asyncio.Event()
        self._accepting: asyncio.Task[None] | None = None
        self._closing = False

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._tasks)

    def start(self) -> None:
        """Begin to accept."""
        self._accepting = asyncio.create_task(self._accept())

    async def close(self, grace: float = 5.0) -> None:
        """Accept no more, and end: requests that are being worked on have `grace` seconds left."""
        self._closing = True
        if self._accepting is not None:
            self._accepting.cancel()
            await asyncio.gather(self._accepting, return_exceptions=True)
        self._sock.close()
        for task in list(self._reading):
            task.cancel()
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=grace)
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(set(self._tasks))

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                peer, _ = await loop.sock_accept(self._sock)
            except OSError as error:
                if error.errno not in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    if self._sock.fileno() == -1:
                        return
                    continue  # that one client is gone
                _log.warning("no more connections: %s", error)
                await self._make_room()
                continue
            if len(self._tasks) >= self._limits.connections:
                await self._make_room()
            self._admit(peer)

    def _admit(self, peer: socket.socket) -> None:
        try:
            peer.setblocking(False)
            if peer.family != socket.AF_UNIX:
                peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            caller = self._identify(peer)
        except Exception:
            _log.exception("a connection whose peer cannot be told")
            peer.close()
            return
        task = asyncio.create_task(self._converse(peer, caller))
        self._tasks.add(task)
        self._reading[task] = caller.uid
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._reading.pop(task, None)
        self._room.set()

    async def _make_room(self) -> None:
        """Until a connection has ended: of the user with most of those that still send, the one that takes longest."""
        self._room.clear()
        for user, _ in Counter(self._reading.values()).most_common(1):
            next(task for task, uid in self._reading.items() if uid == user).cancel()
        try:
            async with asyncio.timeout(1.0):
                await self._room.wait()
        except TimeoutError:
            pass

    # --- one connection

    async def _converse(self, sock: socket.socket, caller: Caller) -> None:
        try:
            connection = h11.Connection(h11.SERVER, max_incomplete_event_size=self._limits.head)
            while await self._exchange(connection, sock, caller):
                connection.start_next_cycle()
            await self._linger(sock)
        except (OSError, h11.RemoteProtocolError):
            pass  # the client is gone, or does not take its answer
        except asyncio.CancelledError:
            pass  # closed from our side; nobody awaits this task for its outcome
        except Exception:
            _log.exception("a connection failed")
        finally:
            sock.close()

    async def _exchange(self, connection: h11.Connection, sock: socket.socket, caller: Caller) -> bool:
        """One request and its answer; whether there may be another on this connection."""
        task = asyncio.current_task()
        assert task is not None
        self._reading[task] = caller.uid
        try:
            request = await self._receive(connection, sock, caller)
        except _Refused as refused:
            await self._send(connection, sock, refused.response, head_only=False)
            return False
        finally:
            del self._reading[task]
        if request is None:
            return False
        response = await self._answer(request)
        asked = "keep-alive" in (request.header("connection") or "").lower()
        await self._send(connection, sock, response, head_only=request.method == "HEAD")
        done = connection.our_state is h11.DONE and connection.their_state is h11.DONE
        return done and not self._closing and (asked or self._keeps(request))

    async def _answer(self, request: Request) -> Response:
        try:
            async with asyncio.timeout(self._limits.answer_time):
                return await self._handler(request)
        except Exception:
            _log.exception("%s %s failed", request.method, request.target)
            return _plain(500, "Internal server error", "the daemon failed to answer; its log says why")

    async def _receive(
        self, connection: h11.Connection, sock: socket.socket, caller: Caller
    ) -> Request | None:
        """The next whole request; None if the client went, or is silent for too long."""
        try:
            head = await self._head(connection, sock)
            if head is None:
                return None
            headers = tuple((name.decode("ascii"), value.decode("latin-1")) for name, value in head.headers)
            body = await self._body(connection, sock, headers)
        except h11.RemoteProtocolError as error:
            raise _refusal(error) from None
        except TimeoutError:
            raise _Refused(408, "Request timeout", "the request did not arrive in time") from None
        if head.method == b"CONNECT":  # the one method whose answer would change the protocol
            raise _Refused(501, "Not implemented", "Request method not supported (CONNECT)")
        return Request(head.method.decode("ascii"), head.target.decode("ascii"), headers, body, caller)

    async def _head(self, connection: h11.Connection, sock: socket.socket) -> h11.Request | None:
        event = connection.next_event()
        if event is h11.NEED_DATA and not connection.trailing_data[0]:
            try:
                async with asyncio.timeout(self._limits.idle_time):
                    await self._more(connection, sock)
            except TimeoutError:
                return None
            event = connection.next_event()
        async with asyncio.timeout(self._limits.head_time):
            while event is h11.NEED_DATA:
                await self._more(connection, sock)
                event = connection.next_event()
        return event if isinstance(event, h11.Request) else None

    async def _body(
        self, connection: h11.Connection, sock: socket.socket, headers: tuple[tuple[str, str], ...]
    ) -> bytes:
        limit = self._limits.body
        too_long = _Refused(413, "Request entity too large", f"a body has at most {limit} bytes here")
        for name, value in headers:
            if name == "content-length" and int(value) > limit:  # h11 has seen to it that this is a number
                raise too_long
        parts: list[bytes] = []
        size = 0
        async with asyncio.timeout(self._limits.body_time):
            while True:
                event = connection.next_event()
                if isinstance(event, h11.Data):
                    size += len(event.data)
                    if size > limit:
                        raise too_long
                    parts.append(bytes(event.data))
                elif event is h11.NEED_DATA:
                    if connection.they_are_waiting_for_100_continue:
                        going_on = h11.InformationalResponse(status_code=100, headers=[], reason=b"Continue")
                        await self._write(sock, connection.send(going_on))
                    await self._more(connection, sock)
                else:
                    return b"".join(parts)

    async def _more(self, connection: h11.Connection, sock: socket.socket) -> None:
        connection.receive_data(await asyncio.get_running_loop().sock_recv(sock, _CHUNK))

    async def _send(
        self, connection: h11.Connection, sock: socket.socket, response: Response, *, head_only: bool
    ) -> None:
        try:
            head = _head_of(response)
        except (h11.LocalProtocolError, UnicodeEncodeError):
            _log.exception("an answer that cannot be sent")
            response = _plain(500, "Internal server error", "the daemon's answer cannot be sent")
            head = _head_of(response)
        data = connection.send(head)
        if response.body and not head_only and response.status not in (204, 304):
            data += connection.send(h11.Data(data=response.body))
        data += connection.send(h11.EndOfMessage())
        await self._write(sock, data)

    async def _write(self, sock: socket.socket, data: bytes) -> None:
        async with asyncio.timeout(self._limits.send_time):  # a TimeoutError is an OSError
            await asyncio.get_running_loop().sock_sendall(sock, data)

    async def _linger(self, sock: socket.socket) -> None:
        """Say that no more comes, and read what the client still sends, for a moment."""
        sock.shutdown(socket.SHUT_WR)
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(self._limits.linger_time):
            while await loop.sock_recv(sock, _CHUNK):
                pass


def _head_of(response: Response) -> h11.Response:
    headers = list(response.headers)
    if not any(name.lower() == "content-length" for name, _ in headers):
        headers.append(("Content-Length", str(len(response.body))))
    encoded = [(name.encode("ascii"), value.encode("latin-1", "replace")) for name, value in headers]
    return h11.Response(status_code=response.status, headers=encoded, reason=_printable(response.reason))


def _plain(status: int, reason: str, words: str) -> Response:
    return Response(status, reason, (("Content-type", "text/plain"), ("Connection", "close")), words.encode())


def _refusal(error: h11.RemoteProtocolError) -> _Refused:
    status = error.error_status_hint
    reason = {431: "Request header fields too large", 501: "Not implemented"}.get(status, "Bad request")
    return _Refused(status if reason != "Bad request" else 400, reason, str(error))


def _printable(reason: str) -> bytes:
    """A reason phrase as it may stand in a head: what a client sent may be part of it."""
    return "".join(letter if " " <= letter <= "~" else "?" for letter in reason[:512]).encode("ascii")
