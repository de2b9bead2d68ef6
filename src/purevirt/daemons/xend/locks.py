"""One change at a time per domain: a lock for each, made when it is needed and gone when nobody needs it.

Whoever waits, waits for changes of the same domain only, and is served in the order of asking.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

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

    @asynccontextmanager
    async def hold(self, key: bytes) -> AsyncIterator[bool]:
        """Hold the lock meanwhile. Yields whether it had to be waited for."""
        entry = self._entries.get(key)
        if entry is None:
            entry = self._entries[key] = _Entry()
        entry.users += 1
        waited = entry.lock.locked()
        try:
            async with entry.lock:
                yield waited
        finally:
            entry.users -= 1
            if not entry.users:
                del self._entries[key]
