"""The client's contract, on every daemon there is: Debian's C xenstored and oxenstored, and our own.

Each test works below a node of its own, so that they may share a daemon in any order.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from purevirt import errors
from purevirt.channels.xenstore.client import Permission, StoreClient, Transaction
from purevirt.channels.xenstore.watches import Event, Watcher
from tests.channels.xenstore.daemons import Daemon
from tests.channels.xenstore.fakes import both, half, play

_numbers = itertools.count()


@asynccontextmanager
async def client(mode: str, daemon: Daemon) -> AsyncIterator[tuple[StoreClient, str]]:
    """A client, and a path of the test's own."""
    store = await StoreClient.open(half(mode).Connector(daemon.path), timeout=30)
    async with store:
        home = f"/test/{next(_numbers)}"
        await store.mkdir(home)
        yield store, home


async def until(watcher: Watcher, path: str) -> None:
    """Take notices until one is about the path. Events may come for nothing, and twice."""
    while True:
        notice = await watcher.next(30)
        assert isinstance(notice, Event)
        if notice.path == path:
            return


@both
def test_nodes(mode: str, daemon: Daemon) -> None:
    async def scenario() -> None:
        async with client(mode, daemon) as (store, home):
            await store.write(f"{home}/a/b", b"\x00\xff bytes")
            await store.write(f"{home}/a/c", "")
            assert await store.read(f"{home}/a/b") == b"\x00\xff bytes"
            values = await store.read_many([f"{home}/a/b", f"{home}/no", f"{home}/a"])
            assert values == [b"\x00\xff bytes", None, b""]
            assert sorted(await store.directory(f"{home}/a")) == ["b", "c"]
            assert await store.directory_many([f"{home}/a/b", f"{home}/no"]) == [[], None]
            await store.mkdir(f"{home}/a/b")
            assert await store.read(f"{home}/a/b") == b"\x00\xff bytes"
            assert await store.exists(f"{home}/a/c")
            await store.rm(f"{home}/a")
            await store.rm(f"{home}/a")
            assert not await store.exists(f"{home}/a/c")
            with pytest.raises(errors.NoSuchNode):
                await store.directory(f"{home}/a")
            with pytest.raises(errors.NoSuchNode):
                await store.rm(f"{home}/no/such/parent")

    play(mode, scenario())


@both
def test_the_largest_value(mode: str, daemon: Daemon) -> None:
    async def scenario() -> None:
        async with client(mode, daemon) as (store, home):
            path = f"{home}/v"
            value = bytes(range(256)) * 7  # by default a node may have 2048 bytes, name and rights included
            await store.write(path, value)
            assert await store.read(path) == value
            with pytest.raises(errors.LocalProtocolError, match="too long for this path"):
                await store.write(path, bytes(4096))

    play(mode, scenario())


@both
def test_a_tree(mode: str, daemon: Daemon) -> None:
    async def scenario() -> None:
        async with client(mode, daemon) as (store, home):
            values = {"": b"", "/a": b"1", "/a/b": b"2", "/a/b/c": b"3", "/d": b"4"}
            nodes = {home + path: value for path, value in values.items()}
            await store.write_many(list(nodes.items()))
            assert await store.tree(home) == nodes

    play(mode, scenario())


@both
def test_a_directory_of_any_length(mode: str, daemon: Daemon) -> None:
    async def scenario() -> None:
        async with client(mode, daemon) as (store, home):
            names = [f"{number:04d}{'x' * 60}" for number in range(200)]
            await store.write_many([(f"{home}/{name}", "") for name in names])
            assert sorted(await store.directory(home)) == names
            listed, missing = await store.directory_many([home, f"{home}/no"])
            assert (sorted(listed or ()), missing) == (names, None)
            assert len(await store.tree(home)) == 201

    play(mode, scenario())


@both
def test_permissions(mode: str, daemon: Daemon) -> None:
    async def scenario() -> None:
        async with client(mode, daemon) as (store, home):
            await store.set_perms(home, ["n0", "r5", Permission("b", 6)])
            assert await store.get_perms(home) == (Permission("n", 0), Permission("r", 5), Permission("b", 6))

    play(mode, scenario())


@both
def test_a_transaction_is_seen_whole_or_not_at_all(mode: str, daemon: Daemon) -> None:
    async def scenario() -> None:
        async with client(mode, daemon) as (store, home):

            async def body(view: Transaction) -> None:
                await view.write_many([(f"{home}/a", "1"), (f"{home}/b", "2")])
                assert await store.read_many([f"{home}/a", f"{home}/b"]) == [None, None]
                assert await view.tree(home) == {home: b"", f"{home}/a": b"1", f"{home}/b": b"2"}

            await store.transaction(body)
            assert await store.read_many([f"{home}/a", f"{home}/b"]) == [b"1", b"2"]
            view = await store.begin()
            await view.rm(f"{home}/a")
            await view.abort()
            assert await store.exists(f"{home}/a")

    play(mode, scenario())


@both
def test_a_transaction_that_lost_is_run_again(mode: str, daemon: Daemon) -> None:
    async def scenario() -> None:
        async with client(mode, daemon) as (store, home):
            path = f"{home}/counter"
            await store.write(path, "0")
            runs = 0

            async def increment(view: Transaction) -> None:
                nonlocal runs
                runs += 1
                value = int(await view.read(path))
                if runs <= 2:
                    await store.write(path, str(10 * runs))  # another writer, in the middle
                await view.write(path, str(value + 1))

            await store.transaction(increment)
            assert runs == 3
            assert await store.read(path) == b"21"
            runs = 0
            with pytest.raises(errors.TransactionConflict, match="2 times"):
                await store.transaction(increment, retries=1)

    play(mode, scenario())


@both
def test_domains_and_the_daemon(mode: str, daemon: Daemon) -> None:
    async def scenario() -> None:
        async with client(mode, daemon) as (store, _):
            assert await store.get_domain_path(7) == "/local/domain/7"
            assert not await store.is_domain_introduced(4242)
            with pytest.raises(errors.XenError) as caught:
                await store.release(4242)
            assert caught.value.domain == "4242"
            await store.reset_watches()

    play(mode, scenario())


@both
def test_features_and_quotas_are_answered_or_unsupported_and_never_hang(mode: str, daemon: Daemon) -> None:
    async def scenario() -> None:
        async with client(mode, daemon) as (store, _):
            if daemon.kind == "purevirt":
                await store.get_feature()
                names = await store.quota_names()
                assert "nodes" in names
                assert await store.get_quota("nodes") > 0
            else:
                for call in (store.get_feature(), store.quota_names()):
                    with pytest.raises(errors.Unsupported):
                        await call
                for other in (store.get_feature(0), store.get_quota("nodes"), store.set_quota("nodes", 5)):
                    with pytest.raises(errors.OperationError):
                        await other

    play(mode, scenario())


@both
def test_watches(mode: str, daemon: Daemon) -> None:
    async def scenario() -> None:
        async with client(mode, daemon) as (store, home):
            watcher = await store.open_watcher()
            await watcher.add(home, "token")
            assert await watcher.next(30) == Event(home, "token")
            with pytest.raises(errors.NodeExists):
                await watcher.add(home, "token")
            await store.write(f"{home}/a", "1")
            await until(watcher, f"{home}/a")
            await watcher.add_many([f"{home}/x", f"{home}/y"])
            await until(watcher, f"{home}/y")
            await watcher.remove_many([f"{home}/x", f"{home}/y"])
            await watcher.remove(home, "token")
            with pytest.raises(errors.NoSuchNode):
                await watcher.remove(home, "token")
            await watcher.drain()
            await store.write(f"{home}/a", "2")
            await store.read(home)
            assert await watcher.drain() == []
            await watcher.close()

    play(mode, scenario())


@both
def test_thousands_of_reads_in_one_exchange(mode: str, daemon: Daemon) -> None:
    async def scenario() -> None:
        async with client(mode, daemon) as (store, home):
            paths = [f"{home}/{number}" for number in range(50)]
            await store.write_many([(path, path) for path in paths])
            assert await store.read_many(paths * 100) == [path.encode() for path in paths] * 100

    play(mode, scenario())
