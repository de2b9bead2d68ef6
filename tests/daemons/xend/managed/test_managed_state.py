"""A daemon whose memory fails it: a full disk, a directory that cannot be written, a damaged database; and what becomes
of its journal, its jobs and domains that start by themselves over several lives.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from purevirt import testing
from purevirt.daemons.xend.config_store import Database
from purevirt.daemons.xend.managed import hostshutdown
from purevirt.errors import InvalidConfig, OperationError
from purevirt.model import EventKind, JobKind, JobState
from tests.daemons.xend.managed.machine import WEB, daemon, there


@pytest.fixture
def host() -> Iterator[testing.Host]:
    with testing.Host(xend=False) as made:
        yield made


OTHER = WEB.replace('"web"', '"other"').replace("0a7e", "0b7e")


def fill(database: Database) -> None:
    """Have the database meet a full disk with every change from now on."""

    async def full(work: Any, *, changes: bool = True, durable: bool = True) -> Any:
        if changes:
            raise OperationError("the Xen daemon's state cannot be kept: database or disk is full", errno=28)
        return await Database.run(database, work, changes=False)

    database.run = full  # type: ignore[method-assign]


def test_a_full_disk_is_said_and_policies_are_carried_out_all_the_same(host: testing.Host) -> None:
    async def main() -> None:
        async with daemon(host) as xend:
            await xend.call("define", text=WEB)
            await xend.done("start", "web")
            first = (await xend.call("domain_info", "web")).domid
            fill(xend.service.database)
            for operation, domain, arguments in (
                ("define", None, {"text": OTHER}),
                ("create", None, {"text": OTHER}),
                ("undefine", "web", {}),
                ("set_autostart", "web", {"autostart": True}),
            ):
                with pytest.raises(OperationError, match="database or disk is full"):
                    await xend.call(operation, domain, **arguments)
            assert [known.name for known in await xend.call("list_definitions")] == ["web"]
            await xend.call("reboot", "web")
            await xend.until_event(EventKind.STARTED, "web", times=2)
            assert (await xend.call("domain_info", "web")).domid > first
            await xend.settled()
            del xend.service.database.run
            await xend.call("destroy", "web")

    asyncio.run(main())


def test_a_state_that_cannot_be_written_is_read(
    host: testing.Host, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with daemon(host) as xend:
            await xend.call("define", text=WEB)

        def refuse(*_: object, **__: object) -> None:
            raise PermissionError(30, "Read-only file system", f"{host.root}/var/lib/purevirt")

        with monkeypatch.context() as patched:
            patched.setattr("purevirt.daemons.xend.config_store.database.tempfile.mkstemp", refuse)
            async with daemon(host) as xend:
                assert [known.name for known in await xend.call("list_definitions")] == ["web"]
                with pytest.raises(OperationError, match=r"cannot keep anything: .*read-only file system"):
                    await xend.call("start", "web")
                await xend.call("suspend", "test")
                await xend.call("resume", "test")
        assert "nothing can be kept" in caplog.text

    asyncio.run(main())


def test_a_damaged_database_is_put_aside_and_its_definitions_are_taken_over(
    host: testing.Host, caplog: pytest.LogCaptureFixture
) -> None:
    path = Path(host.root, "var/lib/purevirt/xend.db")

    async def main() -> None:
        async with daemon(host) as xend:
            await xend.call("define", text=WEB)
            await xend.call("define", text=OTHER)
            await xend.done("start", "web")
        damage(path)
        async with daemon(host) as xend:
            names = [known.name for known in await xend.call("list_definitions")]
            assert names == ["other", "web"]
            assert (await xend.call("domain_info", "web")).domid is not None  # it ran on
        assert "the state was damaged" in caplog.text
        assert [name for name in os.listdir(path.parent) if name.startswith("xend.db.damaged-")]

    asyncio.run(main())


def damage(path: Path) -> None:
    """Break the jobs' pages, as a bad disk would."""
    with sqlite3.connect(path) as database:
        (page,) = database.execute("SELECT rootpage FROM sqlite_master WHERE name = 'jobs'").fetchone()
        (size,) = database.execute("PRAGMA page_size").fetchone()
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(os.urandom(size))


def test_the_journal_goes_on_over_lives(host: testing.Host) -> None:
    async def main() -> None:
        async with daemon(host) as xend:
            await xend.call("define", text=WEB)
            last = (await xend.call("journal"))[-1].seq
        async with daemon(host) as xend:
            events = await xend.call("journal")
            assert [event.kind for event in events][-2:] == [EventKind.DEFINED, EventKind.LOST]
            assert events[-1].seq == last + 1
            await xend.call("undefine", "web")
            assert [event.seq for event in await xend.call("journal", since=last + 1)] == [last + 2]

    asyncio.run(main())


def test_jobs_are_kept_with_their_logs(host: testing.Host) -> None:
    async def main() -> None:
        async with daemon(host) as xend:
            job = await xend.done("create", text=WEB)
            log = await xend.call("job_log", id=job.id)
        async with daemon(host) as xend:
            (kept,) = await xend.call("jobs")
            assert kept._replace(revision=0) == job._replace(revision=0)
            assert await xend.call("job_log", id=job.id) == log
            assert await xend.call("jobs", active=True) == []
            with pytest.raises(InvalidConfig, match="there is no job 99"):
                await xend.call("job", id=99)

    asyncio.run(main())


def test_domains_start_with_the_host_in_their_order_and_once(host: testing.Host) -> None:
    async def main() -> None:
        async with daemon(host) as xend:
            for text, name, order in ((WEB, "web", 2), (OTHER, "other", 1)):
                await xend.call("define", text=text)
                await xend.call("set_autostart", name, autostart=True, order=order)
        for times in (1, 2):  # the daemon alone is started anew: once for each boot of the host
            async with daemon(host) as xend:
                await xend.settled()
                assert await xend.call("jobs") == []
                assert times
        host.kill("hypervisor")
        host.restart("hypervisor")
        host.kill("xenstored")
        host.restart("xenstored")
        async with daemon(host) as xend:
            await xend.settled()
            jobs = await xend.call("jobs")
            assert [(job.kind, job.name, job.state) for job in jobs] == [
                (JobKind.START, "other", JobState.DONE),
                (JobKind.START, "web", JobState.DONE),
            ]
            await xend.call("destroy", "web")
        async with daemon(host) as xend:
            await xend.settled()
            assert len(await xend.call("jobs")) == 2

    asyncio.run(main())


def test_domains_are_saved_before_the_host_goes_down_and_go_on_with_it(host: testing.Host) -> None:
    async def main() -> None:
        async with daemon(host) as xend:
            made = await xend.call("define", text=WEB)
            await xend.done("start", "web")
            await xend.done("create", text=OTHER)
            await xend.service.see_domains_off()
            assert there(f"{host.root}/var/lib/purevirt/save/{made.uuid}.save")
            assert [info.name for info in await xend.call("list_domains")] == ["Domain-0", "test", "other"]
        async with daemon(host) as xend:
            await xend.settled()
            assert (await xend.call("domain_info", "web")).domid is not None
            assert ("started", "restored") in xend.told()

    asyncio.run(main())


def test_nothing_is_done_before_a_shutdown_if_the_settings_say_so(host: testing.Host) -> None:
    async def main() -> None:
        async with daemon(host, on_host_shutdown="none") as xend:
            await xend.done("create", text=WEB)
            await xend.service.see_domains_off()
            assert (await xend.call("domain_info", "web")).domid is not None
        assert not await hostshutdown.going_down()

    asyncio.run(main())
