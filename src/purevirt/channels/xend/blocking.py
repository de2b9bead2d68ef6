"""The blocking transport to the Xen daemon, for threads: each call has a connection of its own while it lasts.

Nothing here needs a lock: taking a connection from the idle ones and putting it back are each one step (`list.pop`,
`list.append`), and in between it belongs to one thread.
"""

from __future__ import annotations

import _socket
import select
import time
from _queue import Empty, SimpleQueue  # the C half of queue: a semaphore without the import of threading

from purevirt.channels.unix import connect, fork_generation
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
    time_left,
    timed_out,
    unreachable,
)
from purevirt.errors import Closed

__all__ = ["BlockingTransport"]

# Of memory that malloc has at hand: more would be mapped, touched and unmapped for each answer.
_RECEIVE = 64 * 1024


class _Link:
    """One connection: its socket, in non-blocking mode, and what HTTP has to say about it."""

    __slots__ = ("http", "reading", "sock", "writing")

    def __init__(self, sock: _socket.socket) -> None:
        sock.setblocking(False)
        self.sock = sock
        self.http = Http()
        self.reading = select.poll()
        self.reading.register(sock.fileno(), select.POLLIN)
        self.writing = select.poll()
        self.writing.register(sock.fileno(), select.POLLOUT)


class BlockingTransport:
    """One Xen daemon, for threads."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._generation = fork_generation()
        self._closed = False
        self._idle: list[_Link] = []
        self._busy: set[_Link] = set()
        self._slots: SimpleQueue[None] = SimpleQueue()  # holds a None for each call that may begin
        for _ in range(CONNECTIONS):
            self._slots.put(None)

    async def exchange(self, request: Request, timeout: float | None) -> Response:
        check(self._closed, self._generation)
        deadline = None if timeout is None else time.monotonic() + timeout
        left = timeout  # which is looked at anew only after a wait: a look at the clock can be a system call
        try:
            self._slots.get(block=False)
        except Empty:
            self._wait_for_slot(deadline, timeout)
            left = time_left(deadline)
        try:
            link = self._take_idle()
            if link is None:
                link = self._connect(left)
                left = time_left(deadline)
            self._busy.add(link)
            response = None
            try:
                check(self._closed, self._generation)  # closed while we connected: then nobody would wake us
                response = self._talk(link, request, deadline, left, timeout)
            finally:
                self._busy.discard(link)
                if response is not None and link.http.reusable and len(self._idle) < IDLE:
                    self._idle.append(link)
                else:
                    link.sock.close()
            return response
        finally:
            self._slots.put(None)
            if self._closed:
                self._close_idle()

    def _wait_for_slot(self, deadline: float | None, timeout: float | None) -> None:
        try:
            self._slots.get(timeout=time_left(deadline))
        except Empty:
            raise timed_out(timeout, sent=False) from None

    def _take_idle(self) -> _Link | None:
        """An idle connection on which nothing has happened since its last answer."""
        while True:
            try:
                link = self._idle.pop()
            except IndexError:
                return None
            if not link.reading.poll(0):
                return link
            link.sock.close()  # the other side has closed it, or sends what nobody asked for

    def _connect(self, left: float | None) -> _Link:
        address = self._address
        if not isinstance(address, tuple):
            return _Link(connect(address, timeout=left, what=WHAT, channel=CHANNEL, hint=HINT))
        import socket

        try:
            sock = socket.create_connection(address, timeout=left)
        except TimeoutError:
            raise timed_out(left, sent=False) from None
        except OSError as error:
            raise unreachable(address, error) from error
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return _Link(sock)

    def _talk(
        self,
        link: _Link,
        request: Request,
        deadline: float | None,
        left: float | None,
        timeout: float | None,
    ) -> Response:
        """Send the request, receive its answer. So much time is `left`, of the `timeout` that there was."""
        data = memoryview(link.http.request(request))
        sent = False
        broken: OSError | None = None
        try:
            while data and broken is None:
                try:
                    data = data[link.sock.send(data) :]
                    sent = True
                except BlockingIOError:
                    self._wait(link.writing, left)
                    left = time_left(deadline)
                except OSError as error:
                    broken = error  # what it refused our request with may still be there to read
            while True:
                self._wait(link.reading, left)
                try:
                    response = link.http.feed(link.sock.recv(_RECEIVE))
                except BlockingIOError:
                    response = None
                if response is not None:
                    return response
                left = time_left(deadline)
        except TimeoutError:
            raise timed_out(timeout, sent) from None
        except Closed as error:
            raise lost(broken, self._closed) from error
        except OSError as error:
            raise lost(broken or error, self._closed) from error

    def _wait(self, poller: select.poll, left: float | None) -> None:
        """TimeoutError when that time has passed."""
        if left == 0.0 or not poller.poll(None if left is None else left * 1000):
            raise TimeoutError

    async def close(self) -> None:
        self._closed = True
        if self._generation == fork_generation():
            for link in tuple(self._busy):
                # Its own thread closes it: closed under its feet, the descriptor might already be another file's.
                try:
                    link.sock.shutdown(_socket.SHUT_RDWR)
                except OSError:
                    pass
        self._close_idle()

    def _close_idle(self) -> None:
        while self._idle:
            try:
                self._idle.pop().sock.close()
            except IndexError:
                return
