"""Keeps the journal: events are written in batches, beside what the daemon does, and read again at its next start.

Their numbers are never given twice, even where the last events before a kill were not written: numbers are reserved in
blocks. Whoever has missed what happened between two lives of the daemon is told by a LOST event.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3

from purevirt.daemons.xend.config_store import Database, rows
from purevirt.daemons.xend.journal import Journal
from purevirt.errors import OperationError
from purevirt.model import Event, EventKind, EventSource

__all__ = ["EventLog"]

_RESERVED = "journal"
_BLOCK = 10_000
_SOON = 0.2  # seconds from the first event that is not written until it is

_log = logging.getLogger(__name__)


class EventLog:
    """One per daemon."""

    def __init__(self, database: Database, journal: Journal) -> None:
        self._database = database
        self._journal = journal
        self._unwritten: list[Event] = []
        self._reserved = 0
        self._writer: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()
        self._complained = False

    async def load(self) -> None:
        """Go on from what is kept. Without a database that can be written the journal begins at what is known."""

        def read(db: sqlite3.Connection) -> tuple[list[Event], int]:
            return rows.last_events(db, self._journal.kept), int(rows.meta(db, _RESERVED) or 0)

        events, reserved = await self._database.run(read, changes=False)
        last = max(reserved, events[-1].seq if events else 0)
        self._journal.restore(events, last)
        self._journal.on_event = self._noted
        if last:
            self._journal.add(EventSource.XEND, EventKind.LOST, detail="restart")

    def _noted(self, event: Event) -> None:
        self._unwritten.append(event)
        if self._writer is None or self._writer.done():
            self._writer = asyncio.get_running_loop().create_task(self._write_soon(), name="xend: journal")

    async def _write_soon(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SOON):
                await self._closing.wait()
        await self._write()

    async def _write(self, last: int | None = None) -> None:
        """`last`: no number above it is reserved any more."""
        events, self._unwritten = self._unwritten, []
        reserve = last
        if reserve is None and events and events[-1].seq + _BLOCK // 2 > self._reserved:
            reserve = events[-1].seq + _BLOCK

        def write(db: sqlite3.Connection) -> None:
            rows.add_events(db, events)
            if reserve is not None:
                rows.set_meta(db, _RESERVED, str(reserve))

        try:
            await self._database.run(write, durable=False)
        except OperationError as error:
            if not self._complained:
                _log.error("events are not kept: %s", error)
            self._complained = True
        else:
            self._complained = False
            self._reserved = self._reserved if reserve is None else reserve

    async def close(self) -> None:
        """Write the rest."""
        self._journal.on_event = None
        self._closing.set()
        if self._writer is not None:
            await self._writer
        if self._database.read_only is None:
            await self._write(self._journal.last)
