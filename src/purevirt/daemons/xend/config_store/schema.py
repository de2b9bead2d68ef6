"""What the daemon's database looks like: a script for each version of it, run once, in order.

A database of a newer version is refused, never guessed at. A script that was released is not changed any more: the next
change is a script of its own.
"""

from __future__ import annotations

import sqlite3

from purevirt.errors import OperationError

__all__ = ["APPLICATION_ID", "VERSION", "prepare"]

APPLICATION_ID = 0x70757276  # "purv": says to file(1), and to us, whose database it is

_SCRIPTS = (
    """
    CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE definitions (
        uuid BLOB PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        revision INTEGER NOT NULL,
        format TEXT NOT NULL,
        text BLOB NOT NULL,
        type TEXT NOT NULL,
        memory_kib INTEGER NOT NULL,
        max_memory_kib INTEGER NOT NULL,
        vcpus INTEGER NOT NULL,
        max_vcpus INTEGER NOT NULL,
        autostart INTEGER NOT NULL DEFAULT 0,
        autostart_order INTEGER NOT NULL DEFAULT 0,
        saved TEXT
    );
    CREATE TABLE supervised (
        uuid BLOB PRIMARY KEY,
        name TEXT NOT NULL,
        domid INTEGER,
        boot TEXT NOT NULL,
        phase TEXT NOT NULL,
        action TEXT,
        reason TEXT,
        due REAL,
        restarts INTEGER NOT NULL DEFAULT 0,
        started REAL,
        format TEXT NOT NULL,
        text BLOB NOT NULL
    );
    CREATE TABLE jobs (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        kind TEXT NOT NULL,
        uuid BLOB NOT NULL,
        name TEXT NOT NULL,
        state TEXT NOT NULL,
        started REAL NOT NULL,
        ended REAL,
        progress REAL,
        step TEXT,
        domid INTEGER,
        error TEXT,
        message TEXT,
        user INTEGER NOT NULL
    );
    CREATE TABLE job_log (
        job INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
        line INTEGER NOT NULL,
        time REAL NOT NULL,
        text TEXT NOT NULL,
        PRIMARY KEY (job, line)
    ) WITHOUT ROWID;
    CREATE TABLE events (
        seq INTEGER PRIMARY KEY,
        time REAL NOT NULL,
        source TEXT NOT NULL,
        kind TEXT NOT NULL,
        domid INTEGER,
        uuid BLOB,
        name TEXT,
        detail TEXT
    );
    """,
)

VERSION = len(_SCRIPTS)


def prepare(connection: sqlite3.Connection, path: str) -> None:
    """Bring a database to this version. OperationError: it is somebody else's, or of a newer version."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (owner,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if tables and owner != APPLICATION_ID:
        raise OperationError(f"{path} is a database of another program", path=path)
    if version > VERSION:
        raise OperationError(
            f"{path} was written by a newer purevirt (version {version} of its tables; this one knows {VERSION})",
            path=path,
        )
    for number in range(version, VERSION):
        connection.executescript(
            f"BEGIN IMMEDIATE; {_SCRIPTS[number]} PRAGMA application_id = {APPLICATION_ID}; "
            f"PRAGMA user_version = {number + 1}; COMMIT;"
        )
