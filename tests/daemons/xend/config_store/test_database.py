"""The daemon's database: what it keeps, and what becomes of one that is damaged or cannot be written."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from purevirt.daemons.xend.config_store import Database, Opened, Stored, Supervised, rows, schema
from purevirt.errors import OperationError
from purevirt.model import Definition, DomainType, Event, EventKind, EventSource, Job, JobKind, JobState
from purevirt.model.domain import uuid_of
from purevirt.model.events import libvirt_codes

T = TypeVar("T")

HANDLE = bytes(range(16))
DEFINITION = Definition(HANDLE, "web", 3, "xml", DomainType.PVH, 1024, 2048, 1, 2, True, 7, True)
STORED = Stored(DEFINITION, "<domain type='xen'>\udcff</domain>", "/var/lib/purevirt/save/web")
SUPERVISED = Supervised(
    HANDLE, "web", 4, "boot", "ending", "restart", "crash", 5.5, 2, 1.5, "xl", "name='web'"
)
JOB = Job(0, JobKind.START, uuid_of(HANDLE), "web", JobState.RUNNING, 0, 12.5, user=1000)


def using(path: Path, work: Callable[[Database, Opened], Awaitable[T]]) -> T:
    async def main() -> T:
        database = Database(str(path))
        try:
            return await work(database, await database.open())
        finally:
            await database.close()

    return asyncio.run(main())


async def put(database: Database, opened: Opened) -> None:
    await database.run(lambda connection: rows.put_definition(connection, STORED))


async def get(database: Database, opened: Opened) -> Stored | None:
    return await database.run(lambda connection: rows.definition(connection, HANDLE), changes=False)


def test_what_was_put_is_there_when_it_is_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "state" / "xend.db"
    using(path, put)
    assert using(path, get) == STORED
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_every_field_of_what_is_kept_comes_back(tmp_path: Path) -> None:
    event = Event(9, 1.5, EventSource.XEND, EventKind.STOPPED, 4, uuid_of(HANDLE), "web", "crash")
    event = event._replace(libvirt_event=5, libvirt_detail=2)
    ended = JOB._replace(
        id=1,
        state=JobState.FAILED,
        ended=13.5,
        progress=0.5,
        step="disks",
        domid=4,
        error="Timeout",
        message="late",
    )

    async def work(database: Database, opened: Opened) -> None:
        def write(connection: sqlite3.Connection) -> int:
            rows.put_supervised(connection, SUPERVISED)
            number = rows.add_job(connection, JOB)
            rows.change_job(connection, ended)
            rows.add_job_lines(connection, number, [(0, 12.6, "begun"), (1, 12.7, "half \udc80")])
            rows.add_events(connection, [event])
            rows.set_meta(connection, "boot", "abc")
            return number

        assert await database.run(write) == 1

        def read(connection: sqlite3.Connection) -> None:
            assert rows.all_supervised(connection) == [SUPERVISED]
            assert rows.jobs(connection) == [ended]
            assert rows.job_lines(connection, 1) == [(12.6, "begun"), (12.7, "half \\udc80")]
            assert rows.last_events(connection, 5) == [event]
            assert rows.meta(connection, "boot") == "abc"
            assert rows.meta(connection, "none") is None
            assert libvirt_codes(event.kind, event.detail) == (5, 2)

        await database.run(read, changes=False)

    using(tmp_path / "xend.db", work)


def test_a_name_is_one_domains(tmp_path: Path) -> None:
    async def work(database: Database, opened: Opened) -> None:
        await put(database, opened)
        other = STORED._replace(definition=DEFINITION._replace(handle=bytes(16)))
        with pytest.raises(OperationError, match="UNIQUE"):
            await database.run(lambda connection: rows.put_definition(connection, other))
        assert await get(database, opened) == STORED

    using(tmp_path / "xend.db", work)


def test_half_a_transaction_is_none(tmp_path: Path) -> None:
    async def work(database: Database, opened: Opened) -> None:
        def half(connection: sqlite3.Connection) -> None:
            rows.put_definition(connection, STORED)
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await database.run(half)
        assert await get(database, opened) is None

    using(tmp_path / "xend.db", work)


def test_jobs_and_events_do_not_grow_for_ever(tmp_path: Path) -> None:
    ended = JOB._replace(state=JobState.DONE)
    event = Event(0, 1.0, EventSource.STORE, EventKind.CREATED, 4, None, "web")

    async def work(database: Database, opened: Opened) -> None:
        def write(connection: sqlite3.Connection) -> tuple[list[int], list[int]]:
            first = rows.add_job(connection, JOB)
            for _ in range(rows.JOBS_KEPT + 10):
                number = rows.add_job(connection, ended)
                rows.change_job(connection, ended._replace(id=number))
            rows.add_events(connection, [event._replace(seq=seq) for seq in range(1, rows.EVENTS_KEPT + 11)])
            kept = [job.id for job in rows.jobs(connection)]
            assert first in kept, "one that runs is never forgotten"
            return kept, [each.seq for each in rows.last_events(connection, 20_000)]

        kept, seqs = await database.run(write)
        assert len(kept) == rows.JOBS_KEPT + 1
        assert seqs == list(range(11, rows.EVENTS_KEPT + 11))

    using(tmp_path / "xend.db", work)


def damage(path: Path, how: str) -> None:
    data = bytearray(path.read_bytes())
    if how == "garbage":
        data[:] = b"this is no database, and never was " * 100
    elif how == "cut":
        del data[len(data) // 2 :]
    else:
        page = int.from_bytes(data[16:18], "big")
        for start in range(2 * page, len(data), 3 * page):
            data[start : start + 64] = b"\xff" * 64
    path.write_bytes(data)


@pytest.mark.parametrize("how", ["garbage", "cut", "pages"])
def test_a_damaged_one_is_put_aside_and_said(tmp_path: Path, how: str) -> None:
    path = tmp_path / "xend.db"
    using(path, put)
    damage(path, how)
    damaged = path.read_bytes()

    async def work(database: Database, opened: Opened) -> Opened:
        known = await get(database, opened)
        assert known in ((STORED,) if opened.rescued else (None,))
        await put(database, opened)
        return opened

    opened = using(path, work)
    assert opened.aside is not None
    assert opened.lost
    assert Path(opened.aside).read_bytes() == damaged
    assert using(path, get) == STORED


def test_definitions_of_a_damaged_one_are_taken_over(tmp_path: Path) -> None:
    """An index that does not fit its table is found by the check, and the table can be read all the same."""
    path = tmp_path / "xend.db"
    using(path, put)
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute(
            "UPDATE sqlite_master SET rootpage = (SELECT rootpage FROM sqlite_master WHERE name = 'jobs') "
            "WHERE name = 'sqlite_autoindex_definitions_2'"
        )
    connection.close()

    async def work(database: Database, opened: Opened) -> None:
        assert (opened.rescued, await get(database, opened)) == (1, STORED)

    using(path, work)


def test_somebody_elses_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "xend.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE mine (a)")
    connection.close()
    with pytest.raises(OperationError, match="a database of another program"):
        using(path, get)


def test_a_newer_one_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "xend.db"
    using(path, put)
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
    connection.close()
    with pytest.raises(OperationError, match="written by a newer purevirt"):
        using(path, get)


def test_one_that_cannot_be_written_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "xend.db"
    using(path, put)

    def refused(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system", str(tmp_path))

    # root writes everywhere, so a file system that cannot be written has to be imagined.
    monkeypatch.setattr("purevirt.daemons.xend.config_store.database.tempfile.mkstemp", refused)

    async def work(database: Database, opened: Opened) -> None:
        assert opened.read_only == database.read_only == f"{tmp_path}: read-only file system"
        assert await get(database, opened) == STORED
        with pytest.raises(OperationError, match=r"cannot keep anything: .*read-only file system") as caught:
            await put(database, opened)
        assert caught.value.errno_name == "EROFS"

    using(path, work)


def test_a_full_disk_changes_nothing(tmp_path: Path) -> None:
    async def work(database: Database, opened: Opened) -> None:
        await put(database, opened)
        await database.run(lambda connection: connection.execute("PRAGMA user_version").fetchone())

        def large(connection: sqlite3.Connection) -> None:
            (pages,) = connection.execute("PRAGMA page_count").fetchone()
            connection.execute(f"PRAGMA max_page_count = {pages + 2}")
            try:
                rows.put_definition(connection, STORED._replace(text="x" * 1_000_000))
            finally:
                connection.execute("PRAGMA max_page_count = 100000")

        with pytest.raises(OperationError, match="full") as caught:
            await database.run(large)
        assert caught.value.errno_name == "ENOSPC"
        assert await get(database, opened) == STORED
        await put(database, opened)

    using(tmp_path / "xend.db", work)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
@given(st.binary(max_size=3000))
def test_whatever_lies_there_is_opened_or_put_aside(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / f"{os.urandom(8).hex()}.db"
    path.write_bytes(data)

    async def work(database: Database, opened: Opened) -> None:
        assert (opened.aside is None) == (not data)
        await put(database, opened)
        assert await get(database, opened) == STORED

    using(path, work)
