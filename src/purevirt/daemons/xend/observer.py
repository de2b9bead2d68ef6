"""Sees what others do to the domains, and notes it in the journal.

A watch connection hears of domains that come and go (@introduceDomain, @releaseDomain, which also tells of one that has
shut down or crashed); each time, the list is compared with what it was. What no watch tells (pauses, renames, crashes
under an old xenstored) is found by comparing every POLL seconds, and only while somebody waits for the journal.

A watch does not say which domain it is about, and a look lists them all: a thousand that are made one after another
would be a thousand listings of up to a thousand. So a look that a watch has caused is followed by a rest, REST times as
long as it took, but POLL at the most; what the watches say meanwhile is one look, after it. The first of many, and
whatever happens on a host where little does, is looked at at once.

What xend itself does is in the journal already, so it must not be found again: `did` brings the list up to date, and
domains that were `touched` while a look was under way are left out of it and looked at once more.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from purevirt.channels.xenstore.watches import Reconnected, Watcher
from purevirt.daemons.xend.journal import Journal
from purevirt.daemons.xend.link import Link
from purevirt.daemons.xend.locks import Locks
from purevirt.errors import Closed, XenError
from purevirt.model import DomainInfo, EventKind, EventSource, StateReason

__all__ = ["POLL", "REST", "Observer"]

POLL = 0.25
"""How often the domains are looked at while somebody waits, in seconds."""

REST = 3.0
"""How much longer than a look the rest after it is: looks for watches take a quarter of the time, at the most."""

_SPECIAL = ("@introduceDomain", "@releaseDomain")
_PAUSE = 0.5  # before a lost watch connection is sought again, beside the watcher's own patience

_log = logging.getLogger(__name__)


class _Seen(NamedTuple):
    """What matters of a domain at the last look. `stopped`: why it has shut down, or None; `ran`: whether it ever ran,
    since one that was only built is not resumed when it is let run first, but started."""

    name: str | None
    paused: bool
    stopped: str | None
    ran: bool


_Key = tuple[int, bytes]


class Observer:
    """Compares. One per supervisor. `rest` waits for so many seconds."""

    def __init__(
        self,
        link: Link,
        journal: Journal,
        locks: Locks,
        *,
        poll: float = POLL,
        rest: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._link = link
        self._journal = journal
        self._locks = locks
        self._poll = poll
        self._rest = rest
        self._known: dict[_Key, _Seen] | None = None
        self._looking = asyncio.Lock()
        self._touched: set[bytes] = set()
        self._owed = False  # a look left something out
        self._again: bool | None = None  # whether to look at what was owed once more; None: nobody does
        self._owed_to_listener = False  # a look has failed, for what a watch told
        self._tasks: set[asyncio.Task[None]] = set()
        self._polling: asyncio.Task[None] | None = None
        self.on_look: Callable[[list[DomainInfo]], None] | None = None
        journal.on_waiting = self._begin_polling

    async def start(self) -> None:
        """Begin to listen; what is there now is where the journal begins."""
        watcher = await self._watch()
        await self.look(EventSource.STORE)
        self._spawn(self._listen(watcher), "xend: watches")

    async def stop(self) -> None:
        """End everything."""
        self._journal.on_waiting = None
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _spawn(self, coro: object, name: str) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(coro, name=name)  # type: ignore[arg-type]
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # --- when

    async def _watch(self) -> Watcher:
        watcher = await self._link.store.open_watcher(queue=256)
        await watcher.add_many(_SPECIAL)
        return watcher

    async def _listen(self, watcher: Watcher) -> None:
        try:
            while True:
                try:
                    await self._hear(watcher)
                except Closed:
                    return
                except XenError as error:  # the store is not back yet, or the link has not noticed that it is
                    _log.info("cannot look at the domains: %s", error)
                    await asyncio.sleep(_PAUSE)
                    self._owed_to_listener = True
        finally:
            await watcher.close()

    async def _hear(self, watcher: Watcher) -> None:
        if not self._owed_to_listener:
            notices = [await watcher.next(), *await watcher.drain()]
            if any(isinstance(found, Reconnected) for found in notices):
                # The store was restarted: the other connection is gone as well, and may not know it yet.
                self._owed_to_listener = True
        clock = asyncio.get_running_loop().time
        begun = clock()
        await self.look(EventSource.STORE)
        self._owed_to_listener = False
        await self._rest(min(REST * (clock() - begun), self._poll))

    def _begin_polling(self) -> None:
        if self._polling is None or self._polling.done():
            self._polling = self._spawn(self._keep_looking(), "xend: polling")

    async def _keep_looking(self) -> None:
        """While anybody waits; and a little longer, since who got an event will ask again."""
        idle = 0
        while idle < 2:
            await asyncio.sleep(self._poll)
            idle = 0 if self._journal.waiting else idle + 1
            if self._journal.waiting:
                with contextlib.suppress(XenError):
                    await self.look(EventSource.HYPERVISOR)

    # --- what

    def touched(self, handle: bytes) -> None:
        """A change of that domain begins: a look that is under way cannot be believed about it."""
        self._touched.add(handle)

    def settled(self, handle: bytes) -> None:
        """It has ended; what a look has left out for it is looked at now."""
        self._touched.add(handle)
        if self._owed and self._known is not None:
            self._owed = False
            if self._again is None:
                self._spawn(self._look_again(), "xend: looking again")
            self._again = True

    async def _look_again(self) -> None:
        """The first at once; those that are owed meanwhile are one look, after the rest that a watch's look has too."""
        clock = asyncio.get_running_loop().time
        try:
            while self._again:
                self._again = False
                begun = clock()
                with contextlib.suppress(XenError):
                    await self.look(EventSource.STORE)
                await self._rest(min(REST * (clock() - begun), self._poll))
        finally:
            self._again = None

    def did(self, kind: EventKind, info: DomainInfo, name: str | None) -> None:
        """What xend has done, and has told the journal."""
        if self._known is None or info.domid is None:
            return
        key = (info.domid, info.handle)
        if kind is EventKind.STOPPED:
            self._known.pop(key, None)
        elif (seen := self._known.get(key)) is not None:
            if kind is EventKind.RENAMED:
                self._known[key] = seen._replace(name=name)
            elif kind in (EventKind.SUSPENDED, EventKind.RESUMED, EventKind.STARTED):
                ran = seen.ran or kind is not EventKind.SUSPENDED
                self._known[key] = seen._replace(paused=kind is EventKind.SUSPENDED, ran=ran)

    def made(self, info: DomainInfo) -> None:
        """xend has made it, and tells the journal itself."""
        if self._known is not None and info.domid is not None:
            self._known[info.domid, info.handle] = _seen(info)

    def noticed(self, info: DomainInfo) -> None:
        """Somebody else has looked at a domain whose lock he holds: note what has happened to it."""
        if self._known is not None and info.domid is not None:
            key = info.domid, info.handle
            before, now = self._known.get(key), _seen(info)
            self._compare(EventSource.HYPERVISOR, key, before, now, "unknown")
            self._known[key] = now if before is None else _on_top(now, before)

    async def look(self, source: EventSource) -> None:
        """Compare the domains with what they were. Raises what the driver raises."""
        async with self._looking:
            self._touched.clear()
            infos = await self._link.driver.list_domains()
            uncertain = set(self._touched)
            dying = {(info.domid, info.handle) for info in infos if "d" in (info.flags or "")}
            now = {
                (info.domid, info.handle): _seen(info)
                for info in infos
                if info.domid is not None and "d" not in (info.flags or "")
            }
            for key in [
                key for key, seen in now.items() if seen.name is None and key not in (self._known or ())
            ]:
                del now[key]  # it is being built, and is introduced when it has a name
            if self.on_look is not None:
                self.on_look(infos)
            if self._known is None:
                self._known = now
                return
            # In an order that makes sense to a reader: what has gone, then what is there, as it came.
            for key in [*(key for key in self._known if key not in now), *now]:
                if key[1] in uncertain or self._locks.held(key[1]):
                    self._owed = True
                    continue
                before = self._known.get(key)
                why = "destroyed" if key in dying else "unknown"
                self._compare(source, key, before, now.get(key), why)
                if key in now:
                    self._known[key] = now[key] if before is None else _on_top(now[key], before)
                else:
                    self._known.pop(key, None)

    def _compare(
        self, source: EventSource, key: _Key, before: _Seen | None, after: _Seen | None, why: str
    ) -> None:
        """Note what has happened to one domain. `why` one is gone that had not shut down before."""

        def note(kind: EventKind, name: str | None, detail: str | None = None) -> None:
            self._journal.add(source, kind, domid=key[0], handle=key[1], name=name, detail=detail)

        if after is None:
            if before is not None:
                note(EventKind.STOPPED, before.name, before.stopped or why)
            return
        if before is None:
            note(EventKind.CREATED, after.name)
            if after.ran:
                note(EventKind.STARTED, after.name, "booted")
            before = after._replace(stopped=None, paused=after.paused and not after.ran)
        if before.name != after.name and before.name is not None and after.name is not None:
            note(EventKind.RENAMED, after.name, before.name)
        if after.stopped is not None and before.stopped != after.stopped:
            crashed = after.stopped in (StateReason.CRASH.value, StateReason.WATCHDOG.value)
            note(EventKind.CRASHED if crashed else EventKind.SHUTDOWN, after.name, after.stopped)
        if before.paused == after.paused or after.stopped is not None:
            return  # a toolstack pauses what it tears down
        if after.paused:
            note(EventKind.SUSPENDED, after.name, "paused")
        elif before.ran:
            note(EventKind.RESUMED, after.name, "unpaused")
        else:
            note(EventKind.STARTED, after.name, "booted")


def _on_top(now: _Seen, before: _Seen) -> _Seen:
    """What is known after one more look: a domain that is torn down loses its name before it is gone."""
    return now._replace(ran=now.ran or before.ran, name=before.name if now.name is None else now.name)


def _seen(info: DomainInfo) -> _Seen:
    paused = "p" in (info.flags or "")
    return _Seen(info.name, paused, _stopped(info), not paused or bool(info.cpu_time_ns))


def _stopped(info: DomainInfo) -> str | None:
    return info.reason.value if "s" in (info.flags or "") else None
