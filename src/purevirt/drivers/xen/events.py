"""Subscriptions: what happens to the domains, as a stream of events of one shape, whatever the connection can see.

| connection | who tells |
|---|---|
| rw | the Xen Store's watches (domains come and go, names, devices), and a look at the hypervisor each `poll` seconds |
| rw+daemon | the same; at each look, also what the daemon did that no look can see, from its journal |
| ro | the Xen Store's watches alone: created, stopped (reason unknown), renamed, devices |
| ro+daemon | the daemon's journal alone |

`watching` is the stream of the first three; here are the journal's, and what all share. No thread gathers: a stream
looks while somebody waits in `next`, and nothing is polled otherwise. A stream that nobody reads falls behind, and
when it is read again finds out what changed in sum. If that is more than its queue holds, it yields one LOST, and
goes on from how things are then.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable

from purevirt._typing import TYPE_CHECKING
from purevirt.drivers.xen.comparing import Found
from purevirt.errors import ChannelUnavailable, Closed
from purevirt.model import Channel, DomainInfo, DomainRef
from purevirt.model.domain import uuid_of
from purevirt.model.events import Event, EventKind, EventSource, libvirt_codes

if TYPE_CHECKING:
    from purevirt.drivers.xen.daemon import Daemon
    from purevirt.drivers.xen.driver import XenDriver

__all__ = ["JournalReader", "JournalStream", "Stream", "subscribe"]

_LONG_POLL = 25.0


async def subscribe(
    driver: XenDriver,
    channel: Channel,
    kinds: frozenset[EventKind] | None,
    ref: DomainRef | None,
    *,
    poll: float,
    queue: int,
) -> Stream:
    """A stream, from now on. `channel` is what the table says; `kinds` and `ref` leave out all others."""
    if channel is Channel.DAEMON:
        journal = JournalStream(driver, kinds, ref, queue=queue)
        try:
            await journal.begin()
        except BaseException:
            await journal.close()
            raise
        return journal
    from purevirt.drivers.xen.watching import WatchingStream

    watcher = await driver.store.open_watcher()
    try:
        stream = WatchingStream(driver, watcher, kinds, ref, poll=poll, queue=queue)
        await stream.begin()
    except BaseException:
        await watcher.close()
        raise
    return stream


class Stream:
    """What both kinds share: numbering, filters, and the bounded queue."""

    def __init__(
        self, driver: XenDriver, kinds: frozenset[EventKind] | None, ref: DomainRef | None, queue: int
    ) -> None:
        self._driver = driver
        self._kinds = kinds
        self._uuid = None if ref is None else ref.uuid
        self._limit = max(1, queue)
        self._pending: deque[Event] = deque()
        self._seq = 0
        self._closed = False

    @property
    def closed(self) -> bool:
        return self._closed

    async def next(self, timeout: float | None) -> Event | None:
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self._pending:
            if self._closed:
                raise Closed("these events are closed", operation="events")
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            await self._gather(left)
            if not self._pending and left == 0.0:
                return None
        return self._pending.popleft()

    async def _gather(self, left: float | None) -> None:
        """Wait for something to happen, no longer than `left` seconds, and `_put` it."""
        raise NotImplementedError

    async def snapshot(self) -> list[DomainInfo]:
        return await self._driver.list_domains()

    async def close(self) -> None:
        self._closed = True

    def _wanted(self, kind: EventKind) -> bool:
        return self._kinds is None or kind in self._kinds

    def _put(self, event: Event) -> None:
        """Number an event and queue it, unless it is filtered out; LOST always passes."""
        if event.kind is not EventKind.LOST and (
            not self._wanted(event.kind) or (self._uuid is not None and event.uuid != self._uuid)
        ):
            return
        if len(self._pending) >= self._limit:
            self._pending.clear()
            event = Event(0, time.time(), event.source, EventKind.LOST, None, None, None)
        self._seq += 1
        self._pending.append(event._replace(seq=self._seq))

    def _tell(self, found: Iterable[Found]) -> None:
        now = time.time()
        for source, kind, (domid, handle), name, detail in found:
            self._put(
                Event(
                    0, now, source, kind, domid, uuid_of(handle), name, detail, *libvirt_codes(kind, detail)
                )
            )


class JournalStream(Stream):
    """The daemon's journal, by long polls on a connection of its own.

    A daemon that is gone is an error for whoever waits; the next call asks it again, and a journal that has begun
    anew meanwhile yields LOST.
    """

    def __init__(
        self,
        driver: XenDriver,
        kinds: frozenset[EventKind] | None,
        ref: DomainRef | None,
        *,
        queue: int,
    ) -> None:
        super().__init__(driver, kinds, ref, queue)
        self._reader = JournalReader(driver.daemon.another())

    async def begin(self) -> None:
        await self._reader.begin()

    async def _gather(self, left: float | None) -> None:
        wait = _LONG_POLL if left is None else min(left, _LONG_POLL)
        for event in await self._reader.read(wait):
            self._put(event)

    async def close(self) -> None:
        self._closed = True
        await self._reader.daemon.close()


class JournalReader:
    """A place in the daemon's journal.

    The journal is in the daemon's memory. Where the daemon was out of reach it may be another one by now, whose
    numbers begin anew: then what was missed is not known, which one LOST says, and reading goes on from the end.
    """

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon
        self._since = 0
        self._broken = False

    async def begin(self) -> None:
        """From here on: what is in it already is history."""
        await self._ask(0, 0.0)

    async def read(self, wait: float) -> list[Event]:
        """What is new in it, waiting up to `wait` seconds for the first."""
        if not self._broken:
            return await self._ask(self._since, wait)
        await self._ask(0, 0.0)
        return [Event(0, time.time(), EventSource.XEND, EventKind.LOST, None, None, None)]

    async def _ask(self, since: int, wait: float) -> list[Event]:
        arguments = {"since": since, "wait": wait}
        try:
            # The daemon answers when it has waited; what is more than that is its deadline like any other's.
            events: list[Event] = await self.daemon.call("journal", None, arguments, timeout=wait + 10.0)
        except (ChannelUnavailable, Closed):
            self._broken = True
            raise
        self._broken = False
        self._since = events[-1].seq if events else since
        return events
