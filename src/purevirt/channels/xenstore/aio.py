"""The asyncio transport: many tasks, one connection, replies told apart by their ids.

The loop watches the descriptor (`add_reader`): one class serves the socket and the device, and receives into
the same pipeline as the blocking transport. Batches wait in a queue until they are sent. When a task gives up
(its time is over, or it is cancelled), packets of its batch that were not begun are forgotten, and the
replies to the others are dropped when they come. So a daemon that has stopped reading cannot make the queue
grow.

When the stream ends, everything that waits fails at once with the reason.
"""

from __future__ import annotations

import _socket
import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from purevirt.channels.unix import StrPath, fork_generation, try_connect
from purevirt.channels.xenstore.links import HINT, Link, Refused, SocketLink, is_device, open_device
from purevirt.channels.xenstore.pipeline import Batch, Pipeline, packet_end, timed_out
from purevirt.channels.xenstore.transport import CHANNEL, WHAT, Request
from purevirt.errors import Closed, RemoteProtocolError, Timeout, XenError
from purevirt.wire.xenstore.packets import Packet

if TYPE_CHECKING:
    from purevirt.channels.xenstore.aio_lane import AsyncioLane

__all__ = ["AsyncioTransport", "Body", "Connector", "as_body"]

_RECEIVE = 65536
_ROUNDS = 16  # a store that changes faster than it can be read must not hold a poller for ever
_RETRY = 0.01  # seconds between attempts while a listener's backlog is full


class AsyncioTransport:
    """One connection to a Xen Store, for the tasks of one event loop."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._loop = asyncio.get_running_loop()
        self._pipeline = Pipeline(link.max_payload)
        self._generation = fork_generation()
        self._reason: XenError | None = None
        self._outgoing: deque[Batch] = deque()
        self._writing = False
        self._one_at_a_time = link.one_at_a_time
        self._asked = 0  # how many requests went to a link of one at a time
        self._exchanges: set[asyncio.Future[None]] = set()
        self._watchers: set[asyncio.Future[None]] = set()
        self._loop.add_reader(link.fileno(), self._readable)

    @property
    def on_event(self) -> Callable[[bytes], None] | None:
        return self._pipeline.on_event

    @on_event.setter
    def on_event(self, handler: Callable[[bytes], None] | None) -> None:
        self._pipeline.on_event = handler

    @property
    def closed(self) -> bool:
        return self._reason is not None or self._generation != fork_generation()

    # --- requests -------------------------------------------------------------------------------------------

    async def exchange(self, requests: Sequence[Request], timeout: float | None) -> list[Packet]:
        self._check()
        if not requests:
            return []
        batch = self._pipeline.begin(requests)
        future = self._loop.create_future()
        self._exchanges.add(future)
        batch.on_done = partial(_finish, future)
        timer = None
        try:
            self._outgoing.append(batch)
            if not self._writing:
                self._flush()
            if timeout is not None:
                timer = self._loop.call_later(timeout, _fail, future, TimeoutError())
            try:
                await future
            except TimeoutError:
                raise timed_out(batch, timeout) from None
        finally:
            if timer is not None:
                timer.cancel()
            self._exchanges.discard(future)
            if batch.missing:
                self._pipeline.abandon(batch)
                batch.data = batch.data[: packet_end(batch.data, batch.sent)]
                if len(batch.data) == batch.sent and batch in self._outgoing:
                    self._outgoing.remove(batch)
        return batch.replies

    def _flush(self) -> None:
        """Send what the socket takes; the loop calls again when it takes more."""
        outgoing = self._outgoing
        while outgoing:
            if self._one_at_a_time:
                if self._pipeline.replies < self._asked:
                    return  # `_readable` calls again when they have come
                self._asked += 1
            batch = outgoing[0]
            data = batch.data if not batch.sent else memoryview(batch.data)[batch.sent :]
            try:
                batch.sent += self._link.send(data)
            except BlockingIOError:
                break
            except Refused as refused:
                batch.sent += refused.size
                self._feed(refused.reply)
            except OSError as error:
                self._lost(error)
                return
            if outgoing and batch.sent == len(batch.data):
                outgoing.popleft()
        if bool(outgoing) != self._writing and self._reason is None and not self._one_at_a_time:
            self._writing = bool(outgoing)
            if self._writing:
                self._loop.add_writer(self._link.fileno(), self._flush)
            else:
                self._loop.remove_writer(self._link.fileno())

    def _readable(self) -> bool:
        """Receive once. Whether anything came."""
        try:
            data = self._link.receive(_RECEIVE)
        except BlockingIOError:
            return False
        except OSError as error:
            self._lost(error)
            return False
        if not data:
            self._lost(None)
            return False
        self._feed(data)
        if self._one_at_a_time and self._outgoing:
            self._flush()
        return True

    def _feed(self, data: bytes) -> None:
        try:
            self._pipeline.feed(data)
        except RemoteProtocolError as error:
            self._end(error)
            return
        for watcher in self._watchers:
            _finish(watcher)

    # --- events ---------------------------------------------------------------------------------------------

    async def wait_events(self, ready: Callable[[], bool], timeout: float | None) -> bool:
        deadline = None if timeout is None else self._loop.time() + timeout
        while not ready():
            self._check()
            left = None if deadline is None else deadline - self._loop.time()
            if left is not None and left <= 0:
                await self.poll_events()
                return ready()
            future = self._loop.create_future()
            timer = None if left is None else self._loop.call_later(left, _finish, future)
            self._watchers.add(future)
            try:
                await future
            finally:
                self._watchers.discard(future)
                if timer is not None:
                    timer.cancel()
        return True

    async def poll_events(self) -> None:
        self._check()
        for _ in range(_ROUNDS):
            if not self._readable():
                break
            self._check()
        self._check()

    async def pause(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    # --- the end --------------------------------------------------------------------------------------------

    async def close(self) -> None:
        if self._generation != fork_generation():
            self._link.close()  # the parent's connection, and its loop, live on
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

    def _lost(self, error: OSError | None) -> None:
        detail = f"{WHAT} closed it" if error is None else error.strerror or str(error)
        self._end(
            Closed(
                f"the connection to {WHAT} is lost: {detail}",
                channel=CHANNEL,
                errno=None if error is None else error.errno,
            )
        )

    def _end(self, reason: XenError) -> None:
        if self._reason is not None:
            return
        self._reason = reason
        self._loop.remove_reader(self._link.fileno())
        self._loop.remove_writer(self._link.fileno())
        self._link.close()
        self._outgoing.clear()
        for future in self._exchanges:
            _fail(future, reason)
        for watcher in self._watchers:
            _finish(watcher)  # it looks again, and finds the reason


def _fail(future: asyncio.Future[None], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)


def _finish(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


class Connector:
    """Makes asyncio transports to one socket or device."""

    __slots__ = ("path",)

    def __init__(self, path: StrPath) -> None:
        self.path = path

    async def connect(self, timeout: float | None) -> AsyncioTransport:
        if is_device(self.path):
            return AsyncioTransport(open_device(self.path))
        return AsyncioTransport(SocketLink(await self._dial(timeout)))

    async def connect_lane(self, timeout: float | None) -> AsyncioLane | None:
        if is_device(self.path):
            return None
        from purevirt.channels.xenstore.aio_lane import AsyncioLane

        return AsyncioLane(await self._dial(timeout))

    async def _dial(self, timeout: float | None) -> _socket.socket:
        deadline = None if timeout is None else time.monotonic() + timeout
        while (sock := try_connect(self.path, what=WHAT, channel=CHANNEL, hint=HINT)) is None:
            if deadline is not None and time.monotonic() >= deadline:
                raise Timeout(
                    f"{WHAT} at {self.path!r} did not take the connection within {timeout:g} s",
                    operation="connect",
                    channel=CHANNEL,
                )
            await asyncio.sleep(_RETRY)
        return sock

    async def pause(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


# --- what a user's function is, in this half ----------------------------------------------------------------

V = TypeVar("V")
W = TypeVar("W")
R = TypeVar("R")

Body = Callable[[V], Awaitable[R]]
"""A function that the user writes, to be run inside a transaction."""


def as_body(function: Callable[[W], Awaitable[R]], wrap: Callable[[V], W]) -> Callable[[V], Awaitable[R]]:
    """The user's function in the form that the client runs."""

    async def body(view: V) -> R:
        return await function(wrap(view))

    return body
