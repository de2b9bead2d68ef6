"""The journal: what xend did, exactly; what others did, as far as it can be seen; nothing twice."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from purevirt.daemons.xend.journal import Journal
from purevirt.daemons.xend.observer import POLL
from purevirt.errors import InvalidConfig
from purevirt.model import DomainInfo, Event, EventKind, EventSource
from purevirt.wire.hypercall.subops import (
    ShutdownCode,
)
from tests.daemons.xend.world import Xend, both, until


def add(journal: Journal, detail: str) -> Event:
    return journal.add(EventSource.XEND, EventKind.CHANGED, domid=1, handle=bytes(16), detail=detail)


def test_what_is_newer_than_a_number() -> None:
    journal = Journal(clock=lambda: 12.5)
    assert journal.since(0) == []
    first, second = add(journal, "a"), add(journal, "b")
    assert (first.seq, second.seq, first.time) == (1, 2, 12.5)
    assert journal.since(0) == [first, second]
    assert journal.since(1) == [second]
    assert journal.since(2) == []


def test_what_was_forgotten_is_said_to_be_lost() -> None:
    journal = Journal(kept=2)
    events = [add(journal, str(number)) for number in range(5)]
    lost, *kept = journal.since(1)
    assert (lost.kind, lost.seq) == (EventKind.LOST, 3)
    assert kept == events[3:]
    assert journal.since(3) == events[3:]


def test_a_number_from_before_a_restart() -> None:
    journal = Journal()
    event = add(journal, "a")
    lost, kept = journal.since(500)
    assert (lost.kind, lost.seq, kept) == (EventKind.LOST, 0, event)


def test_waiting_for_the_next_event() -> None:
    async def main() -> None:
        journal = Journal()
        started: list[int] = []
        journal.on_waiting = lambda: started.append(journal.waiting)
        assert await journal.after(0, 0.0) == []
        assert await journal.after(0, 0.001) == []
        first = asyncio.create_task(journal.after(0, 20.0))
        second = asyncio.create_task(journal.after(0, 20.0))
        await until(lambda: journal.waiting == 2)
        event = add(journal, "a")
        assert await first == await second == [event]
        assert journal.waiting == 0
        assert started == [1, 1]

    asyncio.run(main())


def test_what_xend_did_is_there_once(tmp_path: Path) -> None:
    async def main() -> None:
        async with asyncio.timeout(30), both(tmp_path) as (_, xend):
            await xend.call("suspend", "test")
            await xend.call("resume", "test")
            await xend.call("set_memory", "test", kib=131072)
            await xend.call("rename", "test", name="new")
            await xend.call("destroy", "new")
            for source in EventSource:
                await xend.supervisor.observer.look(source)
            assert xend.events() == [
                ("xend", "suspended", "test", "paused"),
                ("xend", "resumed", "test", "unpaused"),
                ("xend", "changed", "test", "set_memory"),
                ("xend", "renamed", "new", "test"),
                ("xend", "stopped", "new", "destroyed"),
            ]
            codes = [
                (event.libvirt_event, event.libvirt_detail) for event in xend.supervisor.journal.since(0)
            ]
            assert codes == [(3, 0), (4, 0), (None, None), (0, 2), (5, 1)]

    asyncio.run(main())


async def news(xend: Xend, seen: int) -> list[Event]:
    events: list[Event] = await xend.call("journal", since=seen, wait=20.0)
    return events


def test_domains_that_come_and_go_are_seen_without_anybody_asking(tmp_path: Path) -> None:
    async def main() -> None:
        async with asyncio.timeout(30), both(tmp_path) as (host, xend):
            resident = await host.create("other", paused=True)
            await news(xend, 0)
            host.hypervisor.destroy(resident.domid)
            await host.release(resident.domid)
            await news(xend, 1)
            assert xend.events() == [
                ("store", "created", "other", None),
                ("store", "stopped", "other", "unknown"),
            ]

    asyncio.run(main())


def test_many_domains_that_come_are_few_looks(tmp_path: Path) -> None:
    """A watch names no domain, and each look lists them all."""

    async def main() -> None:
        async with asyncio.timeout(30), both(tmp_path) as (host, xend):
            looks = 0
            rests: list[float] = []
            go_on = asyncio.Event()
            driver = xend.supervisor.link.driver
            list_domains = driver.list_domains

            async def counted() -> list[DomainInfo]:
                nonlocal looks
                looks += 1
                return await list_domains()

            async def rest(seconds: float) -> None:
                rests.append(seconds)
                await go_on.wait()

            driver.list_domains = counted  # type: ignore[method-assign]
            xend.supervisor.observer._rest = rest
            await host.create("first")
            await until(lambda: rests)
            assert looks == 1  # at once
            for number in range(40):
                await host.create(f"d{number}")
            gone = await host.create("gone")
            host.hypervisor.destroy(gone.domid)
            await host.release(gone.domid)
            assert looks == 1
            go_on.set()
            await until(lambda: len(rests) >= 2)
            assert looks == 2
            created = [name for _, kind, name, _ in xend.events() if kind == "created"]
            assert created == ["first", *(f"d{number}" for number in range(40))]
            assert all(0 <= seconds <= POLL for seconds in rests)

    asyncio.run(main())


def test_what_no_watch_tells_is_seen_while_somebody_waits(tmp_path: Path) -> None:
    async def main() -> None:
        async with asyncio.timeout(30), both(tmp_path) as (host, xend):
            xend.supervisor.observer._poll = 0.001
            waiting = asyncio.create_task(news(xend, 0))
            await until(lambda: xend.supervisor.journal.waiting)
            host.hypervisor.pause(1)
            await waiting
            waiting = asyncio.create_task(news(xend, 1))
            host.hypervisor.unpause(1)
            await waiting
            waiting = asyncio.create_task(news(xend, 2))
            host.hypervisor.shutdown(1, ShutdownCode.CRASH)
            await waiting
            assert [event[1:] for event in xend.events()] == [
                ("suspended", "test", "paused"),
                ("resumed", "test", "unpaused"),
                ("crashed", "test", "crash"),
            ]
            polling = xend.supervisor.observer._polling
            assert polling is not None
            await polling  # nobody waits any more, so it ends

    asyncio.run(main())


def test_a_shutdown_and_its_reason(tmp_path: Path) -> None:
    async def main() -> None:
        async with asyncio.timeout(30), both(tmp_path) as (host, xend):
            host.hypervisor.shutdown(1, ShutdownCode.REBOOT)
            host.xenstored.shut_down(1)
            assert host.shell is not None
            host.shell.deliver()
            await news(xend, 0)
            host.hypervisor.destroy(1)
            await host.release(1)
            await news(xend, 1)
            assert xend.events() == [
                ("store", "shutdown", "test", "reboot"),
                ("store", "stopped", "test", "reboot"),
            ]

    asyncio.run(main())


def test_a_wait_that_makes_no_sense(tmp_path: Path) -> None:
    async def main() -> None:
        async with asyncio.timeout(30), both(tmp_path) as (_, xend):
            for wait in (-1, 1e9, "long"):
                with pytest.raises(InvalidConfig):
                    await xend.call("journal", since=0, wait=wait)

    asyncio.run(main())


def test_a_toolstack_builds_and_tears_down(tmp_path: Path) -> None:
    """As xl does: it unpauses what it has built, pauses what it ends, and removes the name before the domain."""

    async def main() -> None:
        async with asyncio.timeout(30), both(tmp_path) as (host, xend):
            look = xend.supervisor.observer.look
            made = await host.create("built", paused=True)
            await look(EventSource.STORE)
            host.hypervisor.unpause(made.domid)
            await look(EventSource.STORE)
            host.hypervisor.shutdown(made.domid, ShutdownCode.POWEROFF)
            await look(EventSource.STORE)
            host.hypervisor.pause(made.domid)
            await look(EventSource.STORE)
            await host.store.rm(f"/local/domain/{made.domid}")
            await look(EventSource.STORE)
            host.hypervisor.destroy(made.domid)
            await look(EventSource.STORE)
            assert [event[1:] for event in xend.events()] == [
                ("created", "built", None),
                ("started", "built", "booted"),
                ("shutdown", "built", "poweroff"),
                ("stopped", "built", "poweroff"),
            ]
            made = await host.create("at once")
            await look(EventSource.STORE)
            assert [event[1:] for event in xend.events()][4:] == [
                ("created", "at once", None),
                ("started", "at once", "booted"),
            ]

    asyncio.run(main())
