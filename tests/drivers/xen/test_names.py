"""The one cache: when a name is read, when it is trusted, when it is dropped."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from purevirt._run import run_blocking
from purevirt.drivers.xen.names import NameCache
from tests.support.memory_store import MemoryTransport, memory_store

A, B = bytes(15) + b"a", bytes(15) + b"b"


class Event(NamedTuple):
    path: str


class Lost:
    """What a watcher yields when it had to drop events."""


class ScriptedWatcher:
    """Stands for the watch connection: events are put in by the test."""

    def __init__(self) -> None:
        self.events: list[object] = []
        self.watched: set[str] = set()
        self.closed = False

    async def add_many(self, paths: Sequence[str]) -> None:
        self.watched |= set(paths)

    async def remove_many(self, paths: Sequence[str]) -> None:
        self.watched -= set(paths)

    async def drain(self) -> Sequence[object]:
        events, self.events = self.events, []
        return events

    async def close(self) -> None:
        self.closed = True


def make(**names: str) -> tuple[NameCache, MemoryTransport, ScriptedWatcher]:
    store, transport = memory_store({f"/local/domain/{key[1:]}/name": name for key, name in names.items()})
    watcher = ScriptedWatcher()

    async def open_watcher() -> ScriptedWatcher:
        return watcher

    return NameCache(store, open_watcher), transport, watcher


def names(cache: NameCache, *keys: tuple[int, bytes]) -> list[str | None]:
    return run_blocking(cache.of(keys))


def test_the_first_listing_reads_and_sets_no_watch() -> None:
    cache, transport, watcher = make(d1="one", d2="two")
    assert names(cache, (1, A), (2, B)) == ["one", "two"]
    assert transport.exchanges == 1
    assert watcher.watched == set()


def test_the_second_sets_watches_and_the_third_reads_nothing() -> None:
    cache, transport, watcher = make(d1="one", d2="two")
    for _ in range(2):
        names(cache, (1, A), (2, B))
    assert watcher.watched == {"/local/domain/1/name", "/local/domain/2/name"}
    before = transport.requests
    assert names(cache, (1, A), (2, B)) == ["one", "two"]
    assert transport.requests == before


def test_an_event_makes_one_name_be_read_again() -> None:
    cache, transport, watcher = make(d1="one", d2="two")
    for _ in range(3):
        names(cache, (1, A), (2, B))
    run_blocking(cache._store.write("/local/domain/1/name", "renamed"))
    before = transport.requests
    watcher.events = [Event("/local/domain/1/name")]
    assert names(cache, (1, A), (2, B)) == ["renamed", "two"]
    assert transport.requests == before + 1


def test_lost_events_make_every_name_be_read_again() -> None:
    cache, transport, watcher = make(d1="one", d2="two")
    for _ in range(3):
        names(cache, (1, A), (2, B))
    before = transport.requests
    watcher.events = [Lost()]
    assert names(cache, (1, A), (2, B)) == ["one", "two"]
    assert transport.requests == before + 2


def test_another_handle_under_the_same_id_is_another_domain() -> None:
    cache, transport, _ = make(d1="one")
    for _ in range(3):
        names(cache, (1, A))
    before = transport.requests
    names(cache, (1, B))
    assert transport.requests == before + 1


def test_a_domain_that_goes_takes_its_watch_along() -> None:
    cache, _, watcher = make(d1="one", d2="two")
    for _ in range(3):
        names(cache, (1, A), (2, B))
    assert names(cache, (2, B)) == ["two"]
    assert watcher.watched == {"/local/domain/2/name"}


def test_a_domain_without_a_name_is_none() -> None:
    cache, _, _ = make(d1="one")
    assert names(cache, (1, A), (5, B)) == ["one", None]


def test_closing_closes_the_watch_connection() -> None:
    cache, _, watcher = make(d1="one")
    for _ in range(2):
        names(cache, (1, A))
    run_blocking(cache.close())
    assert watcher.closed
