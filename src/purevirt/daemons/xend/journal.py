"""The journal: the last events of this host, in memory, for those who ask for what is newer than they know.

What xend did is in it exactly; what others did, as far as the observer saw it. `seq` goes on over the daemon's lives
(`managed.eventlog` keeps it). Who asks for more than is kept, or knows numbers that were never given, gets a LOST event
first.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

from purevirt.model import Event, EventKind, EventSource
from purevirt.model.domain import uuid_of
from purevirt.model.events import libvirt_codes

__all__ = ["KEPT", "Journal"]

KEPT = 4096
"""How many events are kept."""


class Journal:
    """A ring of events. `on_waiting` is called when somebody begins to wait and nobody did."""

    def __init__(self, kept: int = KEPT, clock: Callable[[], float] = time.time) -> None:
        self._events: deque[Event] = deque(maxlen=kept)
        self._last = 0
        self._clock = clock
        self._waiters: set[asyncio.Future[None]] = set()
        self._closed = False
        self.on_waiting: Callable[[], None] | None = None
        self.on_event: Callable[[Event], None] | None = None
        self.kept = kept

    @property
    def last(self) -> int:
        """The number of the newest event; 0: none yet."""
        return self._last

    @property
    def waiting(self) -> int:
        """How many wait for the next event."""
        return len(self._waiters)

    def add(
        self,
        source: EventSource,
        kind: EventKind,
        *,
        domid: int | None = None,
        handle: bytes | None = None,
        name: str | None = None,
        detail: str | None = None,
    ) -> Event:
        """Note an event, and wake those who wait."""
        self._last += 1
        uuid = uuid_of(handle) if handle else None
        event = Event(
            self._last, self._clock(), source, kind, domid, uuid, name, detail, *libvirt_codes(kind, detail)
        )
        self._events.append(event)
        if self.on_event is not None:
            self.on_event(event)
        self._wake()
        return event

    def restore(self, events: list[Event], last: int) -> None:
        """Go on after these, which an earlier life of the daemon has noted; `last` is the highest number it gave."""
        self._events.extend(events)
        self._last = last

    def close(self) -> None:
        """Nobody waits any longer: the daemon ends."""
        self._closed = True
        self._wake()

    def _wake(self) -> None:
        for waiter in self._waiters:
            _finish(waiter)

    def since(self, seq: int) -> list[Event]:
        """The events after number `seq`, oldest first."""
        events = self._events
        if seq > self._last:
            return [self._lost(0), *events]  # a number of another life
        if seq == self._last:
            return []
        oldest = events[0].seq if events else self._last + 1
        if seq < oldest - 1:
            return [self._lost(oldest - 1), *events]
        return [event for event in events if event.seq > seq]

    async def after(self, seq: int, wait: float) -> list[Event]:
        """The same, waiting up to `wait` seconds for the first."""
        found = self.since(seq)
        if found or wait <= 0 or self._closed:
            return found
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()
        timer = loop.call_later(wait, _finish, waiter)
        first = not self._waiters
        self._waiters.add(waiter)
        try:
            if first and self.on_waiting is not None:
                self.on_waiting()
            await waiter
        finally:
            timer.cancel()
            self._waiters.discard(waiter)
        return self.since(seq)

    def _lost(self, seq: int) -> Event:
        return Event(seq, self._clock(), EventSource.XEND, EventKind.LOST, None, None, None)


def _finish(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
