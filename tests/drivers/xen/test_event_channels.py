"""Events over real sockets: waiting in both halves of the API, and the daemon's journal."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator

import pytest

import purevirt
from purevirt import errors, testing
from purevirt.formats.xend_json import Call
from purevirt.model import Event, EventKind, EventSource
from purevirt.model.domain import uuid_of
from tests.support.rpc_peer import RpcPeer


@pytest.fixture
def host() -> Iterator[testing.Host]:
    with testing.Host(empty=True, xend=False) as found:
        found.create_domain("web")
        yield found


class Journal:
    """The daemon's side: what is added wakes who waits."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.asked = threading.Event()
        self._news = threading.Condition()
        self._open = True

    def add(self, kind: EventKind, detail: str | None = None, source: EventSource = EventSource.XEND) -> None:
        with self._news:
            self.events.append(
                Event(len(self.events) + 1, 1.0, source, kind, 1, uuid_of(bytes(16)), "web", detail)
            )
            self._news.notify_all()

    def end(self) -> None:
        with self._news:
            self._open = False
            self._news.notify_all()

    def __call__(self, call: Call) -> list[Event]:
        since, wait = call.arguments["since"], call.arguments["wait"]
        assert isinstance(since, int)
        assert isinstance(wait, float)
        with self._news:
            if wait:
                self.asked.set()
            self._news.wait_for(lambda: len(self.events) > since or not self._open, wait)
            return self.events[since:]


@pytest.fixture
def journal(host: testing.Host) -> Iterator[Journal]:
    found = Journal()
    with RpcPeer(host.root, {"journal": found}):
        yield found
        found.end()


# --- waiting


def test_whoever_waits_is_woken_by_the_store_before_the_next_look(host: testing.Host) -> None:
    with purevirt.open(host.uri) as connection, connection.events(poll=60.0) as events:
        thread = threading.Thread(target=host.rename, args=("web", "www"))
        thread.start()
        event = events.next(timeout=30)
        thread.join()
    assert event is not None
    assert (event.kind, event.name, event.detail) == (EventKind.RENAMED, "www", "web")


def test_whoever_waits_sees_what_the_next_look_sees(host: testing.Host) -> None:
    with purevirt.open(host.uri) as connection, connection.events(poll=0.01) as events:
        host.pause("web")
        event = events.next(timeout=30)
        assert event is not None
        assert event.kind is EventKind.SUSPENDED
        assert events.next(timeout=0) is None


def test_a_loop_ends_when_another_thread_closes(host: testing.Host) -> None:
    with purevirt.open(host.uri) as connection:
        events = connection.events(poll=0.01)
        seen: list[Event] = []
        first = threading.Event()

        def watch() -> None:
            for event in events:
                seen.append(event)
                first.set()

        thread = threading.Thread(target=watch)
        thread.start()
        host.pause("web")
        assert first.wait(30)
        events.close()
        thread.join(30)
        assert not thread.is_alive()
        assert [event.kind for event in seen] == [EventKind.SUSPENDED]


def test_under_asyncio_others_run_meanwhile(host: testing.Host) -> None:
    async def scenario() -> list[Event]:
        async with (
            await purevirt.open_async(host.uri) as connection,
            await connection.events(poll=0.01, domain="web") as events,
        ):
            waiting = asyncio.create_task(events.next(30))
            assert len(await connection.domain_infos()) == 2
            await asyncio.to_thread(host.crash, "web")
            found = [await waiting]
            await asyncio.to_thread(host.destroy, "web")
            async for event in events:
                found.append(event)
                break
        assert events.closed
        return [event for event in found if event is not None]

    assert [(event.kind.value, event.detail) for event in asyncio.run(scenario())] == [
        ("crashed", "crash"),
        ("stopped", "crash"),
    ]


@pytest.mark.parametrize("opener", ["open_async", "open_async_read_only"])
def test_a_wait_that_is_cancelled_loses_nothing(host: testing.Host, opener: str) -> None:
    async def scenario() -> list[str | None]:
        seen: list[str | None] = []
        async with (
            await getattr(purevirt, opener)(host.uri) as connection,
            await connection.events(["created"], poll=0.001) as events,
        ):
            for number in range(12):
                await asyncio.to_thread(host.create_domain, f"d{number}")
                for turns in range(number):
                    waiting = asyncio.create_task(events.next(None))
                    for _ in range(turns):
                        await asyncio.sleep(0)
                    waiting.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        event = await waiting
                        seen.append(event.name)
            while len(seen) < 12:
                event = await events.next(20)
                assert event is not None
                seen.append(event.name)
            assert await events.next(0.01) is None
        return seen

    assert asyncio.run(scenario()) == [f"d{number}" for number in range(12)]


def test_a_read_only_connection_without_a_daemon_hears_of_coming_and_going(host: testing.Host) -> None:
    with purevirt.open_read_only(host.uri) as connection, connection.events(poll=0.01) as events:
        host.create_domain("new")
        assert (event := events.next(timeout=30)) is not None
        assert (event.kind, event.name, event.source) == (EventKind.CREATED, "new", EventSource.STORE)
        host.destroy("new")
        kinds = set()
        while EventKind.STOPPED not in kinds:
            event = events.next(timeout=30)
            assert event is not None
            kinds.add(event.kind)
        assert kinds <= {EventKind.DEVICES, EventKind.STOPPED}


def test_the_domain_may_be_named_or_given(host: testing.Host) -> None:
    host.create_domain("db")
    with purevirt.open(host.uri) as connection:
        domain = connection.lookup_by_name("db")
        for named in ("db", domain, domain.uuid, domain.id()):
            with connection.events(domain=named, poll=0.01) as events:
                host.pause("web")
                host.pause("db")
                assert (event := events.next(timeout=30)) is not None
                assert event.name == "db"
                host.unpause("web")
                host.unpause("db")
        with pytest.raises(errors.NoSuchDomain):
            connection.events(domain="nobody")


# --- the daemon's journal


def test_a_read_only_connection_with_a_daemon_reads_its_journal(host: testing.Host, journal: Journal) -> None:
    journal.add(EventKind.CREATED)  # history, by now
    with purevirt.open_read_only(host.uri) as connection, connection.events() as events:
        assert connection.has_daemon
        journal.add(EventKind.CHANGED, "set_memory")
        journal.add(EventKind.SUSPENDED, "paused", EventSource.HYPERVISOR)
        found = [events.next(timeout=30), events.next(timeout=30)]
        assert events.next(timeout=0.01) is None
    assert [(event.seq, event.kind, event.detail) for event in found if event is not None] == [
        (1, EventKind.CHANGED, "set_memory"),
        (2, EventKind.SUSPENDED, "paused"),
    ]


def test_a_long_poll_is_woken_by_news_and_holds_up_no_other_call(
    host: testing.Host, journal: Journal
) -> None:
    with purevirt.open_read_only(host.uri) as connection, connection.events([EventKind.RESUMED]) as events:
        found: list[Event | None] = []
        thread = threading.Thread(target=lambda: found.append(events.next(timeout=30)))
        thread.start()
        assert journal.asked.wait(30)
        assert connection.count_domains() == 2
        journal.add(EventKind.SUSPENDED)
        journal.add(EventKind.RESUMED)
        thread.join(30)
        assert [event.kind for event in found if event is not None] == [EventKind.RESUMED]


def test_closing_ends_a_long_poll(host: testing.Host, journal: Journal) -> None:
    with purevirt.open_read_only(host.uri) as connection:
        events = connection.events()
        seen: list[Event] = []
        thread = threading.Thread(target=lambda: seen.extend(events))
        thread.start()
        assert journal.asked.wait(30)
        events.close()
        thread.join(30)
        assert not thread.is_alive()
        assert not seen


def test_a_lost_daemon_is_an_error_for_whoever_waits_for_its_journal(host: testing.Host) -> None:
    journal = Journal()
    with RpcPeer(host.root, {"journal": journal}):
        connection = purevirt.open_read_only(host.uri)
        events = connection.events()
    with pytest.raises(errors.ChannelUnavailable) as caught:
        events.next(timeout=1)
    assert caught.value.operation == "journal"
    with RpcPeer(host.root, {"journal": journal}):
        journal.add(EventKind.CHANGED, "nobody can say when")
        assert (event := events.next(timeout=30)) is not None
        assert event.kind is EventKind.LOST
        journal.add(EventKind.CHANGED, "rename")
        assert (event := events.next(timeout=30)) is not None
        assert event.detail == "rename"
        events.close()
        connection.close()


def test_with_hypercalls_the_journal_adds_what_the_daemon_changed_and_nothing_twice(
    host: testing.Host, journal: Journal
) -> None:
    with purevirt.open(host.uri) as connection, connection.events(poll=0.01) as events:
        assert connection.has_daemon
        host.pause("web")
        journal.add(EventKind.SUSPENDED, "paused")
        journal.add(EventKind.CHANGED, "set_memory")
        found = [events.next(timeout=30), events.next(timeout=30)]
        assert events.next(timeout=0.05) is None
    assert sorted((event.source, event.kind) for event in found if event is not None) == [
        (EventSource.HYPERVISOR, EventKind.SUSPENDED),
        (EventSource.XEND, EventKind.CHANGED),
    ]


def test_what_the_daemon_did_and_undid_between_two_looks_is_told() -> None:
    """No look can see it; the journal is exact for what the daemon did."""
    with testing.Host(empty=True) as host:
        host.create_domain("web")
        with purevirt.open(host.uri) as xen, xen.events() as events:
            domain = xen.lookup_by_name("web")
            for _ in range(2):
                domain.suspend()
                domain.resume()
            domain.suspend()
            told = [events.next(timeout=30) for _ in range(5)]
            assert events.next(timeout=0.6) is None  # the look finds it paused: that is told already
    assert [event and event.kind for event in told] == [
        EventKind.SUSPENDED,
        EventKind.RESUMED,
        EventKind.SUSPENDED,
        EventKind.RESUMED,
        EventKind.SUSPENDED,
    ]


def test_the_journal_knows_why_the_daemon_ended_a_domain(host: testing.Host, journal: Journal) -> None:
    with purevirt.open(host.uri) as connection, connection.events(["stopped"], poll=60.0) as events:
        ref = connection.lookup_by_name("web")._ref
        journal.events.append(
            Event(1, 1.0, EventSource.XEND, EventKind.STOPPED, 1, ref.uuid, "web", "destroyed")
        )
        host.destroy("web")
        event = events.next(timeout=30)
    assert event is not None
    assert (event.detail, event.libvirt_detail) == ("destroyed", 1)


def test_a_daemon_that_is_restarted_is_waited_for_while_hypercalls_tell_the_rest(
    host: testing.Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal()
    with RpcPeer(host.root, {"journal": journal}):
        connection = purevirt.open(host.uri)
        events = connection.events(poll=0.01)
    host.pause("web")
    assert (event := events.next(timeout=30)) is not None
    assert event.kind is EventKind.SUSPENDED
    assert events.next(timeout=0.05) is None
    with RpcPeer(host.root, {"journal": journal}):
        assert (event := events.next(timeout=30)) is not None
        assert event.kind is EventKind.LOST
        journal.add(EventKind.CHANGED, "set_vcpus")
        assert (event := events.next(timeout=30)) is not None
        assert event.detail == "set_vcpus"
    monkeypatch.setattr("purevirt.drivers.xen.watching._PATIENCE", 0.0)
    with pytest.raises(errors.ChannelUnavailable):
        events.next(timeout=30)
    events.close()
    connection.close()
