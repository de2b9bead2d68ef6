"""A small HTTP/1.1 server for the daemon's sockets: h11 parses and frames, this waits and gives up waiting.

(Plain requests, which arrive in one piece, and plain answers are read and written by `wire.plainhttp`: a third of the
daemon's work for a call was h11's. What that finds unusual is h11's, as ever.)

A handler takes a whole request and returns a whole answer; who asks is found out when a connection is accepted. What
this promises:

- Every wait has a deadline: for the next request, for its head, its body, the answer, and for the client to take it.
  Nobody can lock others out by opening sockets: `crowd` says who gives way.
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
import select
import socket
from collections.abc import Callable

import h11

from purevirt.daemons.xend.crowd import Crowd
from purevirt.daemons.xend.deadlines import Deadline, Patience
from purevirt.daemons.xend.http_messages import (
    DEFAULTS,
    Handler,
    Limits,
    Refused,
    Request,
    Response,
    head_of,
    plain,
    plain_bytes,
    refusal,
)
from purevirt.model.access import Caller, Role
from purevirt.wire import plainhttp

__all__ = ["DEFAULTS", "Handler", "Limits", "Request", "Response", "Server", "serve"]

_log = logging.getLogger("purevirt.xend.http")

_CHUNK = 65536
_MOST_PIECES = 10_000
_IN_A_ROW = 16  # requests of one connection, before others have their turn


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
        self._loop = asyncio.get_running_loop()
        self._sock = sock
        self._handler = handler
        self._identify = identify
        self._limits = limits
        self._keeps = keeps
        self._crowd = Crowd(limits)
        self._accepting: asyncio.Task[None] | None = None
        self._closing = False

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._crowd)

    @property
    def accepts(self) -> bool:
        """Whether it accepts connections still."""
        return self._accepting is not None and not self._accepting.done()

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
        for task in self._crowd.still_sending:
            task.cancel()
        if self._crowd:
            await asyncio.wait(self._crowd.all, timeout=grace)
        for task in self._crowd.all:
            task.cancel()
        if self._crowd:
            await asyncio.wait(self._crowd.all)

    async def _accept(self) -> None:
        while True:
            try:
                peer, _ = await self._loop.sock_accept(self._sock)
            except OSError as error:
                if self._sock.fileno() == -1:
                    return
                if error.errno != errno.ECONNABORTED:  # that one client is gone
                    _log.warning("a connection cannot be accepted: %s", error)
                    await self._make_room()
                continue
            if self._crowd.full:
                await self._make_room()
            self._admit(peer)
            await asyncio.sleep(0)  # accepting never waits while somebody knocks: others have their turn

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
        if not self._crowd.room_for(caller):
            _log.info("user %d has too many connections", caller.uid)
            peer.close()
            return
        self._crowd.add(asyncio.create_task(self._converse(peer, caller)), caller)

    async def _make_room(self) -> None:
        """Until a connection has ended, for a second at the most."""
        self._crowd.end_one()
        try:
            with self._within(1.0):
                await self._crowd.fewer.wait()
        except TimeoutError:
            pass

    # --- one connection

    async def _converse(self, sock: socket.socket, caller: Caller) -> None:
        idle = Patience(self._loop, self._task(), self._limits.idle_time)
        working = Patience(self._loop, self._task(), self._limits.answer_time)
        try:
            connection = h11.Connection(h11.SERVER, max_incomplete_event_size=self._limits.head)
            served = 0
            while await self._exchange(connection, sock, caller, idle, working):
                if connection.our_state is h11.DONE:  # h11 has seen this one
                    connection.start_next_cycle()
                served += 1
                if served % _IN_A_ROW == 0:
                    await asyncio.sleep(0)  # nor does serving while the next request is here already
            await self._linger(sock)
        except (OSError, h11.RemoteProtocolError):
            pass  # the client is gone, or does not take its answer
        except asyncio.CancelledError:
            pass  # closed from our side; nobody awaits this task for its outcome
        except Exception:
            _log.exception("a connection failed")
        finally:
            idle.end()
            working.end()
            sock.close()

    async def _exchange(
        self,
        connection: h11.Connection,
        sock: socket.socket,
        caller: Caller,
        idle: Patience,
        working: Patience,
    ) -> bool:
        """One request and its answer; whether there may be another on this connection."""
        task = self._task()
        self._crowd.sends(task)
        try:
            received = await self._first(connection, sock, idle)
            if received is None:
                return False
            request = whole = self._plain(received, caller, sock)
            if request is None:
                if received:
                    connection.receive_data(received)
                request = await self._receive(connection, sock, caller)
        except Refused as refused:
            self._crowd.holds_nothing(task)
            await self._send(connection, sock, refused.response, head_only=False)
            return False
        finally:
            self._crowd.has_sent(task)
        if request is None:
            return False
        try:
            response = await self._answer(request, working)
        finally:
            self._crowd.holds_nothing(task)
        asked = "keep-alive" in (request.header("connection") or "").lower()
        data = None if whole is None else plain_bytes(response)
        if data is not None:
            await self._write(sock, data)
            return not self._closing and (asked or self._keeps(request))
        if whole is not None:  # an unusual answer: h11 must have seen what it answers
            connection.receive_data(received)
            while isinstance(connection.next_event(), (h11.Request, h11.Data)):
                pass
        await self._send(connection, sock, response, head_only=request.method == "HEAD")
        done = connection.our_state is h11.DONE and connection.their_state is h11.DONE
        return done and not self._closing and (asked or self._keeps(request))

    async def _first(self, connection: h11.Connection, sock: socket.socket, idle: Patience) -> bytes | None:
        """What comes first of the next request: b"" if it is here already, None if the client went, or is silent for
        too long."""
        if connection.trailing_data[0]:
            return b""
        try:
            return sock.recv(_CHUNK) or None  # who calls again and again was often faster than we
        except BlockingIOError:
            pass
        try:
            with idle:
                return await self._loop.sock_recv(sock, _CHUNK) or None
        except TimeoutError:
            return None

    def _plain(self, received: bytes, caller: Caller, sock: socket.socket) -> Request | None:
        """A whole request, if that is what came, and a plain one."""
        begin = plainhttp.end_of_head(received)
        if not 0 < begin <= self._limits.head:
            return None
        head = plainhttp.request_head(received[:begin])
        if head is None:
            return None
        length = head.length
        limit = self._limits.body if caller.role > Role.NONE else self._limits.stranger_body
        if len(received) != begin + length or length > limit:
            return None
        if length and not self._crowd.holds(self._task(), length):
            return None
        body = received[begin:]
        return Request(head.method, head.target, head.headers, body, caller, lambda: _hung_up(sock))

    async def _answer(self, request: Request, working: Patience) -> Response:
        try:
            with working:
                return await self._handler(request)
        except Exception:
            _log.exception("%s %s failed", request.method, request.target)
            return plain(500, "Internal server error", "the daemon failed to answer; its log says why")

    async def _receive(
        self, connection: h11.Connection, sock: socket.socket, caller: Caller
    ) -> Request | None:
        """The next whole request, of which something is here; None if the client went."""
        try:
            head = await self._head(connection, sock)
            if head is None:
                return None
            headers = tuple((name.decode("ascii"), value.decode("latin-1")) for name, value in head.headers)
            body = await self._body(connection, sock, headers, caller)
        except h11.RemoteProtocolError as error:
            raise refusal(error) from None
        except TimeoutError:
            raise Refused(408, "Request timeout", "the request did not arrive in time") from None
        if head.method == b"CONNECT":  # the one method whose answer would change the protocol
            raise Refused(501, "Not implemented", "Request method not supported (CONNECT)")
        return Request(
            head.method.decode("ascii"),
            head.target.decode("ascii"),
            headers,
            body,
            caller,
            lambda: _hung_up(sock),
        )

    async def _head(self, connection: h11.Connection, sock: socket.socket) -> h11.Request | None:
        event = connection.next_event()
        with self._within(self._limits.head_time):
            while event is h11.NEED_DATA:
                await self._more(connection, sock)
                event = connection.next_event()
        return event if isinstance(event, h11.Request) else None

    async def _body(
        self,
        connection: h11.Connection,
        sock: socket.socket,
        headers: tuple[tuple[str, str], ...],
        caller: Caller,
    ) -> bytes:
        limit = self._limits.body if caller.role > Role.NONE else self._limits.stranger_body
        too_long = Refused(413, "Request entity too large", f"a body has at most {limit} bytes here")
        for name, value in headers:
            if name == "content-length" and int(value) > limit:  # h11 has seen to it that this is a number
                raise too_long
        task, parts, size = self._task(), [], 0
        with self._within(self._limits.body_time):
            while True:
                event = connection.next_event()
                if isinstance(event, h11.Data):
                    size += len(event.data)
                    if size > limit:
                        raise too_long
                    if not self._crowd.holds(task, size):
                        raise Refused(503, "Service unavailable", "too many long requests at once")
                    parts.append(bytes(event.data))
                    if len(parts) > _MOST_PIECES:
                        raise Refused(400, "Bad request", "a body in too many pieces")
                elif event is h11.NEED_DATA:
                    if connection.they_are_waiting_for_100_continue:
                        going_on = h11.InformationalResponse(status_code=100, headers=[], reason=b"Continue")
                        await self._write(sock, connection.send(going_on))
                    await self._more(connection, sock)
                    await asyncio.sleep(0)  # nor does receiving while there are bytes
                else:
                    return b"".join(parts)

    async def _more(self, connection: h11.Connection, sock: socket.socket) -> None:
        connection.receive_data(await self._loop.sock_recv(sock, _CHUNK))

    async def _send(
        self, connection: h11.Connection, sock: socket.socket, response: Response, *, head_only: bool
    ) -> None:
        try:
            head = head_of(response)
        except (h11.LocalProtocolError, UnicodeEncodeError):
            _log.exception("an answer that cannot be sent")
            response = plain(500, "Internal server error", "the daemon's answer cannot be sent")
            head = head_of(response)
        data = connection.send(head)
        if response.body and not head_only and response.status not in (204, 304):
            data += connection.send(h11.Data(data=response.body))
        data += connection.send(h11.EndOfMessage())
        await self._write(sock, data)

    async def _write(self, sock: socket.socket, data: bytes) -> None:
        try:
            sent = sock.send(data)
        except BlockingIOError:
            sent = 0
        if sent == len(data):
            return
        with self._within(self._limits.send_time):  # a TimeoutError is an OSError
            await self._loop.sock_sendall(sock, memoryview(data)[sent:])

    async def _linger(self, sock: socket.socket) -> None:
        """Say that no more comes, and read what the client still sends, for a moment."""
        sock.shutdown(socket.SHUT_WR)
        with self._within(self._limits.linger_time):
            while await self._loop.sock_recv(sock, _CHUNK):
                pass

    def _within(self, seconds: float) -> Deadline:
        return Deadline(self._loop, self._loop.time() + seconds)

    def _task(self) -> asyncio.Task[None]:
        task = asyncio.current_task(self._loop)
        assert task is not None
        return task


def _hung_up(sock: socket.socket) -> bool:
    """Whether the other side has closed it altogether; over TCP that shows only when it refuses what it is sent."""
    poller = select.poll()
    poller.register(sock, 0)  # a hang-up and an error are told whatever is asked for
    return bool(poller.poll(0))
