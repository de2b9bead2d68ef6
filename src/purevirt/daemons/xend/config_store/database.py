"""The daemon's memory: an SQLite database that outlives it, used by one thread so that the event loop never waits.

    /var/lib/purevirt/xend.db        0600, in a directory of 0700: descriptions may hold passwords

Each `run` is one transaction: all of it is on the disk when it returns, or none. What cannot be written is an error
of that call, and the daemon goes on with what it knows.

When it is opened it is checked. A database that is damaged is put aside under a name of its own, never emptied; what
could still be read of its definitions is taken over, and `Opened` says so. One that cannot be written (a read-only file
system) is read, and whatever would change it is refused.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeVar

from purevirt.daemons.xend.config_store import schema
from purevirt.errors import OperationError, XenError

__all__ = ["Database", "Opened"]

T = TypeVar("T")

_BUSY = 5.0  # seconds: somebody looks at the database with a tool of his own
_MAGIC = b"SQLite format 3\0"
_SUFFIXES = ("", "-wal", "-shm")


class Opened(NamedTuple):
    """How opening went. `aside`: where a damaged database was put, with `rescued` definitions of it taken over and
    `lost` saying what was wrong with it. `read_only`: why nothing can be written."""

    aside: str | None = None
    rescued: int = 0
    lost: str | None = None
    read_only: str | None = None


class Database:
    """One file, for the tasks of one event loop."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="xend-state")
        self._connection: sqlite3.Connection | None = None
        self._durable = True
        self._read_only: str | None = None
        self._copy: str | None = None

    @property
    def read_only(self) -> str | None:
        """Why nothing can be written; None: it can."""
        return self._read_only

    async def open(self) -> Opened:
        """Open it, made if it is missing. OperationError: it is not ours to use, or cannot even be read."""
        return await self._in_thread(self._open)

    async def close(self) -> None:
        """Let go of it; closing twice is fine."""
        if self._connection is not None:
            await self._in_thread(self._close)
        self._thread.shutdown()

    async def run(
        self, work: Callable[[sqlite3.Connection], T], *, changes: bool = True, durable: bool = True
    ) -> T:
        """What `work` returns, done in one transaction. OperationError: it could not be, and nothing has changed.

        Without `durable` a transaction may be lost if the machine loses its power, and only then.
        """
        if changes and self._read_only is not None:
            raise OperationError(
                f"the Xen daemon cannot keep anything: {self._read_only}", path=self.path, errno=errno.EROFS
            )
        return await self._in_thread(lambda: self._run(work, changes, durable))

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    # --- in the thread

    def _run(self, work: Callable[[sqlite3.Connection], T], changes: bool, durable: bool) -> T:
        connection = self._connection
        if connection is None:
            raise OperationError("the Xen daemon's state is closed", path=self.path)
        try:
            if durable != self._durable:
                connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
                self._durable = durable
            connection.execute("BEGIN IMMEDIATE" if changes else "BEGIN")
            try:
                value = work(connection)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:  # a full disk has ended it already
                    connection.execute("ROLLBACK")
                raise
            return value
        except sqlite3.Error as error:
            raise self._failed(error) from error

    def _failed(self, error: sqlite3.Error) -> XenError:
        number = {"SQLITE_FULL": errno.ENOSPC, "SQLITE_READONLY": errno.EROFS}.get(
            getattr(error, "sqlite_errorname", "")
        )
        return OperationError(
            f"the Xen daemon's state cannot be kept in {self.path}: {error}", path=self.path, errno=number
        )

    def _open(self) -> Opened:
        directory = os.path.dirname(self.path)
        try:
            os.makedirs(directory, mode=0o700, exist_ok=True)
            if not os.path.exists(self.path):
                os.close(os.open(self.path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
            probe, name = tempfile.mkstemp(dir=directory)  # SQLite makes files beside its own
            os.close(probe)
            os.unlink(name)
            with open(self.path, "r+b"):
                pass
        except OSError as error:
            return self._open_to_read(error)
        try:
            self._connection = self._checked(self.path)
            return Opened()
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise self._failed(error) from error  # busy, full: nothing is wrong with the file itself
            return self._replace(str(error))

    def _checked(self, path: str) -> sqlite3.Connection:
        """Open it, and see that it is sound. sqlite3.DatabaseError: it is not."""
        with open(path, "rb") as file:
            magic = file.read(len(_MAGIC))
        if magic and magic != _MAGIC:  # of a short one SQLite would not care what is in it
            raise sqlite3.DatabaseError("file is not a database")
        connection = self._connect(path)
        try:
            found = [line for (line,) in connection.execute("PRAGMA integrity_check(5)")]
            if found != ["ok"]:
                raise sqlite3.DatabaseError("; ".join(found))
            schema.prepare(connection, self.path)
        except BaseException:
            connection.close()
            raise
        return connection

    def _connect(self, path: str) -> sqlite3.Connection:
        connection = sqlite3.connect(path, timeout=_BUSY, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA foreign_keys = ON")
        except BaseException:
            connection.close()
            raise
        return connection

    def _replace(self, reason: str) -> Opened:
        """Put a damaged one aside, and go on with what of its definitions can be read."""
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        aside = f"{self.path}.damaged-{stamp}"
        number = 1
        while os.path.exists(aside):
            number += 1
            aside = f"{self.path}.damaged-{stamp}-{number}"
        for suffix in _SUFFIXES:
            with contextlib.suppress(FileNotFoundError):
                os.rename(self.path + suffix, aside + suffix)
        os.close(os.open(self.path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
        self._connection = self._checked(self.path)
        rows = _rescued(aside)
        rescued = 0
        for row in rows:
            with contextlib.suppress(sqlite3.Error):
                marks = ", ".join("?" * len(row))
                self._connection.execute(f"INSERT INTO definitions VALUES ({marks})", row)
                rescued += 1
        return Opened(aside, rescued, reason)

    def _open_to_read(self, error: OSError) -> Opened:
        """Of one that cannot be written a copy is read: SQLite would want to write beside it."""
        reason = f"{error.filename or self.path}: {(error.strerror or str(error)).lower()}"
        self._copy = tempfile.mkdtemp(prefix="purevirt-state-")
        copy = os.path.join(self._copy, "xend.db")
        try:
            for suffix in _SUFFIXES:
                with contextlib.suppress(FileNotFoundError):
                    shutil.copyfile(self.path + suffix, copy + suffix)
            self._connection = self._checked(copy)
        except (OSError, sqlite3.Error) as problem:
            shutil.rmtree(self._copy, ignore_errors=True)
            raise OperationError(
                f"the Xen daemon's state can be neither written nor read: {reason}; {problem}",
                path=self.path,
                errno=error.errno,
            ) from error
        self._read_only = reason
        return Opened(read_only=reason)

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
        if self._copy is not None:
            shutil.rmtree(self._copy, ignore_errors=True)


def _rescued(path: str) -> list[tuple[object, ...]]:
    """The rows of `definitions` that can be read in a damaged database, from both ends."""
    found: dict[object, tuple[object, ...]] = {}
    with contextlib.suppress(sqlite3.Error, OSError):
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)
        with contextlib.closing(connection):
            for order in ("ASC", "DESC"):
                with contextlib.suppress(sqlite3.Error):
                    for row in connection.execute(f"SELECT * FROM definitions ORDER BY rowid {order}"):
                        found[row[0]] = row
    return list(found.values())
