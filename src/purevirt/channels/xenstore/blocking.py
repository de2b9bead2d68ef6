"""The blocking transport: a lock, one send, and poll until the replies are there.

Threads may share a connection: an exchange holds the lock from its first byte to its last reply. Sending and
receiving interleave, because a Xen Store daemon stops reading from a client whose replies it cannot write; a
client that only sent a large pipeline would wait for it for ever.

What keeps the stream whole when something goes wrong:

- A time-out while sending leaves at most one packet begun; the rest of that packet (`_unsent`) goes out first
  next time. Packets not yet begun are forgotten: they never took effect.
- An interrupt (KeyboardInterrupt, an exception from a signal handler) that lands while bytes are between the
  socket and the decoder would lose them. `_moving` marks these moments; the connection is then closed, for
  what comes next could be anything. An interrupt while waiting, which is nearly always, costs nothing.
- A fork is refused in the child, which would take the parent's replies.

**Large batches.** C xenstored writes each reply in two pieces, and each piece would wake us: on one core that
is two context switches, a poll and a recv for each reply, more than all the rest. So a large batch goes out in
windows of about 30 short requests (longer ones help less); after each we wait until the daemon has *read* it, as
it answers, and then receive its replies at once: a third less time for 100 reads, and half of our own. That
moment can be seen: the socket becomes writable, if its send buffer is so small that anything in flight fills it
(`Link.tell_when_read`), and replies do not end a poll for POLLOUT alone. A daemon may also stop reading because
its replies are stuck; so this wait ends after 20 ms, and whatever has come is received.

A consumer of watch events waits without the lock, so that another thread can add a watch meanwhile; whoever
receives an event writes to the waiter's pipe.
"""

from __future__ import annotations

import _socket
import os
import select
import time
from _thread import allocate_lock  # threading.Lock, without the import of threading
from collections.abc import Awaitable, Callable, Sequence

from purevirt._typing import TYPE_CHECKING, TypeVar
from purevirt.channels.unix import StrPath, connect, fork_generation
from purevirt.channels.xenstore.links import HINT, Link, Refused, SocketLink, is_device, open_device
from purevirt.channels.xenstore.pipeline import Batch, Pipeline, packet_end, timed_out
from purevirt.channels.xenstore.transport import CHANNEL, WHAT, Request
from purevirt.errors import Closed, RemoteProtocolError, Timeout
from purevirt.wire.xenstore.packets import Packet

if TYPE_CHECKING:
    from purevirt.channels.xenstore.blocking_lane import BlockingLane

__all__ = ["BlockingTransport", "Body", "Connector", "as_body"]

_monotonic = time.monotonic
_SMALL, _LARGE = 8192, 65536  # what to receive at most: for one reply, for many
_MANY = 8  # a batch of so many is worth waiting for
_WINDOW = 1280  # bytes that are sent before the other side is let read them
_PATIENCE = 20.0  # milliseconds: for the other side to read, before its replies are looked for
_ROUNDS = 16  # a store that changes faster than it can be read must not hold a poller for ever


class BlockingTransport:
    """One connection to a Xen Store, for threads."""

    __slots__ = (
        "__weakref__",
        "_asked",
        "_bell",
        "_either_poll",
        "_generation",
        "_link",
        "_lock",
        "_moving",
        "_one_at_a_time",
        "_pipeline",
        "_poll",
        "_poller",
        "_read_poll",
        "_reason",
        "_send",
        "_unsent",
        "_waiters",
        "_wake",
    )

    def __init__(self, link: Link) -> None:
        self._link = link
        self._send = link.send
        self._pipeline = Pipeline(link.max_payload)
        self._lock = allocate_lock()
        self._generation = fork_generation()
        self._reason: str | None = None
        self._unsent = b""
        self._moving = False
        self._bell = allocate_lock()  # nobody rings it while it is taken down
        self._waiters = 0
        self._wake: tuple[int, int] | None = None
        self._poller = _poller(link.fileno(), select.POLLIN)
        self._poll = self._poller.poll
        self._one_at_a_time = link.one_at_a_time
        self._asked = 0  # how many requests went to a link of one at a time
        link.tell_when_read()
        self._read_poll = _poller(link.fileno(), select.POLLOUT).poll
        self._either_poll = _poller(link.fileno(), select.POLLIN | select.POLLOUT).poll
        if not link.can_shutdown:
            # Nothing else wakes a thread that waits for a reply when another closes the connection.
            self._poller.register(self._wake_pipe()[0], select.POLLIN)

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
        deadline = None if timeout is None else _monotonic() + timeout
        self._acquire(deadline, timeout)
        try:
            if not requests:
                return []
            batch = self._pipeline.begin(requests)
            try:
                self._start(batch, deadline)
                size = _SMALL if batch.missing == 1 else _LARGE
                while batch.missing:
                    self._wait(deadline)
                    self._receive(size)
            except TimeoutError:
                self._pipeline.abandon(batch)
                raise timed_out(batch, timeout) from None
            except BaseException:
                self._pipeline.abandon(batch)
                if self._moving:
                    self._end("interrupted in the middle of a packet")
                raise
            return batch.replies
        finally:
            self._release()

    def _start(self, batch: Batch, deadline: float | None) -> None:
        """Send the batch; receive meanwhile if it is large. TimeoutError at the deadline."""
        if self._one_at_a_time:
            self._start_one_by_one(batch, deadline)
            return
        data = self._unsent + batch.data if self._unsent else batch.data
        sent = 0
        if batch.missing < _MANY:
            sent = self._push(data)
            if sent == len(data):
                self._unsent = b""
                self._moving = False
                return
        view = memoryview(data)
        self._moving = False
        try:
            while sent < len(data):
                sent += self._push(view[sent : sent + _WINDOW])
                self._moving = False
                if sent < len(data):
                    self._make_room(deadline)
        finally:
            self._unsent = data[sent : packet_end(data, sent)]
        self._until_read(deadline)

    def _start_one_by_one(self, batch: Batch, deadline: float | None) -> None:
        """Send each request of the batch when all before it, of whatever batch, have been answered."""
        view = memoryview(batch.data)
        while batch.sent < len(view):
            while self._pipeline.replies < self._asked:
                self._wait(deadline)
                self._receive(_LARGE)
            self._asked += 1
            batch.sent += self._push(view[batch.sent :])
            self._moving = False

    def _wait(self, deadline: float | None) -> None:
        """Wait until there is something to receive. TimeoutError at the deadline."""
        left = None if deadline is None else (deadline - _monotonic()) * 1000
        if (left is not None and left <= 0) or not self._poll(left):
            raise TimeoutError

    def _push(self, data: bytes | memoryview) -> int:
        """Send once, without waiting. How many bytes went out; `_moving` ends when the caller has noted it."""
        self._moving = True
        try:
            sent = self._send(data)
        except BlockingIOError:
            sent = 0
        except Refused as refused:
            sent = refused.size
            self._feed(refused.reply)
        except OSError as error:
            raise self._lost(error) from error
        return sent

    def _make_room(self, deadline: float | None) -> None:
        """Wait until more can be sent, or something was received. TimeoutError at the deadline."""
        received = self._receive(_LARGE)  # the answers to the window before
        read = self._until_read(deadline)
        left = None if deadline is None else (deadline - _monotonic()) * 1000
        if left is not None and left <= 0:
            raise TimeoutError
        if not (read or received):
            self._either_poll(left)
            self._receive(_LARGE)

    def _until_read(self, deadline: float | None) -> bool:
        """Wait, but not long, until the other side has read everything; whether it has. See the essay above."""
        left = _PATIENCE if deadline is None else min(_PATIENCE, (deadline - _monotonic()) * 1000)
        return left > 0 and bool(self._read_poll(left))

    def _receive(self, size: int) -> bool:
        """Receive once, without waiting, and file what came. Whether anything did."""
        if self._reason is not None:
            raise Closed(f"{WHAT}: the connection was closed meanwhile", channel=CHANNEL)
        self._moving = True
        try:
            data = self._link.receive(size)
        except BlockingIOError:
            self._moving = False
            return False
        except OSError as error:
            raise self._lost(error) from error
        if not data:
            self._moving = False
            raise self._lost(None)
        self._feed(data)
        self._moving = False
        return True

    def _feed(self, data: bytes) -> None:
        try:
            self._pipeline.feed(data)
        except RemoteProtocolError as error:
            self._moving = False
            self._end(f"broken: {error}")
            raise

    # --- events ---------------------------------------------------------------------------------------------

    async def wait_events(self, ready: Callable[[], bool], timeout: float | None) -> bool:
        deadline = None if timeout is None else _monotonic() + timeout
        if not self._acquire(deadline, timeout, quiet=True):
            return ready()
        try:
            wake = self._wake_pipe()[0]
            self._waiters += 1
        finally:
            self._release()
        poller = _poller(self._link.fileno(), select.POLLIN)
        poller.register(wake, select.POLLIN)
        try:
            while not ready():
                if self._reason is not None:
                    raise Closed(f"{WHAT}: the connection is {self._reason}", channel=CHANNEL)
                left = None if deadline is None else max(0.0, (deadline - _monotonic()) * 1000)
                readable = [fd for fd, _ in poller.poll(left)]
                if not readable:
                    return ready()
                if wake in readable and self._reason is None:
                    try:
                        os.read(wake, 64)
                    except BlockingIOError:
                        pass  # another waiter took it

                if readable != [wake]:
                    if not self._acquire(deadline, timeout, quiet=True):
                        return ready()
                    try:
                        self._receive(_LARGE)
                    finally:
                        self._release()
            return True
        finally:
            with self._lock:
                self._waiters -= 1
                if self._waiters:
                    self._ring()  # there may be something left for the next one
                self._finish()

    async def poll_events(self) -> None:
        self._check()
        if self._lock.acquire(blocking=False):  # else another thread is receiving, and files events as well
            try:
                for _ in range(_ROUNDS):
                    if not self._receive(_LARGE):
                        break
            finally:
                self._release()

    async def pause(self, seconds: float) -> None:
        time.sleep(seconds)  # noqa: ASYNC251 - this half blocks; there is no loop

    # --- the end --------------------------------------------------------------------------------------------

    async def close(self) -> None:
        if self._generation != fork_generation():
            self._reason = "closed"
            self._link.close()  # the parent's connection lives on: close the descriptor, shut nothing down
            return
        if self._reason is None:
            self._reason = "closed"
            self._link.shutdown()
        self._ring()
        with self._lock:
            self._finish()

    def _check(self) -> None:
        if self._generation != fork_generation():
            raise Closed(
                f"this connection to {WHAT} was made before a fork: open another one in the child",
                channel=CHANNEL,
            )
        if self._reason is not None:
            raise Closed(f"the connection to {WHAT} is {self._reason}", channel=CHANNEL)

    def _acquire(self, deadline: float | None, timeout: float | None, *, quiet: bool = False) -> bool:
        """Take the lock of a usable connection. Kept too long by another: Timeout, or (`quiet`) False."""
        self._check()
        lock = self._lock
        if not lock.acquire(blocking=False):
            left = -1 if deadline is None else max(0.0, deadline - _monotonic())
            if not lock.acquire(timeout=left):
                if quiet:
                    return False
                raise Timeout(f"the connection to {WHAT} was busy for {timeout or 0:g} s", channel=CHANNEL)
        if self._reason is not None:
            lock.release()
            self._check()
        return True

    def _release(self) -> None:
        if self._reason is not None:
            self._finish()
        elif self._waiters:
            self._ring()
        self._lock.release()

    def _lost(self, error: OSError | None) -> Closed:
        """The other side is gone."""
        self._moving = False
        self._end(f"lost: {WHAT} closed it" if error is None else f"lost: {error.strerror or error}")
        return Closed(
            f"the connection to {WHAT} is {self._reason}",
            channel=CHANNEL,
            errno=None if error is None else error.errno,
        )

    def _end(self, reason: str) -> None:
        if self._reason is None:
            self._reason = reason
            self._ring()

    def _wake_pipe(self) -> tuple[int, int]:
        if self._wake is None:
            self._wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        return self._wake

    def _ring(self) -> None:
        with self._bell:
            if self._wake is not None:
                try:
                    os.write(self._wake[1], b"!")
                except BlockingIOError:
                    pass  # it rings already

    def _finish(self) -> None:
        """With the lock held: give the descriptors back, if the connection is over and nobody polls them."""
        if self._reason is not None and not self._waiters:
            self._link.close()
            with self._bell:  # `close` rings without the lock
                if self._wake is not None:
                    for fd in self._wake:
                        os.close(fd)
                    self._wake = None


def _poller(fd: int, events: int) -> select.poll:
    poller = select.poll()
    poller.register(fd, events)
    return poller


class Connector:
    """Makes blocking transports to one socket or device."""

    __slots__ = ("path",)

    def __init__(self, path: StrPath) -> None:
        self.path = path

    async def connect(self, timeout: float | None) -> BlockingTransport:
        if is_device(self.path):
            return BlockingTransport(open_device(self.path))
        return BlockingTransport(SocketLink(self._dial(timeout)))

    async def connect_lane(self, timeout: float | None) -> BlockingLane | None:
        if is_device(self.path):
            return None
        from purevirt.channels.xenstore.blocking_lane import BlockingLane

        return BlockingLane(self._dial(timeout))

    def _dial(self, timeout: float | None) -> _socket.socket:
        return connect(self.path, timeout=timeout, what=WHAT, channel=CHANNEL, hint=HINT)

    async def pause(self, seconds: float) -> None:
        time.sleep(seconds)  # noqa: ASYNC251 - this half blocks; there is no loop


# --- what a user's function is, in this half ----------------------------------------------------------------

V = TypeVar("V")
W = TypeVar("W")
R = TypeVar("R")

Body = Callable[[V], R]
"""A function that the user writes, to be run inside a transaction."""


def as_body(function: Callable[[W], R], wrap: Callable[[V], W]) -> Callable[[V], Awaitable[R]]:
    """The user's function in the form that the client runs."""

    async def body(view: V) -> R:
        return function(wrap(view))

    return body
