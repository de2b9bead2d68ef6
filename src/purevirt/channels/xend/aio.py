"""The asyncio transport to the Xen daemon: each call has a connection of its own while it lasts.

A task that is cancelled closes its connection, as one whose time is over.
"""

from __future__ import annotations

import asyncio
import select
import socket

from purevirt.channels.unix import fork_generation, try_connect
from purevirt.channels.xend.http import Http
from purevirt.channels.xend.transport import (
    CHANNEL,
    CONNECTIONS,
    HINT,
    IDLE,
    WHAT,
    Address,
    Request,
    Response,
    check,
    lost,
    timed_out,
    unreachable,
)
from purevirt.errors import Closed

__all__ = ["AsyncioTransport"]

_RECEIVE = 256 * 1024
_RETRY = 0.01  # seconds between attempts while a listener's backlog is full


class _Link:
    """One connection: its socket, in non-blocking mode, and what HTTP has to say about it."""

    __slots__ = ("http", "sent", "sock")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.http = Http()
        self.sent = False

    def quiet(self) -> bool:
        """Whether nothing has happened on it since its last answer."""
        poller = select.poll()
        poller.register(self.sock.fileno(), select.POLLIN)
        return not poller.poll(0)


class AsyncioTransport:
    """One Xen daemon, for the tasks of one event loop."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._loop = asyncio.get_running_loop()
        self._generation = fork_generation()
        self._closed = False
        self._idle: list[_Link] = []
        self._busy: set[_Link] = set()
        self._slots = asyncio.Semaphore(CONNECTIONS)

    async def exchange(self, request: Request, timeout: float | None) -> Response:
        check(self._closed, self._generation)
        sent = False
        try:
            async with asyncio.timeout(timeout), self._slots:
                link = self._take_idle() or await self._connect()
                sent = True  # as far as a deadline can tell from here
                return await self._use(link, request)
        except TimeoutError:
            raise timed_out(timeout, sent) from None

    async def _use(self, link: _Link, request: Request) -> Response:
        self._busy.add(link)
        response = None
        try:
            check(self._closed, self._generation)
            response = await self._talk(link, request)
        finally:
            self._busy.discard(link)
            if response is not None and link.http.reusable and not self._closed and len(self._idle) < IDLE:
                self._idle.append(link)
            else:
                link.sock.close()
        return response

    def _take_idle(self) -> _Link | None:
        while self._idle:
            link = self._idle.pop()
            if link.quiet():
                return link
            link.sock.close()  # the other side has closed it, or sends what nobody asked for
        return None

    async def _connect(self) -> _Link:
        address = self._address
        if isinstance(address, tuple):
            return await self._connect_tcp(*address)
        while True:
            found = try_connect(address, what=WHAT, channel=CHANNEL, hint=HINT)
            if found is not None:
                return _Link(socket.socket(fileno=found.detach()))
            await asyncio.sleep(_RETRY)

    async def _connect_tcp(self, host: str, port: int) -> _Link:
        last: OSError | None = None
        try:
            places = await self._loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            places, last = [], error
        for family, kind, protocol, _, place in places:
            sock = socket.socket(family, kind, protocol)
            sock.setblocking(False)
            try:
                await self._loop.sock_connect(sock, place)
            except OSError as error:
                sock.close()
                last = error
            except BaseException:
                sock.close()
                raise
            else:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return _Link(sock)
        raise unreachable((host, port), last) from last

    async def _talk(self, link: _Link, request: Request) -> Response:
        """Send the request, receive its answer."""
        data = link.http.request(request)
        broken: OSError | None = None
        try:
            try:
                await self._loop.sock_sendall(link.sock, data)
            except OSError as error:
                broken = error  # what it refused our request with may still be there to read
            while True:
                received = await self._loop.sock_recv(link.sock, _RECEIVE)
                response = link.http.feed(received)
                if response is not None:
                    return response
        except Closed as error:
            raise lost(broken, self._closed) from error
        except OSError as error:
            raise lost(broken or error, self._closed) from error

    async def close(self) -> None:
        self._closed = True
        if self._generation == fork_generation():
            for link in tuple(self._busy):
                try:
                    link.sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
        while self._idle:
            self._idle.pop().sock.close()
