"""The stream of events that watches and looks at the hypervisor make: see `events` for what a connection can see.

A watch that names a domain's coming, going or name makes us look at once. Events below a domain's devices do not: a
guest can write there as often as it likes, so its devices are looked at no more often than each `poll` seconds.

A new domain that has no name yet is being built, by libxl in some milliseconds; it is told when it has one, or after
a second without.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable

from purevirt._typing import TYPE_CHECKING
from purevirt.drivers.xen import hypervisor, storepaths, storeview
from purevirt.drivers.xen.comparing import Key, Seen, compare, compare_devices
from purevirt.drivers.xen.events import JournalReader, Stream
from purevirt.errors import ChannelUnavailable, Closed, NodeExists, NoSuchNode, Timeout
from purevirt.model import DomainRef
from purevirt.model.events import Event, EventKind, EventSource

if TYPE_CHECKING:
    from purevirt.channels.xenstore.watches import Notice, Watcher
    from purevirt.drivers.xen.driver import XenDriver

__all__ = ["WatchingStream"]

_SPECIAL = ("@introduceDomain", "@releaseDomain")
_FROM_JOURNAL = (EventKind.CHANGED, EventKind.STOPPED, EventKind.SUSPENDED, EventKind.RESUMED)
_PATIENCE = 30.0  # how long the journal, which is read beside other things, may be out of reach, in seconds
_UNNAMED = 1.0  # how long a new domain may be without a name, in seconds


class WatchingStream(Stream):
    """The Xen Store's watches; with hypercalls, also a look at the hypervisor each `poll` seconds."""

    def __init__(
        self,
        driver: XenDriver,
        watcher: Watcher,
        kinds: frozenset[EventKind] | None,
        ref: DomainRef | None,
        *,
        poll: float,
        queue: int,
    ) -> None:
        super().__init__(driver, kinds, ref, queue)
        self._watcher = watcher
        self._poll = poll
        self._measured = not driver.access.read_only
        self._seen: dict[Key, Seen] = {}
        self._devices: dict[Key, dict[str, list[str]]] = {}
        self._followed: set[int] = set()
        self._unnamed: dict[Key, float] = {}  # new ones without a name, and until when that is waited for
        self._stale_names: set[int] = set()  # whose name must be read again
        self._stale_devices: set[int] = set()
        self._urgent = False
        self._look_due = 0.0
        self._journal: JournalReader | None = None
        if driver.access.daemon and any(self._wanted(kind) for kind in _FROM_JOURNAL):
            self._journal = JournalReader(driver.daemon.another())
        self._journal_lost: float | None = None  # since when it is out of reach
        self._ended: dict[Key, str] = {}  # why, of those that the daemon has ended

    async def begin(self) -> None:
        """Set the watches and take the first look, which tells nothing."""
        await self._watcher.add_many(_SPECIAL)
        self._seen, _ = await self._look(set(), first=True)
        await self._follow()
        await self._read_devices({domid for domid, _ in self._seen})
        if self._journal is not None:
            await self._journal.begin()
        self._look_due = time.monotonic() + self._poll

    async def close(self) -> None:
        self._closed = True
        await self._watcher.close()
        if self._journal is not None:
            await self._journal.daemon.close()

    # --- when to look

    async def _gather(self, left: float | None) -> None:
        # Whoever waits may be cancelled at any await, and what failed is tried again: so what is known to be stale is
        # forgotten only after it was read, and what was found is told in the step that makes it known.
        wait = max(0.0, self._look_due - time.monotonic())
        notice = await self._watcher.next(wait if left is None else min(wait, left))
        if notice is not None:
            self._note([notice])
            self._note(await self._watcher.drain())
        due = time.monotonic() >= self._look_due
        if self._urgent or (due and self._measured):
            await self._compare(EventSource.STORE if self._urgent else EventSource.HYPERVISOR)
        if due:
            await self._compare_devices()
            await self._read_journal()
            self._look_due = time.monotonic() + self._poll

    def _note(self, notices: Iterable[Notice]) -> None:
        """Sort out what the watches say, and whether it is worth a look at once."""
        for notice in notices:
            path = getattr(notice, "path", None)
            parts = path.split("/") if isinstance(path, str) else []
            if path in _SPECIAL:
                self._urgent = True
            elif len(parts) > 4 and parts[3].isdigit() and int(parts[3]) in self._followed:
                if parts[4] == "name":
                    self._stale_names.add(int(parts[3]))
                    self._urgent = True
                else:
                    self._stale_devices.add(int(parts[3]))
            elif path is None:
                # Events were lost, or the connection was, and is there again: nothing that is known can be trusted.
                self._stale_names |= self._followed
                self._stale_devices |= self._followed
                self._urgent = True

    # --- looking

    async def _compare(self, source: EventSource) -> None:
        stale = set(self._stale_names)
        new, dying = await self._look(stale)
        if any(
            key not in new and key not in dying and was.stopped is None for key, was in self._seen.items()
        ):
            await self._read_journal()  # if the daemon ended it, it knows why
        old, self._seen = self._seen, new
        self._tell(compare(old, new, self._ended | dying, source))
        self._ended.clear()
        self._stale_names -= stale
        self._urgent = False
        await self._follow()
        await self._read_devices({key[0] for key in new if key not in self._devices})

    async def _look(self, stale: set[int], *, first: bool = False) -> tuple[dict[Key, Seen], dict[Key, str]]:
        """The domains as they are, and those that are being torn down, with the reason; `stale`: whose names to read
        again."""
        if not self._measured:
            store = self._driver.store
            infos = await storeview.domain_infos(store, await storeview.domain_ids(store))
            named = {(info.domid, info.handle): Seen(info.name) for info in infos if info.domid is not None}
            return self._patiently(named, first), {}
        seen: dict[Key, Seen] = {}
        dying: dict[Key, str] = {}
        for info in await self._driver.hypercalls.domain_infos():
            key = (info.domid, info.handle)
            stopped = hypervisor.stop_reason(info)
            if info.dying:
                dying[key] = stopped or "destroyed"
                continue
            known = self._seen.get(key)
            paused = info.paused
            ran = not paused or info.cpu_time > 0 or (known is not None and known.ran)
            seen[key] = Seen(None if known is None else known.name, paused, stopped, ran)
        unread = [key for key, now in seen.items() if now.name is None or key[0] in stale]
        values = await self._driver.store.read_many([storepaths.name(domid) for domid, _ in unread])
        for key, value in zip(unread, values, strict=True):
            if value is not None:
                seen[key] = seen[key]._replace(name=storeview.decode_text(value))
        return self._patiently(seen, first), dying

    def _patiently(self, seen: dict[Key, Seen], first: bool) -> dict[Key, Seen]:
        """Leave out new domains that have no name yet, for a while."""
        now = time.monotonic()
        waiting: dict[Key, float] = {}
        for key, domain in seen.items():
            if domain.name is None and key not in self._seen and not first:
                until = self._unnamed.get(key, now + _UNNAMED)
                if now < until:
                    waiting[key] = until
        self._unnamed = waiting
        return {key: domain for key, domain in seen.items() if key not in waiting} if waiting else seen

    # --- what is watched of each domain

    async def _follow(self) -> None:
        domids = {domid for domid, _ in self._seen}
        gone, new = self._followed - domids, domids - self._followed
        with contextlib.suppress(NoSuchNode):  # removed by a call that was cancelled
            await self._watcher.remove_many(self._paths(gone))
        with contextlib.suppress(NodeExists):  # added by a call that was cancelled
            await self._watcher.add_many(self._paths(new))
        self._followed = domids

    def _paths(self, domids: Iterable[int]) -> list[str]:
        paths = [storepaths.name(domid) for domid in sorted(domids)]
        if self._wanted(EventKind.DEVICES):
            paths += [storepaths.all_devices(domid) for domid in sorted(domids)]
        return paths

    async def _compare_devices(self) -> None:
        stale = set(self._stale_devices)
        if not stale:
            return
        before = dict(self._devices)
        await self._read_devices(stale)
        for key, now in self._devices.items():
            if key[0] in stale and key in before:
                self._tell(compare_devices(key, self._seen[key].name, before[key], now))
        self._stale_devices -= stale

    async def _read_devices(self, domids: set[int]) -> None:
        """Which devices these domains have, in two exchanges."""
        self._devices = {key: devices for key, devices in self._devices.items() if key in self._seen}
        keys = [key for key in self._seen if key[0] in domids]
        if not self._wanted(EventKind.DEVICES) or not keys:
            return
        store = self._driver.store
        kinds = await store.directory_many([storepaths.all_devices(domid) for domid, _ in keys])
        places = [(key, kind) for key, found in zip(keys, kinds, strict=True) for kind in found or ()]
        numbers = await store.directory_many(
            [f"{storepaths.all_devices(domid)}/{kind}" for (domid, _), kind in places]
        )
        for key in keys:
            self._devices[key] = {}
        for (key, kind), entries in zip(places, numbers, strict=True):
            self._devices[key][kind] = entries or []

    async def _read_journal(self) -> None:
        """What the daemon changed. A daemon that is being restarted is waited for, but not for ever."""
        if self._journal is None:
            return
        try:
            events = await self._journal.read(0.0)
        except (ChannelUnavailable, Closed, Timeout):
            now = time.monotonic()
            if self._journal_lost is None:
                self._journal_lost = now
            if self._closed or now - self._journal_lost > _PATIENCE:
                self._journal_lost = None
                raise
            return
        self._journal_lost = None
        for event in events:
            if event.kind in (EventKind.CHANGED, EventKind.LOST):
                self._put(event)
            elif event.domid is None or event.uuid is None:
                continue
            elif event.kind is EventKind.STOPPED:
                self._ended[event.domid, event.uuid.bytes] = event.detail or "unknown"
            elif event.kind in (EventKind.SUSPENDED, EventKind.RESUMED):
                self._pass_on(event, (event.domid, event.uuid.bytes))

    def _pass_on(self, event: Event, key: Key) -> None:
        """The daemon paused or unpaused a domain: told, unless a look has told it; then a look finds nothing new."""
        known = self._seen.get(key)
        paused = event.kind is EventKind.SUSPENDED
        if known is not None and known.ran and known.stopped is None and known.paused is not paused:
            self._seen[key] = known._replace(paused=paused)
            self._put(event)
