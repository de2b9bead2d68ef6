"""Domains are made, stop, come back, leave and are waited for, through the supervisor's operations."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from purevirt import testing
from purevirt.errors import ConfigError, Denied, InvalidConfig, OperationError, WrongState
from purevirt.model import DomainState, EventKind, JobKind, JobState, Role, ShutdownMode
from tests.daemons.xend.managed.machine import WEB, Daemon, by, daemon, make_directory, there


@pytest.fixture
def host() -> Iterator[testing.Host]:
    with testing.Host(xend=False) as made:
        yield made


def on(host: testing.Host, work: Callable[[Daemon], Awaitable[None]], **settings: Any) -> None:
    async def main() -> None:
        async with asyncio.timeout(60), daemon(host, **settings) as xend:
            await work(xend)

    asyncio.run(main())


def test_a_domain_is_started_and_shuts_down(host: testing.Host) -> None:
    async def work(xend: Daemon) -> None:
        await xend.call("define", text=WEB)
        job = await xend.done("start", "web")
        assert (job.kind, job.progress, job.name) == (JobKind.START, 1.0, "web")
        info = await xend.call("domain_info", "web")
        assert (info.domid, info.state) == (job.domid, DomainState.RUNNING)
        with pytest.raises(WrongState, match="web is running already"):
            await xend.call("start", "web")
        await xend.call("shutdown", "web", mode=ShutdownMode.POWEROFF.value)
        await xend.until_event(EventKind.STOPPED, "web")
        await xend.settled()
        assert (await xend.call("domain_info", "web")).state is DomainState.SHUTOFF
        told = [
            event for event in xend.told() if event[0] != "changed"
        ]  # which comes when the guest has answered
        assert told == [
            ("defined", "added"),
            ("created", None),
            ("started", "booted"),
            ("shutdown", "poweroff"),
            ("stopped", "poweroff"),
        ]
        assert xend.manager.supervised.all() == []
        log = await xend.call("job_log", id=job.id)
        assert next(line.partition(" ")[2] for line in log) == "checking"

    on(host, work)


def test_a_domain_is_started_paused(host: testing.Host) -> None:
    async def work(xend: Daemon) -> None:
        await xend.call("define", text=WEB)
        await xend.done("start", "web", paused=True)
        assert (await xend.call("domain_info", "web")).state is DomainState.PAUSED
        await xend.call("resume", "web")
        assert (await xend.call("domain_info", "web")).state is DomainState.RUNNING

    on(host, work)


def test_a_domain_that_is_only_created_leaves_nothing_behind(host: testing.Host) -> None:
    async def work(xend: Daemon) -> None:
        await xend.done("create", text=WEB)
        assert await xend.call("list_definitions") == []
        await xend.call("destroy", "web")
        await xend.settled()
        assert xend.manager.supervised.all() == []
        await xend.done("create", text=WEB)

    on(host, work)


@pytest.mark.parametrize(
    ("policy", "goes_on"),
    [("destroy", False), ("restart", True), ("coredump-destroy", False), ("coredump-restart", True)],
)
def test_a_crash_is_answered_by_the_policy(host: testing.Host, policy: str, goes_on: bool) -> None:
    async def work(xend: Daemon) -> None:
        job = await xend.done("create", text=f'{WEB}on_crash = "{policy}"\n')
        assert job.domid is not None
        host.crash(job.domid)
        await xend.until_event(EventKind.STOPPED, "web")
        await xend.settled()
        assert ("crashed", "crash") in xend.told()
        assert len(xend.manager.supervised.all()) == goes_on
        if goes_on:
            info = await xend.call("domain_info", "web")
            assert info.domid != job.domid
            assert [each.kind for each in await xend.call("jobs")] == [JobKind.CREATE, JobKind.RESTART]
        cores = f"{host.root}/var/lib/purevirt/dump"
        assert there(cores) == policy.startswith("coredump")

    on(host, work)


def test_a_domain_is_preserved(host: testing.Host) -> None:
    async def work(xend: Daemon) -> None:
        job = await xend.done("create", text=f'{WEB}on_crash = "preserve"\n')
        assert job.domid is not None
        host.crash(job.domid)
        await xend.until_event(EventKind.CRASHED, "web")
        await xend.settled()
        info = await xend.call("domain_info", "web")
        assert (info.domid, info.state) == (job.domid, DomainState.CRASHED)
        await xend.call("destroy", "web")
        await xend.settled()
        assert xend.manager.supervised.all() == []

    on(host, work)


def test_a_domain_is_put_aside_and_made_again(host: testing.Host) -> None:
    async def work(xend: Daemon) -> None:
        job = await xend.done("create", text=f'{WEB}on_crash = "rename-restart"\n')
        assert job.domid is not None
        host.crash(job.domid)
        await xend.until_event(EventKind.STARTED, "web", times=2)
        await xend.settled()
        new = await xend.call("domain_info", "web")
        old = await xend.call("domain_info", job.domid)
        assert new.domid != old.domid
        assert (old.state, new.state) == (DomainState.CRASHED, DomainState.RUNNING)
        assert old.name.startswith("web-")
        assert old.handle != new.handle
        await xend.call("destroy", old.domid)
        assert (await xend.call("domain_info", "web")).domid == new.domid

    on(host, work)


def test_restarts_that_follow_each_other_wait(host: testing.Host) -> None:
    async def work(xend: Daemon) -> None:
        waited: list[float] = []

        async def rest(seconds: float) -> None:
            waited.append(seconds)

        xend.manager.rest = rest
        await xend.done("create", text=WEB)
        for times in (2, 3, 4, 5):
            await xend.call("reboot", "web")
            await xend.until_event(EventKind.STARTED, "web", times=times)
            await xend.settled()
        assert [round(seconds) for seconds in waited] == [20, 40]

    on(host, work, restart_count=2, restart_slowdown=20.0)


def test_a_restart_that_waits_can_be_called_off(host: testing.Host) -> None:
    async def work(xend: Daemon) -> None:
        waiting = asyncio.Event()

        async def rest(seconds: float) -> None:
            waiting.set()
            await asyncio.Event().wait()

        xend.manager.rest = rest
        await xend.call("define", text=WEB)
        await xend.done("start", "web")
        await xend.call("reboot", "web")
        await xend.until_event(EventKind.STARTED, "web", times=2)
        await xend.settled()
        await xend.call("reboot", "web")
        await waiting.wait()
        (job,) = await xend.call("jobs", active=True)
        assert job.step == "waiting 30 s: it is restart 2 in quick succession"
        with pytest.raises(WrongState, match=rf"job {job.id} \(restart\) of domain web is under way"):
            await xend.call("start", "web")
        job = await xend.ended(await xend.call("job_cancel", id=job.id))
        assert (job.state, job.error) == (JobState.CANCELLED, "Cancelled")
        assert xend.manager.supervised.all() == []
        await xend.done("start", "web")

    on(host, work, restart_count=1)


def test_a_state_is_saved_and_restored(host: testing.Host) -> None:
    async def work(xend: Daemon) -> None:
        await xend.done("create", text=WEB)
        await xend.done("save", "web", path="/web.save")
        assert xend.manager.supervised.all() == []
        told = await xend.call("saved_description", path="/web.save")
        assert (told.format, told.revision) == ("xml", 0)
        assert "<name>web</name>" in told.text
        with pytest.raises(ConfigError):
            await xend.call("restore", path="/proc/cpuinfo")
        await xend.done("restore", path="/web.save")
        with pytest.raises(WrongState, match="web is running already"):
            await xend.call("restore", path="/web.save")
        job = await xend.failed("save", "web", path="/web.save")
        assert "exists already" in (job.message or "")
        assert (await xend.call("domain_info", "web")).state is DomainState.RUNNING
        await xend.call("reboot", "web")  # it is answered for as before
        await xend.until_event(EventKind.STARTED, "web", times=3)

    on(host, work)


def test_what_is_in_a_saved_state_is_admitted_like_what_a_caller_brings(host: testing.Host) -> None:
    """Whoever may write where operators' files are could have made one that runs his script as root."""
    path = "/var/lib/xen/images/web.save"

    async def work(xend: Daemon) -> None:
        await xend.done("create", text=WEB)
        await xend.done("save", "web", path=path)
        with pytest.raises(
            Denied, match=r"restore: .*'/boot/vmlinuz', which is not below .* takes the role admin"
        ):
            await xend.call("restore", path=path, by=by(Role.OPERATOR))
        with pytest.raises(Denied, match=r"restore: .* takes the role admin"):
            await xend.call("restore", path=path, text=WEB, by=by(Role.OPERATOR))
        await xend.call("define", text=WEB)  # an admin has said that it may be so
        await xend.done("restore", path=path, by=by(Role.OPERATOR))

    make_directory(f"{host.root}/var/lib/xen/images")
    on(host, work)


def test_a_managed_save_is_gone_on_from_once(host: testing.Host) -> None:
    async def work(xend: Daemon) -> None:
        made = await xend.call("define", text=WEB)
        path = f"{host.root}/var/lib/purevirt/save/{made.uuid}.save"
        await xend.done("start", "web")
        await xend.done("managed_save", "web")
        assert (await xend.call("definition", "web")).managed_save
        assert there(path)
        with pytest.raises(WrongState, match="has a saved state, which would be lost"):
            await xend.call("undefine", "web")
        with pytest.raises(WrongState, match="has another saved state, of the Xen daemon's"):
            await xend.call("restore", path=path)
        with pytest.raises(WrongState, match="has a saved state, which has its name"):
            await xend.call("rename", "web", name="shop")
        await xend.done("start", "web")
        assert not (await xend.call("definition", "web")).managed_save
        assert not there(path)
        assert xend.told()[-1] == ("started", "restored")
        await xend.done("managed_save", "web")
        await xend.done("start", "web", force_boot=True)
        assert xend.told()[-1] == ("started", "booted")
        await xend.done("managed_save", "web")
        await xend.call("managed_save_remove", "web")
        assert not there(path)
        with pytest.raises(WrongState, match="has no saved state"):
            await xend.call("managed_save_remove", "web")

    on(host, work)


@pytest.mark.parametrize("answers", [True, False])
def test_a_domain_that_has_gone_to_another_host_is_adopted_there(
    host: testing.Host, tmp_path: Path, answers: bool
) -> None:
    """The builder of simulated hosts cannot migrate: here it ends the domain, as if it had gone."""
    ssh = tmp_path / "ssh"
    ssh.write_text(
        f'#!/bin/sh\necho "$*" > {tmp_path}/asked\necho no such command >&2\nexit {0 if answers else 127}\n'
    )
    ssh.chmod(0o755)

    async def work(xend: Daemon) -> None:
        async def gone(info: Any, where: Any, report: Any) -> None:
            await xend.manager.toolstack.destroy(info)

        xend.manager.builder.migrate = gone
        await xend.done("create", text=WEB)
        job = await xend.done("migrate", "web", host="other", command=[str(ssh)])
        assert xend.manager.supervised.all() == []
        last = (await xend.call("job_log", id=job.id))[-1].partition(" ")[2]
        assert last == (
            "the Xen daemon of other answers for it"
            if answers
            else "nobody answers for it at other: no such command"
        )
        assert xend.told()[-1] == ("stopped", "migrated")

    on(host, work)
    assert (tmp_path / "asked").read_text() == "other purevirt adopt web\n"


def test_memory_is_dumped(host: testing.Host) -> None:
    async def work(xend: Daemon) -> None:
        await xend.done("create", text=WEB)
        with pytest.raises(InvalidConfig, match=r"'web\.core' is no absolute path"):
            await xend.call("dump", "web", path="web.core")
        await xend.done("dump", "web", path="/web.core", live=True)
        assert (await xend.call("domain_info", "web")).state is DomainState.RUNNING
        await xend.done("dump", "web", path="/web.core2", crash=True)
        assert xend.manager.supervised.all() == []

    on(host, work)


def test_what_is_done_to_a_domain_that_is_being_made(host: testing.Host) -> None:
    async def work(xend: Daemon) -> None:
        entered, go_on = asyncio.Event(), asyncio.Event()
        create = xend.manager.builder.create

        async def slow(description: Any, report: Any) -> int:
            report("thinking", 0.5)
            entered.set()
            await go_on.wait()
            made: int = await create(description, report)
            return made

        xend.manager.builder.create = slow
        await xend.call("define", text=WEB)
        job = await xend.call("start", "web")
        await entered.wait()
        now = await xend.call("job", id=job.id)
        assert (now.state, now.step, now.progress) == (JobState.RUNNING, "thinking", 0.5)
        with pytest.raises(WrongState, match="domain web is being made already"):
            await xend.call("start", "web")
        with pytest.raises(OperationError, match="the name web is that of a"):
            await xend.call("create", text=WEB.replace("0a7e", "0b7e"))
        job = await xend.ended(await xend.call("job_cancel", id=job.id))
        assert (job.state, job.message) == (JobState.CANCELLED, "start of domain web was cancelled")
        assert xend.manager.supervised.all() == []
        with pytest.raises(WrongState, match="has ended already"):
            await xend.call("job_cancel", id=job.id)
        go_on.set()
        await xend.done("start", "web")

    on(host, work)


def test_a_job_is_given_up_at_its_deadline(host: testing.Host) -> None:
    async def work(xend: Daemon) -> None:
        async def never(description: Any, report: Any) -> int:
            await asyncio.Event().wait()
            raise AssertionError

        xend.manager.builder.create = never
        job = await xend.failed("create", text=WEB, deadline=0.05)
        assert (job.error, job.message) == (
            "Timeout",
            "create of domain web was not done within 0.05 s, and was undone",
        )
        assert xend.manager.supervised.all() == []

    on(host, work)


def test_jobs_wait_for_their_turn(host: testing.Host) -> None:
    async def work(xend: Daemon) -> None:
        go_on = asyncio.Event()
        create = xend.manager.builder.create

        async def slow(description: Any, report: Any) -> int:
            await go_on.wait()
            made: int = await create(description, report)
            return made

        xend.manager.builder.create = slow
        jobs = [
            await xend.call("create", text=WEB.replace('"web"', f'"w{n}"').replace("0a7e", f"{n}a7e"))
            for n in range(3)
        ]
        last = await xend.call("job", id=jobs[2].id, since=jobs[2].revision, wait=5.0)
        assert last.step == "waiting for its turn"
        assert (await xend.ended(await xend.call("job_cancel", id=last.id))).state is JobState.CANCELLED
        go_on.set()
        assert [(await xend.ended(job)).state for job in jobs[:2]] == [JobState.DONE, JobState.DONE]

    on(host, work, parallel_jobs=1)


def test_a_domain_of_somebody_else_is_only_looked_at_until_it_is_adopted(host: testing.Host) -> None:
    host.create_domain("guest")

    async def work(xend: Daemon) -> None:
        await xend.call("adopt", "guest")
        with pytest.raises(WrongState, match="answers for domain guest already"):
            await xend.call("adopt", "guest")
        with pytest.raises(WrongState, match="is where this daemon runs"):
            await xend.call("adopt", 0)
        assert [row.name for row in xend.manager.supervised.all()] == ["guest"]

    on(host, work)
