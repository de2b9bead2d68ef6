"""Hypercalls over a Unix socket to a simulated hypervisor, under asyncio.

Any number of tasks share the connection; answers find their calls by id. A task that gives up, because its time is
over or it is cancelled, takes its call back if not a byte of it has been sent; else an answer remains that is dropped
when it comes. The loop watches the socket itself (`add_reader`), so that `close` is done when it returns.
"""

from __future__ import annotations

import _socket
import asyncio
from collections import deque
from typing import Any

from purevirt.channels.hypercall.transport import CAPACITY, CHANNEL, SOCKET_BASE, WHAT, Deadline
from purevirt.channels.unix import StrPath, fork_generation, try_connect
from purevirt.errors import Closed, RemoteProtocolError, Timeout, XenError
from purevirt.wire.hypercall.frames import HELLO_SIZE, AnswerDecoder, decode_hello, encode_call
from purevirt.wire.hypercall.values import Answer, Hypercall

__all__ = ["AsyncioTransport"]

_RETRY = 0.01  # seconds between attempts while a listener's backlog is full
_RECEIVE = 1 << 18


class _Outgoing:
    """A frame on its way out."""

    __slots__ = ("frame", "sent")

    def __init__(self, frame: bytes) -> None:
        self.frame = memoryview(frame)
        self.sent = 0


class AsyncioTransport:
    """A simulated hypervisor, for the tasks of one event loop."""

    def __init__(self, sock: _socket.socket) -> None:
        self._socket = sock
        self._loop = asyncio.get_running_loop()
        self._generation = fork_generation()
        self._greeting = b""
        self._greeted: asyncio.Future[None] = self._loop.create_future()
        self._decoder = AnswerDecoder()
        self._outgoing: deque[_Outgoing] = deque()
        self._writing = False
        self._waiting: dict[int, asyncio.Future[Answer]] = {}
        self._reason: XenError | None = None
        self._id = 0
        self.arch = ""
        self.base = SOCKET_BASE
        self.capacity = CAPACITY
        self._loop.add_reader(sock.fileno(), self._readable)

    @classmethod
    async def connect(cls, path: StrPath, timeout: float | None) -> AsyncioTransport:
        """ConnectError, Timeout, or RemoteProtocolError if something else than a hypervisor listens there."""
        deadline = Deadline(timeout)
        while (sock := try_connect(path, what=WHAT, channel=CHANNEL)) is None:
            if deadline.left() == 0.0:
                raise _timed_out(timeout, "connect")
            await asyncio.sleep(_RETRY)
        self = cls(sock)
        try:
            await self._wait(self._greeted, deadline.left(), _timed_out(timeout, "connect"))
        except BaseException:
            self.close()
            raise
        return self

    async def call(self, hypercall: Hypercall, timeout: float | None) -> Answer:
        self._check()
        self._id = call_id = self._id + 1 & 0xFFFFFFFF
        outgoing = _Outgoing(encode_call(call_id, hypercall))
        future: asyncio.Future[Answer] = self._loop.create_future()
        self._waiting[call_id] = future
        self._outgoing.append(outgoing)
        try:
            if not self._writing:
                self._flush()
            await self._wait(future, timeout, _timed_out(timeout, None))
            return future.result()
        finally:
            del self._waiting[call_id]
            if not outgoing.sent and outgoing in self._outgoing:
                self._outgoing.remove(outgoing)

    async def _wait(self, future: asyncio.Future[Any], timeout: float | None, late: Timeout) -> None:
        timer = None if timeout is None else self._loop.call_later(timeout, _fail, future, late)
        try:
            await future
        finally:
            if timer is not None:
                timer.cancel()

    def close(self) -> None:
        if self._generation != fork_generation():
            self._socket.close()  # the parent's connection, and its loop, live on
            return
        self._end(Closed(f"the connection to {WHAT} is closed", channel=CHANNEL))

    def _check(self) -> None:
        if self._generation != fork_generation():
            raise Closed(
                f"this connection to {WHAT} was made before a fork: open another one in the child",
                channel=CHANNEL,
            )
        if self._reason is not None:
            raise Closed(str(self._reason), channel=CHANNEL, errno=self._reason.errno)

    def _flush(self) -> None:
        """Send what the socket takes; the loop calls again when it takes more."""
        outgoing = self._outgoing
        while outgoing:
            first = outgoing[0]
            try:
                first.sent += self._socket.send(first.frame[first.sent :])
            except BlockingIOError:
                break
            except OSError as error:
                self._lost(error)
                return
            if first.sent == len(first.frame):
                outgoing.popleft()
        if bool(outgoing) != self._writing:
            self._writing = bool(outgoing)
            if self._writing:
                self._loop.add_writer(self._socket.fileno(), self._flush)
            else:
                self._loop.remove_writer(self._socket.fileno())

    def _readable(self) -> None:
        try:
            data = self._socket.recv(_RECEIVE)
        except BlockingIOError:
            return
        except OSError as error:
            self._lost(error)
            return
        if not data:
            self._lost(None)
            return
        try:
            self._take(data)
        except RemoteProtocolError as error:
            self._end(error)

    def _take(self, data: bytes) -> None:
        if not self.arch:
            self._greeting += data
            if len(self._greeting) < HELLO_SIZE:
                return
            data = self._greeting[HELLO_SIZE:]
            self.arch = decode_hello(self._greeting[:HELLO_SIZE])
            if not self._greeted.done():
                self._greeted.set_result(None)
        self._decoder.feed(data)
        while (found := self._decoder.next()) is not None:
            future = self._waiting.get(found[0])
            if future is not None and not future.done():
                future.set_result(found[1])

    def _lost(self, error: OSError | None) -> None:
        reason = f"{WHAT} closed it" if error is None else error.strerror or str(error)
        self._end(
            Closed(
                f"the connection to {WHAT} is lost: {reason}",
                channel=CHANNEL,
                errno=None if error is None else error.errno,
            )
        )

    def _end(self, reason: XenError) -> None:
        if self._reason is not None:
            return
        self._reason = reason
        self._loop.remove_reader(self._socket.fileno())
        self._loop.remove_writer(self._socket.fileno())
        self._socket.close()
        self._outgoing.clear()
        if not self._greeted.done():
            self._greeted.set_exception(reason)
            self._greeted.exception()  # looked at, lest asyncio complain that nobody did
        for future in self._waiting.values():
            _fail(future, reason)


def _fail(future: asyncio.Future[Any], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)


def _timed_out(timeout: float | None, operation: str | None) -> Timeout:
    return Timeout(f"{WHAT} did not answer within {timeout or 0:g} s", operation=operation, channel=CHANNEL)
