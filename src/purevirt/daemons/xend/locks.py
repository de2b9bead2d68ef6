"""One change at a time per domain: a lock for each, made when it is needed and gone when nobody needs it.

Whoever waits, waits for changes of the same domain only, and is served in the order of asking.
"""

from __future__ import annotations

import asyncio

__all__ = ["Locks"]


class _Entry:
    __slots__ = ("lock", "users")

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.users = 0


class Locks:
    """Locks by key: the domain's handle."""

    def __init__(self) -> None:
        self._entries: dict[bytes, _Entry] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def held(self, key: bytes) -> bool:
        """Whether somebody changes that domain now."""
        return key in self._entries

    def hold(self, key: bytes) -> _Hold:
        """`async with` it, to hold the lock meanwhile; it yields whether the lock had to be waited for."""
        return _Hold(self._entries, key)


class _Hold:
    __slots__ = ("_entries", "_entry", "_key")

    def __init__(self, entries: dict[bytes, _Entry], key: bytes) -> None:
        self._entries, self._key = entries, key

    async def __aenter__(self) -> bool:
        entry = self._entries.get(self._key)
        if entry is None:
            entry = self._entries[self._key] = _Entry()
        self._entry = entry
        entry.users += 1
        waited = entry.lock.locked()
        try:
            await entry.lock.acquire()
        except BaseException:
            self._leave()
            raise
        return waited

    async def __aexit__(self, *_: object) -> None:
        self._entry.lock.release()
        self._leave()

    def _leave(self) -> None:
        self._entry.users -= 1
        if not self._entry.users:
            del self._entries[self._key]
