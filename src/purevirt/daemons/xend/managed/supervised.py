"""The domains that the daemon answers for: it made them, or has taken them over.

Each has a row in the database that says how far the daemon is with it, written before it acts, so that whoever comes
after it knows what to finish. A host that loses its power loses its domains as well: these rows need not outlive that.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable

from purevirt.daemons.xend.config_store import Database, Supervised, rows
from purevirt.errors import OperationError

__all__ = ["SupervisedDomains"]

_log = logging.getLogger(__name__)

Writes = Callable[[sqlite3.Connection], object]


class SupervisedDomains:
    """The rows, by UUID, in memory as the database has them."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._rows: dict[bytes, Supervised] = {}

    async def load(self) -> None:
        """Read them, once."""
        self._rows = {row.handle: row for row in await self._database.run(rows.all_supervised, changes=False)}

    def __len__(self) -> int:
        return len(self._rows)

    def all(self) -> list[Supervised]:
        """All of them."""
        return list(self._rows.values())

    def get(self, handle: bytes) -> Supervised | None:
        """The one with that UUID."""
        return self._rows.get(handle)

    async def put(
        self, row: Supervised, also: Writes | None = None, *, durable: bool = False, must: bool = True
    ) -> Supervised:
        """Write one down; `also` is written in the same transaction. Without `must`, one that cannot be written is
        known all the same, for as long as this daemon lives."""

        def work(db: sqlite3.Connection) -> None:
            rows.put_supervised(db, row)
            if also is not None:
                also(db)

        try:
            await self._database.run(work, durable=durable)
        except OperationError as error:
            if must:
                raise
            _log.error("that domain %s is %s is not kept: %s", row.name, row.phase, error)
        self._rows[row.handle] = row
        return row

    async def forget(self, handle: bytes, also: Writes | None = None, *, durable: bool = False) -> None:
        """Answer for it no more."""
        if handle not in self._rows and also is None:
            return

        def work(db: sqlite3.Connection) -> None:
            rows.forget_supervised(db, handle)
            if also is not None:
                also(db)

        try:
            await self._database.run(work, durable=durable)
        except OperationError as error:
            if also is not None:
                raise
            _log.error(
                "that nobody answers for domain %s any more is not kept: %s", self._rows[handle].name, error
            )
        self._rows.pop(handle, None)
