"""The public door: `purevirt.store`, blocking and asyncio, against our own daemon."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from purevirt import errors, store
from purevirt.store import Event, Lost, Permission, Reconnected
from tests.channels.xenstore.daemons import ours


@pytest.fixture
def path(tmp_path: Path) -> Iterator[str]:
    with ours(tmp_path / "socket") as socket:
        yield socket


@pytest.fixture
def xs(path: str) -> Iterator[store.Store]:
    with store.open(path, timeout=30) as opened:
        yield opened


# --- blocking


def test_values_are_text_and_no_byte_is_lost(xs: store.Store) -> None:
    for text in ("plain", "", "ünïcode", "with space", "\udcff\udc80 no utf-8"):
        xs.write("/a", text)
        assert xs.read("/a") == text
    xs.write("/a", b"\xff\x00\xfe")
    assert xs.read_bytes("/a") == b"\xff\x00\xfe"
    assert xs.read("/a") == "\udcff\x00\udcfe"


def test_missing_nodes(xs: store.Store) -> None:
    with pytest.raises(errors.NoSuchNode, match="/no does not exist in the Xen Store"):
        xs.read("/no")
    assert xs.get("/no") is None
    assert xs.get("/no", "default") == "default"
    assert not xs.exists("/no")


def test_many_nodes(xs: store.Store) -> None:
    xs.write_many({"/a/x": "1", "/a/y": "2"})
    assert xs.read_many(["/a/x", "/a/no", "/a/y"]) == ["1", None, "2"]
    assert xs.list("/a") == ["x", "y"]
    assert xs.tree("/a") == {"/a": "", "/a/x": "1", "/a/y": "2"}
    xs.mkdir("/a/z")
    xs.remove("/a/x")
    assert xs.list("/a") == ["y", "z"]


def test_permissions(xs: store.Store) -> None:
    xs.mkdir("/a")
    xs.set_permissions("/a", ["n0", Permission("r", 5)])
    assert [str(entry) for entry in xs.permissions("/a")] == ["n0", "r5"]


@pytest.mark.parametrize("bad", ["", "/a b", "/a//b", "/a/", "/ünïcode", '/a"b', "/" + "x" * 4000])
def test_a_path_that_is_none_is_refused(xs: store.Store, bad: str) -> None:
    with pytest.raises(errors.LocalProtocolError):
        xs.read(bad)


def test_transact_runs_again_when_another_writer_was_first(xs: store.Store) -> None:
    xs.write("/counter", "1")
    runs: list[int] = []

    def increment(tx: store.StoreTransaction) -> int:
        value = int(tx.read("/counter")) + 1
        if not runs:
            xs.write("/counter", "10")
        runs.append(value)
        tx.write("/counter", str(value))
        return value

    assert xs.transact(increment) == 11
    assert runs == [2, 11]
    assert xs.read("/counter") == "11"
    with pytest.raises(ZeroDivisionError):
        xs.transact(lambda tx: 1 // 0)


def test_a_transaction_as_a_block_commits_aborts_or_conflicts(xs: store.Store) -> None:
    with xs.transaction() as tx:
        tx.write("/a", "1")
        assert not xs.exists("/a")
    assert xs.read("/a") == "1"
    with pytest.raises(errors.NoSuchNode), xs.transaction() as tx:  # noqa: PT012 - the block is what is tested
        tx.write("/a", "2")
        tx.read("/no")
    assert xs.read("/a") == "1"
    lost = xs.transaction()
    tx = lost.__enter__()
    tx.write("/a", tx.read("/a") + "4")
    xs.write("/a", "3")
    with pytest.raises(errors.TransactionConflict):
        lost.__exit__(None, None, None)
    assert xs.read("/a") == "3"
    with xs.transaction() as tx:
        tx.write("/a", "5")
        tx.commit()
    with xs.transaction() as tx:
        tx.write("/a", "6")
        tx.abort()
    assert xs.read("/a") == "5"


def test_watches_tell_what_changed(xs: store.Store) -> None:
    with xs.watch("/a", "/b", token="t") as watch:
        assert {watch.next(30), watch.next(30)} == {Event("/a", "t"), Event("/b", "t")}
        assert watch.next(0) is None
        assert watch.drain() == []
        xs.write("/a/x", "1")
        assert watch.next(30) == Event("/a/x", "t")
        watch.remove("/a", "t")
        watch.add("/c", "other")
        assert watch.next(30) == Event("/c", "other")
    with pytest.raises(errors.Closed):
        watch.next(0)


def test_iterating_a_watch_ends_when_it_is_closed(xs: store.Store) -> None:
    watch = xs.watch("/a")
    seen: list[store.Notice] = []

    def follow() -> None:
        for notice in watch:
            seen.append(notice)
            first.set()

    first = threading.Event()
    thread = threading.Thread(target=follow)
    thread.start()
    first.wait(30)
    watch.close()
    thread.join()
    assert seen == [Event("/a", "w")]


def test_a_watch_is_closed_while_its_follower_is_ending(
    xs: store.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The follower gives the descriptors back; whoever closes must not ring a bell that is gone."""
    watch = xs.watch("/a")
    next(watch)
    thread = threading.Thread(target=lambda: list(watch))
    thread.start()
    write = os.write

    def late(descriptor: int, data: bytes) -> int:
        if threading.current_thread() is not thread:
            thread.join(0.3)  # as long as it is not made to wait, it ends here
        return write(descriptor, data)

    transport: Any = watch._watcher._transport
    while not transport._waiters:
        os.sched_yield()
    monkeypatch.setattr("purevirt.channels.xenstore.blocking.os.write", late)
    watch.close()
    thread.join()


def test_a_watch_that_cannot_be_set_leaves_no_connection(xs: store.Store) -> None:
    with pytest.raises(errors.LocalProtocolError):
        xs.watch("/a b")
    gc.collect()  # a socket that nobody closed would warn, and warnings are errors


def test_watches_come_back_after_the_daemon_was_away(tmp_path: Path) -> None:
    socket = tmp_path / "socket"
    with ours(socket):
        xs = store.open(str(socket), timeout=30)
        watch = xs.watch("/a")
        assert watch.next(30) == Event("/a", "w")
    assert watch.next(0) is None  # it has gone, and this caller does not wait
    with pytest.raises(errors.Closed, match="lost"):
        xs.read("/a")
    with ours(socket):
        assert isinstance(watch.next(30), Reconnected)
        assert watch.next(30) == Event("/a", "w")
        with store.open(str(socket)) as again:
            again.write("/a/b", "1")
        assert watch.next(30) == Event("/a/b", "w")
        watch.close()
    xs.close()


def test_more_events_than_the_queue_holds_are_told_as_lost(xs: store.Store) -> None:
    with xs.watch("/a", queue=10) as watch:
        xs.write_many({f"/a/{number}": "" for number in range(50)})
        while not isinstance(watch.next(30), Lost):
            pass  # what had come before the queue was full


def test_read_only_reads_and_refuses_changes(path: str, xs: store.Store) -> None:
    xs.write("/a", "1")
    with store.open(path, read_only=True) as ro:
        assert ro.read_only
        assert ro.read("/a") == "1"
        changes: list[Callable[[], None]] = [
            lambda: ro.write("/a", "2"),
            lambda: ro.write_many({"/a": "2"}),
            lambda: ro.remove("/a"),
            lambda: ro.mkdir("/b"),
            lambda: ro.set_permissions("/a", ["n0"]),
            lambda: ro.transact(lambda tx: tx.write("/a", "2")),
        ]
        for change in changes:
            with pytest.raises(errors.ReadOnly):
                change()
        with ro.watch("/a") as watch:
            assert watch.next(30) == Event("/a", "w")
    assert xs.read("/a") == "1"


def test_domains_and_the_daemon(xs: store.Store) -> None:
    assert xs.domain_path(3) == "/local/domain/3"
    assert not xs.is_introduced(42)
    assert isinstance(xs.features(), store.Feature)
    assert xs.quota("nodes") > 0
    assert "nodes" in xs.quota_names()
    xs.reset_watches()


def test_after_close_every_call_says_so(xs: store.Store) -> None:
    xs.close()
    xs.close()
    assert xs.closed
    with pytest.raises(errors.Closed, match="is closed"):
        xs.read("/a")


def test_a_store_that_is_not_there(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    with pytest.raises(errors.ConnectError, match="there is no such file") as caught:
        store.open(str(missing))
    assert (caught.value.errno, caught.value.channel, caught.value.exit_status) == (errno.ENOENT, "store", 5)
    with pytest.raises(errors.ConnectError, match="it is no socket"):
        store.open(str(tmp_path))


def test_the_environment_and_a_root_say_where(
    tmp_path: Path, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XENSTORED_PATH", path)
    with store.open() as xs:
        assert xs.list("/") is not None
    root = tmp_path / "host"
    (root / "run/xenstored").mkdir(parents=True)
    with ours(root / "run/xenstored/socket"), store.open(root=str(root)) as xs:
        xs.write("/a", "simulated")
        assert xs.read("/a") == "simulated"


def test_the_socket_may_have_any_name(tmp_path: Path) -> None:
    deep = tmp_path / ("long" * 30) / 'it\'s a "store" né'
    deep.mkdir(parents=True)
    with ours(deep / "socket"), store.open(str(deep / "socket")) as xs, xs.watch("/a") as watch:
        assert watch.next(30) == Event("/a", "w")


# --- asyncio


def test_asyncio_is_the_same(path: str) -> None:
    async def scenario() -> None:
        async with await store.open_async(path, timeout=30) as xs:
            await xs.write("/a", "é")
            assert await xs.read("/a") == "é"
            assert await xs.read_many(["/a", "/b"]) == ["é", None]
            assert await xs.get("/b", "c") == "c"

            async def body(tx: store.AsyncStoreTransaction) -> str:
                await tx.write("/b", await tx.read("/a") + "!")
                return await tx.read("/b")

            assert await xs.transact(body) == "é!"
            async with xs.transaction() as tx:
                await tx.remove("/b")
            assert not await xs.exists("/b")
            async with await xs.watch("/a") as watch:
                assert await watch.next(30) == Event("/a", "w")
                await xs.write("/a/x", "")
                async for notice in watch:
                    assert notice == Event("/a/x", "w")
                    break

    asyncio.run(scenario())


def test_a_hundred_tasks_share_a_store(path: str) -> None:
    async def scenario() -> None:
        async with await store.open_async(path, timeout=30) as xs:
            await xs.write_many({f"/n/{number}": str(number) for number in range(100)})
            values = await asyncio.gather(*(xs.read(f"/n/{number}") for number in range(100)))
            assert values == [str(number) for number in range(100)]

    asyncio.run(scenario())


def test_closing_an_async_watch_ends_its_iteration(path: str) -> None:
    async def scenario() -> None:
        async with await store.open_async(path, timeout=30) as xs:
            watch = await xs.watch("/a")
            seen: list[store.Notice] = []
            first = asyncio.Event()

            async def follow() -> None:
                async for notice in watch:
                    seen.append(notice)
                    first.set()

            task = asyncio.create_task(follow())
            await first.wait()
            await watch.close()
            await task
            assert seen == [Event("/a", "w")]

    asyncio.run(scenario())


# --- the module


def test_every_name_is_there() -> None:
    for name in store.__all__:
        assert getattr(store, name) is not None
    with pytest.raises(AttributeError, match="nonsense"):
        store.nonsense  # noqa: B018


def test_the_blocking_half_does_not_load_asyncio() -> None:
    code = (
        "import sys, purevirt.store; print(sorted({'asyncio', 'dataclasses', 'inspect'} & set(sys.modules)))"
    )
    source = str(Path(store.__file__).parent.parent)
    environment = os.environ | {"PYTHONPATH": source}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout == "[]\n"
