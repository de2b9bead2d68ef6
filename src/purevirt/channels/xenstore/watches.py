"""Watches, on a connection of their own: what happens in the store, as a sequence of notices.

A watch names a path and a token; each change at or below the path is told as an `Event`. The protocol allows
events for nothing, several changes may come as one event, and a new watch fires once at once: so an event
means "look again", never "this changed to that". Two other notices mean "look again at everything":

- `Lost`: events came faster than they were taken, and the queue is bounded. What was queued is dropped with
  the rest, since everything must be read again anyway.
- `Reconnected`: the connection was lost (the daemon was restarted), is there again, and all watches are set
  anew.

The connection of its own is not a luxury: a reply never waits behind a flood of events, and whoever waits for
events holds up nobody's requests.

Reconnecting is bounded. A caller's own deadline ends its wait (with no notice); after RECONNECT seconds, of
however many calls, the consumer gets the ConnectError. The next call tries again.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Sequence

from purevirt._typing import NamedTuple, Self
from purevirt.channels.unix import fork_generation
from purevirt.channels.xenstore.transport import CHANNEL, WHAT, Connector, Request, Transport
from purevirt.errors import Closed, ConnectError, Timeout, Unsupported
from purevirt.wire.xenstore import messages
from purevirt.wire.xenstore.errnos import exception_of
from purevirt.wire.xenstore.packets import Op, Packet

__all__ = ["QUEUE", "RECONNECT", "TOKEN", "Event", "Lost", "Notice", "Reconnected", "Watcher"]

QUEUE = 4096
"""How many events may wait to be taken, by default."""

RECONNECT = 30.0
"""How long a lost connection is sought again before the consumer is told, in seconds."""

TOKEN = "w"
"""The token of a watch that is given none."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 1.0


class Event(NamedTuple):
    """Something happened at `path`, at or below the path of the watch with `token`."""

    path: str
    token: str


class Lost(NamedTuple):
    """So many events were dropped because nobody took them: read everything again."""

    dropped: int


class Reconnected(NamedTuple):
    """The connection was lost, for `reason`, and all watches are set again: read everything again."""

    reason: str


Notice = Event | Lost | Reconnected

_Key = tuple[str | bytes, str]


class Watcher:
    """Watches on one connection, and what they tell, in order.

    One consumer at a time (a thread or a task) takes notices; others may add, remove and close meanwhile.
    """

    __slots__ = (
        "_closed",
        "_connector",
        "_generation",
        "_give_up",
        "_limit",
        "_queue",
        "_reason",
        "_reconnect",
        "_timeout",
        "_transport",
        "_watches",
    )

    def __init__(
        self,
        connector: Connector,
        transport: Transport,
        *,
        queue: int = QUEUE,
        timeout: float | None = 10.0,
        reconnect: float = RECONNECT,
    ) -> None:
        self._connector = connector
        self._transport = transport
        self._queue: deque[Notice] = deque()
        self._limit = queue
        self._timeout = timeout
        self._reconnect = reconnect
        self._watches: dict[_Key, bytes] = {}
        self._closed = False
        self._generation = fork_generation()
        self._reason = ""
        self._give_up: float | None = None  # when a lost connection has been sought long enough
        transport.on_event = self._file

    @classmethod
    async def open(
        cls,
        connector: Connector,
        *,
        queue: int = QUEUE,
        timeout: float | None = 10.0,
        reconnect: float = RECONNECT,
    ) -> Self:
        """Connect. `timeout` (seconds) is for connecting, adding and removing."""
        transport = await connector.connect(timeout)
        return cls(connector, transport, queue=queue, timeout=timeout, reconnect=reconnect)

    @property
    def closed(self) -> bool:
        """Whether `close()` was called. (A lost connection is sought again, and is not closed.)"""
        return self._closed

    # --- watches

    async def add(
        self, path: str | bytes, token: str = TOKEN, *, depth: int | None = None, timeout: float | None = None
    ) -> None:
        """Watch a path, which need not exist, or "@introduceDomain", "@releaseDomain". NodeExists: it is
        watched.

        `depth` (Xen 4.22): tell no changes further below the path than that.
        """
        await self._change(Op.WATCH, [((path, token), messages.watch_request(path, token, depth))], timeout)

    async def add_many(
        self, paths: Iterable[str | bytes], token: str = TOKEN, *, timeout: float | None = None
    ) -> None:
        """Watch many paths, in one exchange. If one fails, the others are watched; its error is raised."""
        wanted: list[tuple[_Key, bytes]] = [
            ((path, token), messages.watch_request(path, token)) for path in paths
        ]
        await self._change(Op.WATCH, wanted, timeout)

    async def remove(self, path: str | bytes, token: str = TOKEN, *, timeout: float | None = None) -> None:
        """Stop watching a path. NoSuchNode: it is not watched. Events on their way may still come."""
        await self._change(Op.UNWATCH, [((path, token), messages.watch_request(path, token))], timeout)

    async def remove_many(
        self, paths: Iterable[str | bytes], token: str = TOKEN, *, timeout: float | None = None
    ) -> None:
        """Stop watching many paths, in one exchange."""
        wanted: list[tuple[_Key, bytes]] = [
            ((path, token), messages.watch_request(path, token)) for path in paths
        ]
        await self._change(Op.UNWATCH, wanted, timeout)

    async def _change(self, op: Op, wanted: Sequence[tuple[_Key, bytes]], timeout: float | None) -> None:
        if not wanted:
            return
        seconds = self._timeout if timeout is None else timeout
        deadline = None if seconds is None else time.monotonic() + seconds
        await self._connected(deadline)
        requests = [(int(op), 0, payload) for _, payload in wanted]
        replies = await self._transport.exchange(requests, _left(deadline))
        failed = None
        for (key, payload), reply in zip(wanted, replies, strict=True):
            if op == Op.UNWATCH:
                self._watches.pop(key, None)
            elif reply.op != Op.ERROR:
                self._watches[key] = payload
            if reply.op == Op.ERROR:
                failed = failed or (key, payload, reply)
        if failed is not None:
            raise _error(op, *failed)

    # --- notices

    async def next(self, timeout: float | None = None) -> Notice | None:
        """The next notice; None if none comes within `timeout` seconds (None: wait for ever).

        ConnectError: the connection was lost and could not be made again. Closed: by `close()`.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self._queue:
            try:
                await self._connected(deadline)
                if not await self._transport.wait_events(self._ready, _left(deadline)):
                    return None
            except Closed as error:
                if self._closed or self._generation != fork_generation():
                    raise
                self._reason = str(error)
            except (ConnectError, Timeout):
                if self._give_up is None:
                    raise
                return None  # there is time left to seek the connection, but not for this caller
        return self._queue.popleft()

    async def drain(self) -> list[Notice]:
        """The notices that have arrived, without waiting: one system call when there are none.

        A lost connection is made again, in one attempt: ConnectError if that fails.
        """
        try:
            await self._connected(0.0)
            await self._transport.poll_events()
        except Closed as error:
            if self._closed or self._generation != fork_generation():
                raise
            self._reason = str(error)
            await self._connected(0.0)
        if not self._queue:
            return []
        notices = list(self._queue)
        self._queue.clear()
        return notices

    async def close(self) -> None:
        """Close the connection; the server forgets the watches. Whoever waits in `next` gets Closed."""
        self._closed = True
        await self._transport.close()

    def _ready(self) -> bool:
        return bool(self._queue)

    def _file(self, payload: bytes) -> None:
        """Queue an event, or tell that events were lost."""
        self._put(Event(*messages.parse_watch_event(payload)))

    def _put(self, notice: Notice) -> None:
        queue = self._queue
        if len(queue) >= self._limit:
            lost = sum(entry.dropped if isinstance(entry, Lost) else 1 for entry in queue)
            queue.clear()
            queue.append(Lost(lost + 1))
        else:
            queue.append(notice)

    # --- the connection

    async def _connected(self, deadline: float | None) -> None:
        """Make sure that there is a connection. A deadline that has passed still allows one attempt."""
        self._check_open()
        if self._generation != fork_generation():
            raise Closed(
                f"these watches on {WHAT} were made before a fork: open others in the child",
                operation="watch",
                channel=CHANNEL,
            )
        if not self._transport.closed:
            return
        await self._transport.close()
        give_up = self._give_up
        if give_up is None:
            give_up = self._give_up = time.monotonic() + self._reconnect
        last = give_up if deadline is None else min(give_up, deadline)
        pause = _FIRST_PAUSE
        while True:
            try:
                await self._restore(max(0.1, last - time.monotonic()))
                self._give_up = None
                return
            except (ConnectError, Closed, Timeout) as error:
                self._check_open()  # somebody may have closed them meanwhile
                if time.monotonic() + pause >= last:
                    if time.monotonic() + pause >= give_up:
                        self._give_up = None
                    if not isinstance(error, Closed):
                        raise
                    raise ConnectError(str(error), operation="watch", channel=CHANNEL) from error
            await self._connector.pause(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _check_open(self) -> None:
        if self._closed:
            raise Closed(f"these watches on {WHAT} are closed", operation="watch", channel=CHANNEL)

    async def _restore(self, timeout: float) -> None:
        """Connect again and set all watches anew."""
        transport = await self._connector.connect(timeout)
        fresh: list[bytes] = []
        transport.on_event = fresh.append
        watches = list(self._watches.items())
        requests: list[Request] = [(int(Op.WATCH), 0, payload) for _, payload in watches]
        try:
            replies = await transport.exchange(requests, timeout)
            for (key, payload), reply in zip(watches, replies, strict=True):
                if reply.op == Op.ERROR:
                    raise _error(Op.WATCH, key, payload, reply)
        except BaseException:
            await transport.close()
            raise
        self._transport = transport
        self._put(Reconnected(self._reason or "the connection was lost"))
        for event in fresh:
            self._file(event)
        transport.on_event = self._file
        if self._closed:
            await transport.close()


def _left(deadline: float | None) -> float | None:
    return None if deadline is None else max(0.0, deadline - time.monotonic())


def _error(op: Op, key: _Key, payload: bytes, reply: Packet) -> Exception:
    """What a refused WATCH or UNWATCH means."""
    path = key[0] if isinstance(key[0], str) else key[0].decode("ascii", "backslashreplace")
    error = exception_of(reply.payload, operation=op.name.lower(), path=path)
    if error.errno_name == "EINVAL" and payload.count(b"\0") > 2:
        return Unsupported(
            f"this Xen Store daemon refuses a watch of {path} with a depth (it came with Xen 4.22)",
            operation="watch",
            channel=CHANNEL,
            path=path,
            errno=error.errno,
        )
    return error
