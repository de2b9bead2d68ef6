"""The one cache: domains' names, by (domid, handle), invalidated by a watch.

A listing's price is the names: one read each, against one hypercall for everything else. So names are kept, and
each is watched at its own path (a watch on all of /local/domain would fire at every write of every guest, and pile
up in xenstored while nobody asks).

The first listing of a connection reads the names and sets no watch: most programs list once and end. The second
sets the watches, then reads, and from the third on only what an event named is read again. Setting a watch fires it
once, after which a later rename fires it again; so a name read after that first event can be trusted until the next.

One listing at a time may use the cache: it holds the turn. Another thread or task that lists meanwhile reads every
name for itself, which costs it time and nobody correctness. A listing that fails in between drops watches and names,
so that the next one begins anew.

A domain that is asked for alone has its name from here as well, where a listing has watched it: for the daemon, which
lists when it starts, that is a request to xenstored less in every call about a domain.

What may be stale: a rename that has happened, but whose event has not reached this process when the listing is
made. A domain that goes takes its entry along, since the handle or the list no longer has it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence

from purevirt._typing import Protocol
from purevirt.channels.xenstore.client import StoreClient
from purevirt.drivers.xen import storepaths as paths
from purevirt.drivers.xen.storeview import decode_text

__all__ = ["NameCache", "NameWatcher"]

Key = tuple[int, bytes]  # domid, handle


class NameWatcher(Protocol):
    """What the cache needs of a watch connection (`channels.xenstore.watches`)."""

    async def add_many(self, paths: Sequence[str]) -> None: ...
    async def remove_many(self, paths: Sequence[str]) -> None: ...
    async def drain(self) -> Sequence[object]: ...
    async def close(self) -> None: ...


class NameCache:
    """Names of domains, read at most once until a watch says otherwise."""

    def __init__(self, store: StoreClient, open_watcher: Callable[[], Awaitable[NameWatcher]]) -> None:
        self._store = store
        self._open_watcher = open_watcher
        self._watcher: NameWatcher | None = None
        self._names: dict[Key, str | None] = {}
        self._watched: set[int] = set()
        self._listed = False
        self._turn = [True]  # popped by whoever uses the cache: list.pop is atomic between threads

    async def close(self) -> None:
        """Drop the watch connection."""
        watcher, self._watcher = self._watcher, None
        self._names.clear()
        self._watched.clear()
        if watcher is not None:
            await watcher.close()

    async def one(self, domid: int) -> str | None:
        """One domain's name, read now."""
        (value,) = await self._store.read_many([paths.name(domid)])
        return decode_text(value)

    async def latest(self, key: Key) -> str | None:
        """One domain's name: from the cache where it is watched, which takes no request; else read now."""
        if key not in self._names or not self._turn:
            return await self.one(key[0])
        try:
            turn = self._turn.pop()
        except IndexError:
            return await self.one(key[0])
        try:
            if self._watcher is not None:
                await self._invalidate(self._watcher)
            if key in self._names:
                return self._names[key]
        except BaseException:
            await self.close()
            raise
        finally:
            self._turn.append(turn)
        return await self.one(key[0])

    async def of(self, keys: Sequence[Key]) -> list[str | None]:
        """The names of all active domains, in their order; None for a domain without one."""
        if not self._listed:
            self._listed = True
            return await self._read(keys)
        try:
            turn = self._turn.pop()
        except IndexError:
            return await self._read(keys)
        try:
            return await self._cached(keys)
        except BaseException:
            await self.close()
            raise
        finally:
            self._turn.append(turn)

    async def _cached(self, keys: Sequence[Key]) -> list[str | None]:
        if self._watcher is None:
            self._watcher = await self._open_watcher()
        await self._invalidate(self._watcher)
        if await self._follow(self._watcher, {domid for domid, _ in keys}):
            # Each new watch fires once; what has arrived of that is answered by the reads that follow.
            await self._invalidate(self._watcher)
        names = self._names
        missing = [key for key in keys if key not in names]
        if missing:
            # A name that is missing now may be written any moment, and its event then drops the None.
            names.update(zip(missing, await self._read(missing), strict=True))
        self._store.narrow()  # from now on few names at a time are read
        if len(names) > len(keys):
            current = set(keys)
            for key in [key for key in names if key not in current]:
                del names[key]
        return [names[key] for key in keys]

    async def _read(self, keys: Iterable[Key]) -> list[str | None]:
        values = await self._store.read_many([paths.name(domid) for domid, _ in keys])
        return [decode_text(value) for value in values]

    async def _invalidate(self, watcher: NameWatcher) -> None:
        events = await watcher.drain()
        if not events:
            return
        changed: set[int] = set()
        for event in events:
            path = getattr(event, "path", None)
            part = path.split("/")[3] if isinstance(path, str) and path.count("/") == 4 else ""
            if not part.isdigit():
                # Lost events, or a reconnection: nothing that was read can be trusted.
                self._names.clear()
                return
            changed.add(int(part))
        for key in [key for key in self._names if key[0] in changed]:
            del self._names[key]

    async def _follow(self, watcher: NameWatcher, domids: set[int]) -> bool:
        """Watch the names of these domains and no others; whether watches were added."""
        gone = self._watched - domids
        new = domids - self._watched
        if gone:
            await watcher.remove_many([paths.name(domid) for domid in sorted(gone)])
            self._watched -= gone
        if new:
            await watcher.add_many([paths.name(domid) for domid in sorted(new)])
            self._watched |= new
        return bool(new)
