"""Hypercalls over a Unix socket to a simulated hypervisor, under asyncio.

Any number of tasks share the connection; answers find their calls by id. A task that gives up, because its
time is over or it is cancelled, leaves an answer on the wire that is dropped when it comes.
"""

from __future__ import annotations

import asyncio
from typing import Any, TypeVar

from purevirt.channels.hypercall.transport import CAPACITY, CHANNEL, SOCKET_BASE, WHAT, Deadline
from purevirt.channels.unix import StrPath, fork_generation, try_connect
from purevirt.errors import Closed, RemoteProtocolError, Timeout, XenError
from purevirt.wire.hypercall.frames import HELLO_SIZE, AnswerDecoder, decode_hello, encode_call
from purevirt.wire.hypercall.values import Answer, Hypercall

__all__ = ["AsyncioTransport"]

T = TypeVar("T")

_RETRY = 0.01  # seconds between attempts while a listener's backlog is full


class AsyncioTransport(asyncio.Protocol):
    """A simulated hypervisor, for the tasks of one event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._generation = fork_generation()
        self._transport: asyncio.Transport | None = None
        self._greeting = b""
        self._greeted: asyncio.Future[str] = self._loop.create_future()
        self._decoder = AnswerDecoder()
        self._waiting: dict[int, asyncio.Future[Answer]] = {}
        self._reason: XenError | None = None
        self._id = 0
        self.arch = ""
        self.base = SOCKET_BASE
        self.capacity = CAPACITY

    @classmethod
    async def connect(cls, path: StrPath, timeout: float | None) -> AsyncioTransport:
        """ConnectError, Timeout, or RemoteProtocolError if something else than a hypervisor listens there."""
        deadline = Deadline(timeout)
        while (sock := try_connect(path, what=WHAT, channel=CHANNEL)) is None:
            if deadline.left() == 0.0:
                raise _timed_out(timeout, "connect")
            await asyncio.sleep(_RETRY)
        _, self = await asyncio.get_running_loop().create_unix_connection(cls, sock=sock)
        try:
            self.arch = await self._wait(self._greeted, deadline.left(), "connect")
        except BaseException:
            self.close()
            raise
        return self

    async def call(self, hypercall: Hypercall, timeout: float | None) -> Answer:
        transport = self._check()
        self._id = call_id = self._id + 1 & 0xFFFFFFFF
        frame = encode_call(call_id, hypercall)
        future: asyncio.Future[Answer] = self._loop.create_future()
        self._waiting[call_id] = future
        try:
            transport.write(frame)
            return await self._wait(future, timeout, None)
        finally:
            self._waiting.pop(call_id, None)

    async def _wait(self, future: asyncio.Future[T], timeout: float | None, operation: str | None) -> T:
        timer = None
        if timeout is not None:
            timer = self._loop.call_later(timeout, _fail, future, _timed_out(timeout, operation))
        try:
            return await future
        finally:
            if timer is not None:
                timer.cancel()

    def close(self) -> None:
        self._end(Closed(f"the connection to {WHAT} is closed", channel=CHANNEL))

    def _check(self) -> asyncio.Transport:
        if self._generation != fork_generation():
            raise Closed(
                f"this connection to {WHAT} was made before a fork: open another one in the child",
                channel=CHANNEL,
            )
        if self._reason is not None or self._transport is None:
            raise Closed(str(self._reason), channel=CHANNEL)
        return self._transport

    def _end(self, reason: XenError) -> None:
        if self._reason is not None:
            return
        self._reason = reason
        if self._transport is not None and self._generation == fork_generation():
            self._transport.abort()
        if not self._greeted.done():
            self._greeted.set_exception(reason)
            self._greeted.exception()  # it may be that nobody waits for it
        for future in self._waiting.values():
            _fail(future, reason)

    # --- what the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        try:
            if not self._greeted.done():
                self._greeting += data
                if len(self._greeting) < HELLO_SIZE:
                    return
                data = self._greeting[HELLO_SIZE:]
                self._greeted.set_result(decode_hello(self._greeting[:HELLO_SIZE]))
            self._decoder.feed(data)
            while (found := self._decoder.next()) is not None:
                future = self._waiting.get(found[0])
                if future is not None and not future.done():
                    future.set_result(found[1])
        except RemoteProtocolError as error:
            self._end(error)

    def connection_lost(self, exc: Exception | None) -> None:
        reason = f"{WHAT} closed it" if exc is None else str(exc)
        self._end(Closed(f"the connection to {WHAT} is lost: {reason}", channel=CHANNEL))


def _fail(future: asyncio.Future[Any], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)


def _timed_out(timeout: float | None, operation: str | None) -> Timeout:
    return Timeout(f"{WHAT} did not answer within {timeout or 0:g} s", operation=operation, channel=CHANNEL)
