"""The tables' rows as the daemon's own values, and back. Everything here runs in the database's thread.

Text that came from outside may hold bytes that are no UTF-8 (as lone surrogates), which SQLite's text does not take: so
descriptions are kept as bytes. Names have none: they are refused before.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from purevirt.model import Definition, DomainType, Event, EventKind, EventSource, Job, JobKind, JobState
from purevirt.model.domain import uuid_of
from purevirt.model.events import libvirt_codes

__all__ = [
    "EVENTS_KEPT",
    "JOBS_KEPT",
    "Stored",
    "Supervised",
    "add_events",
    "add_job",
    "add_job_lines",
    "all_definitions",
    "all_supervised",
    "change_job",
    "definition",
    "forget_definition",
    "forget_supervised",
    "job_lines",
    "jobs",
    "last_events",
    "meta",
    "put_definition",
    "put_supervised",
    "set_meta",
    "set_saved",
]

JOBS_KEPT = 1000
EVENTS_KEPT = 10_000
"""How many jobs that have ended, and how many events, are kept."""

_DEFINITION = (
    "uuid, name, revision, format, type, memory_kib, max_memory_kib, vcpus, max_vcpus, "
    "autostart, autostart_order, saved"
)
_SUPERVISED = "uuid, name, domid, boot, phase, action, reason, due, restarts, started, format, text"
_JOB = "id, kind, uuid, name, state, started, ended, progress, step, domid, error, message, user"


_Row = Sequence[Any]  # its columns' types are the schema's


class Stored(NamedTuple):
    """A definition with its text, and where its managed save is."""

    definition: Definition
    text: str
    saved: str | None


class Supervised(NamedTuple):
    """A domain that the daemon answers for, and how far it is with it.

    `boot` says which life of the host `domid` is of. `phase`: "building" (being made), "made" (complete, and not yet
    let run), "running", "dumping" (its memory is being written to a file), "leaving" (its state goes to a file, or
    elsewhere), "ending" (it has stopped for `reason`, and `action` is being carried out), "waiting" (it is gone, and is
    made again at `due`), "kept" (it has stopped, and stays as it is), "stopped" (the host is going down). What else a
    phase needs to be gone on with is in `action`. `restarts` counts those in quick succession.
    `format` and `text` are what it was made from. Times are seconds since 1970.
    """

    handle: bytes
    name: str
    domid: int | None
    boot: str
    phase: str
    action: str | None = None
    reason: str | None = None
    due: float | None = None
    restarts: int = 0
    started: float | None = None
    format: str = ""
    text: str = ""


# --- definitions


def _definition(row: _Row) -> Definition:
    kind, autostart, saved = row[4], row[9], row[11]
    return Definition._make(
        (*row[:4], DomainType(kind), *row[5:9], bool(autostart), row[10], saved is not None)
    )


def all_definitions(connection: sqlite3.Connection) -> list[Definition]:
    """All of them, by name."""
    return [
        _definition(row) for row in connection.execute(f"SELECT {_DEFINITION} FROM definitions ORDER BY name")
    ]


def definition(connection: sqlite3.Connection, handle: bytes) -> Stored | None:
    """One, with its text."""
    row = connection.execute(
        f"SELECT {_DEFINITION}, text FROM definitions WHERE uuid = ?", (handle,)
    ).fetchone()
    return None if row is None else Stored(_definition(row[:-1]), _text(row[-1]), row[-2])


def put_definition(connection: sqlite3.Connection, stored: Stored) -> None:
    """Add it, or put it in place of the one with the same UUID. sqlite3.IntegrityError: the name is taken."""
    known = stored.definition
    connection.execute(
        f"INSERT INTO definitions ({_DEFINITION}, text) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (uuid) DO UPDATE SET name = excluded.name, revision = excluded.revision, "
        "format = excluded.format, type = excluded.type, memory_kib = excluded.memory_kib, "
        "max_memory_kib = excluded.max_memory_kib, vcpus = excluded.vcpus, max_vcpus = excluded.max_vcpus, "
        "autostart = excluded.autostart, autostart_order = excluded.autostart_order, saved = excluded.saved, "
        "text = excluded.text",
        (
            known.handle,
            known.name,
            known.revision,
            known.format,
            known.type.value,
            known.memory_kib,
            known.max_memory_kib,
            known.vcpus,
            known.max_vcpus,
            int(known.autostart),
            known.autostart_order,
            stored.saved,
            _bytes(stored.text),
        ),
    )


def forget_definition(connection: sqlite3.Connection, handle: bytes) -> None:
    """Remove it, if it is there."""
    connection.execute("DELETE FROM definitions WHERE uuid = ?", (handle,))


def set_saved(connection: sqlite3.Connection, handle: bytes, path: str | None) -> None:
    """Say where the state is that it goes on from, if there is a definition."""
    connection.execute("UPDATE definitions SET saved = ? WHERE uuid = ?", (path, handle))


# --- supervised domains


def all_supervised(connection: sqlite3.Connection) -> list[Supervised]:
    """All of them, by name."""
    rows = connection.execute(f"SELECT {_SUPERVISED} FROM supervised ORDER BY name")
    return [Supervised._make((*row[:-1], _text(row[-1]))) for row in rows]


def put_supervised(connection: sqlite3.Connection, known: Supervised) -> None:
    """Add it, or put it in place of what was known before."""
    marks = ", ".join("?" * len(known))
    connection.execute(
        f"INSERT OR REPLACE INTO supervised ({_SUPERVISED}) VALUES ({marks})",
        (*known[:-1], _bytes(known.text)),
    )


def forget_supervised(connection: sqlite3.Connection, handle: bytes) -> None:
    """Remove it, if it is there."""
    connection.execute("DELETE FROM supervised WHERE uuid = ?", (handle,))


# --- jobs


def _job(row: _Row) -> Job:
    number, kind, handle, name, state, *rest = row
    started, ended, progress, step, domid, error, message, user = rest
    return Job(
        number,
        JobKind(kind),
        uuid_of(handle),
        name,
        JobState(state),
        0,
        started,
        ended,
        progress,
        step,
        domid,
        error,
        message,
        user,
    )


def jobs(connection: sqlite3.Connection) -> list[Job]:
    """All that are kept, the oldest first."""
    return [_job(row) for row in connection.execute(f"SELECT {_JOB} FROM jobs ORDER BY id")]


def add_job(connection: sqlite3.Connection, job: Job) -> int:
    """Add one that begins; its number. The oldest ones that have ended go."""
    cursor = connection.execute(
        "INSERT INTO jobs (kind, uuid, name, state, started, user) VALUES (?, ?, ?, ?, ?, ?)",
        (job.kind.value, job.uuid.bytes, job.name, job.state.value, job.started, job.user),
    )
    assert cursor.lastrowid is not None
    connection.execute(
        "DELETE FROM jobs WHERE id <= ? AND state != ?",
        (cursor.lastrowid - JOBS_KEPT, JobState.RUNNING.value),
    )
    return cursor.lastrowid


def change_job(connection: sqlite3.Connection, job: Job) -> None:
    """Write down how it is now."""
    connection.execute(
        "UPDATE jobs SET state = ?, ended = ?, progress = ?, step = ?, domid = ?, error = ?, message = ? WHERE id = ?",
        (job.state.value, job.ended, job.progress, job.step, job.domid, job.error, job.message, job.id),
    )


def add_job_lines(connection: sqlite3.Connection, job: int, lines: Iterable[tuple[int, float, str]]) -> None:
    """Lines of its log: number, time, text."""
    connection.executemany(
        "INSERT OR REPLACE INTO job_log (job, line, time, text) VALUES (?, ?, ?, ?)",
        [(job, number, when, _storable(text)) for number, when, text in lines],
    )


def job_lines(connection: sqlite3.Connection, job: int) -> list[tuple[float, str]]:
    """Its log: time and text of each line."""
    return list(connection.execute("SELECT time, text FROM job_log WHERE job = ? ORDER BY line", (job,)))


# --- events


def add_events(connection: sqlite3.Connection, events: Iterable[Event]) -> None:
    """Events that are newer than all that are there. The oldest go."""
    last = 0
    for event in events:
        last = event.seq
        connection.execute(
            "INSERT OR REPLACE INTO events (seq, time, source, kind, domid, uuid, name, detail) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                event.seq,
                event.time,
                event.source.value,
                event.kind.value,
                event.domid,
                None if event.uuid is None else event.uuid.bytes,
                None if event.name is None else _storable(event.name),
                event.detail,
            ),
        )
    connection.execute("DELETE FROM events WHERE seq <= ?", (last - EVENTS_KEPT,))


def last_events(connection: sqlite3.Connection, count: int) -> list[Event]:
    """The newest, oldest first."""
    rows = connection.execute(
        "SELECT seq, time, source, kind, domid, uuid, name, detail FROM events ORDER BY seq DESC LIMIT ?",
        (count,),
    ).fetchall()
    return [_event(row) for row in reversed(rows)]


def _event(row: _Row) -> Event:
    seq, when, source, kind, domid, handle, name, detail = row
    uuid = None if handle is None else UUID(bytes=handle)
    codes = libvirt_codes(EventKind(kind), detail)
    return Event(seq, when, EventSource(source), EventKind(kind), domid, uuid, name, detail, *codes)


# --- the rest


def meta(connection: sqlite3.Connection, key: str) -> str | None:
    """A value by its key."""
    row = connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    return None if row is None else str(row[0])


def set_meta(connection: sqlite3.Connection, key: str, value: str) -> None:
    """Keep a value by its key."""
    connection.execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", (key, value))


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _storable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
