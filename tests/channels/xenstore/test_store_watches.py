"""Watches: notices in order, a bounded queue, and reconnection with the watches restored."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from purevirt._run import run_blocking
from purevirt.channels.xenstore.aio import AsyncioTransport
from purevirt.channels.xenstore.blocking import BlockingTransport
from purevirt.channels.xenstore.watches import Event, Lost, Reconnected, Watcher
from purevirt.errors import (
    Closed,
    ConnectError,
    Denied,
    LocalProtocolError,
    NodeExists,
    NoSuchNode,
    RemoteProtocolError,
    Timeout,
    Unsupported,
    XenError,
)
from purevirt.wire.xenstore import Op
from tests.channels.xenstore.fakes import Wire, both, play, transport_over

SOON = 0.01
LONG = 30.0
OK = b"OK\0"


class Connections:
    """A connector over prepared wires; an exception among them is what that attempt raises."""

    def __init__(self, mode: str, *outcomes: Wire | XenError) -> None:
        self.mode = mode
        self.outcomes = deque(outcomes)
        self.paused: list[float] = []

    async def connect(self, timeout: float | None) -> BlockingTransport | AsyncioTransport:
        outcome = self.outcomes.popleft() if self.outcomes else ConnectError("no more")
        if isinstance(outcome, XenError):
            raise outcome
        return transport_over(self.mode, outcome.link)

    async def connect_lane(self, timeout: float | None) -> None:
        raise AssertionError("a watcher reads nothing")

    async def pause(self, seconds: float) -> None:
        self.paused.append(seconds)


@asynccontextmanager
async def watching(
    mode: str, *more: Wire | XenError, queue: int = 100
) -> AsyncIterator[tuple[Watcher, Wire, Connections]]:
    """A watcher of /a (request 1) whose first connection is a wire."""
    with Wire() as wire:
        connections = Connections(mode, wire, *more)
        watcher = await Watcher.open(connections, queue=queue, timeout=LONG)
        wire.send((Op.WATCH, 1, OK))
        await watcher.add("/a")
        yield watcher, wire, connections
        await watcher.close()


def event(path: bytes, token: bytes = b"w") -> tuple[int, int, bytes]:
    return Op.WATCH_EVENT, 0, path + b"\0" + token + b"\0"


@both
def test_notices_come_in_order_and_none_is_none(mode: str) -> None:
    async def scenario() -> None:
        async with watching(mode) as (watcher, wire, _):
            assert wire.received() == [(Op.WATCH, 1, 0, b"/a\0w\0")]
            wire.send(event(b"/a"), event(b"/a/b"))
            assert await watcher.next(LONG) == Event("/a", "w")
            assert await watcher.next() == Event("/a/b", "w")
            assert await watcher.next(SOON) is None
            assert await watcher.next(0) is None
            assert await watcher.drain() == []
            wire.send(event(b"/a/c"), event(b"@releaseDomain", b"other"))
            assert await watcher.drain() == [Event("/a/c", "w"), Event("@releaseDomain", "other")]

    play(mode, scenario())


@both
def test_watches_are_added_and_removed_many_at_once(mode: str) -> None:
    async def scenario() -> None:
        async with watching(mode) as (watcher, wire, _):
            wire.received()
            wire.send((Op.WATCH, 2, OK), event(b"/b"), (Op.WATCH, 3, OK))
            await watcher.add_many(["/b", "/c"], "t")
            wire.send((Op.UNWATCH, 4, OK), (Op.UNWATCH, 5, OK))
            await watcher.remove_many(["/b", "/c"], "t")
            wire.send((Op.UNWATCH, 6, OK))
            await watcher.remove("/a")
            await watcher.add_many([])
            assert wire.received() == [
                (Op.WATCH, 2, 0, b"/b\0t\0"),
                (Op.WATCH, 3, 0, b"/c\0t\0"),
                (Op.UNWATCH, 4, 0, b"/b\0t\0"),
                (Op.UNWATCH, 5, 0, b"/c\0t\0"),
                (Op.UNWATCH, 6, 0, b"/a\0w\0"),
            ]
            assert await watcher.drain() == [Event("/b", "w")]

    play(mode, scenario())


@both
def test_refusals_name_the_path(mode: str) -> None:
    async def scenario() -> None:
        async with watching(mode) as (watcher, wire, _):
            wire.send((Op.ERROR, 2, b"EEXIST\0"))
            with pytest.raises(NodeExists) as caught:
                await watcher.add("/a")
            assert (caught.value.operation, caught.value.path) == ("watch", "/a")
            wire.send((Op.ERROR, 3, b"ENOENT\0"))
            with pytest.raises(NoSuchNode):
                await watcher.remove(b"/b")
            wire.send((Op.ERROR, 4, b"EINVAL\0"))
            with pytest.raises(Unsupported, match=r"with a depth \(it came with Xen 4\.22\)"):
                await watcher.add("@releaseDomain", depth=1)
            with pytest.raises(LocalProtocolError):
                await watcher.add("/a b")
            wire.send((Op.WATCH, 5, OK), (Op.ERROR, 6, b"EACCES\0"))
            with pytest.raises(Denied):
                await watcher.add_many(["/c", "/d"])

    play(mode, scenario())


@both
def test_a_queue_that_overflows_says_how_much_is_lost(mode: str) -> None:
    async def scenario() -> None:
        async with watching(mode, queue=3) as (watcher, wire, _):
            wire.send(*(event(b"/a/%d" % number) for number in range(3)))
            assert len(await watcher.drain()) == 3
            wire.send(*(event(b"/a/%d" % number) for number in range(5)))
            assert await watcher.drain() == [Lost(4), Event("/a/4", "w")]
            wire.send(*(event(b"/a/%d" % number) for number in range(7)))
            assert await watcher.next(LONG) == Lost(7)

    play(mode, scenario())


@both
def test_a_lost_connection_is_made_again_with_its_watches(mode: str) -> None:
    async def scenario() -> None:
        with Wire() as second:
            second.send((Op.WATCH, 1, OK), event(b"/a"), (Op.WATCH, 2, OK))
            trouble = ConnectError("not yet")
            async with watching(mode, trouble, trouble, second) as (watcher, wire, connections):
                wire.send((Op.WATCH, 2, OK), event(b"/a/before"))
                await watcher.add("/b", "t")
                wire.server.close()
                assert await watcher.next(LONG) == Event("/a/before", "w")
                again = await watcher.next(LONG)
                assert isinstance(again, Reconnected)
                assert "lost" in again.reason
                assert await watcher.next(LONG) == Event("/a", "w")
                assert second.received() == [(Op.WATCH, 1, 0, b"/a\0w\0"), (Op.WATCH, 2, 0, b"/b\0t\0")]
                assert len(connections.paused) == 2
                second.send(event(b"/b/c", b"t"))
                assert await watcher.next(LONG) == Event("/b/c", "t")

    play(mode, scenario())


@both
def test_draining_makes_one_attempt_to_connect_again(mode: str) -> None:
    async def scenario() -> None:
        with Wire() as second:
            second.send((Op.WATCH, 1, OK), event(b"/a"))
            async with watching(mode, ConnectError("not yet"), second) as (watcher, wire, connections):
                wire.server.close()
                with pytest.raises(ConnectError, match="not yet"):
                    await watcher.drain()
                notices = await watcher.drain()
                assert isinstance(notices[0], Reconnected)
                assert notices[1:] == [Event("/a", "w")]
                assert connections.paused == []
                assert await watcher.drain() == []

    play(mode, scenario())


@both
def test_adding_connects_again_first(mode: str) -> None:
    async def scenario() -> None:
        with Wire() as second:
            second.send((Op.WATCH, 1, OK))
            async with watching(mode, second) as (watcher, wire, _):
                wire.server.close()
                with pytest.raises(Closed):
                    await watcher.add("/b")  # this is how it learns that the connection is lost
                with pytest.raises(Timeout):
                    await watcher.add("/b", timeout=SOON)
                assert isinstance(await watcher.next(LONG), Reconnected)
                assert second.received() == [(Op.WATCH, 1, 0, b"/a\0w\0"), (Op.WATCH, 2, 0, b"/b\0w\0")]

    play(mode, scenario())


@both
def test_a_connection_that_stays_away_is_told_and_sought_again_by_the_next_call(mode: str) -> None:
    async def scenario() -> None:
        with Wire() as wire, Wire() as second:
            connections = Connections(mode, wire)
            watcher = await Watcher.open(connections, reconnect=0)
            wire.server.close()
            for _ in range(2):
                with pytest.raises(ConnectError, match="no more"):
                    await watcher.next()
            connections.outcomes.append(second)
            assert isinstance(await watcher.next(), Reconnected)
            await watcher.close()

    play(mode, scenario())


@both
def test_the_callers_own_deadline_is_none_and_no_error(mode: str) -> None:
    async def scenario() -> None:
        async with watching(mode) as (watcher, wire, _):
            wire.server.close()
            assert await watcher.next(SOON) is None

    play(mode, scenario())


@both
def test_a_daemon_that_refuses_an_old_watch_is_told(mode: str) -> None:
    async def scenario() -> None:
        with Wire() as second, Wire() as third:
            second.send((Op.ERROR, 1, b"EACCES\0"))
            third.send((Op.WATCH, 1, OK))
            async with watching(mode, second, third) as (watcher, wire, _):
                wire.server.close()
                with pytest.raises(Denied, match="/a"):
                    await watcher.next(LONG)
                assert isinstance(await watcher.next(LONG), Reconnected)

    play(mode, scenario())


@both
def test_a_daemon_that_hangs_up_at_once_is_a_daemon_that_cannot_be_reached(mode: str) -> None:
    async def scenario() -> None:
        with Wire() as second:
            second.server.shutdown(socket.SHUT_WR)
            async with watching(mode, second) as (watcher, wire, _):
                wire.server.close()
                with pytest.raises(ConnectError):
                    await watcher.drain()

    play(mode, scenario())


@both
def test_an_event_that_is_none_breaks_the_connection(mode: str) -> None:
    async def scenario() -> None:
        with Wire() as second:
            second.send((Op.WATCH, 1, OK))
            async with watching(mode, second) as (watcher, wire, _):
                wire.send((Op.WATCH_EVENT, 0, b"/a"))
                with pytest.raises((RemoteProtocolError, Closed)):
                    await watcher.add("/b")
                assert isinstance(await watcher.next(LONG), Reconnected)

    play(mode, scenario())


@both
def test_after_close_there_is_nothing(mode: str) -> None:
    async def scenario() -> None:
        async with watching(mode) as (watcher, _, _):
            await watcher.close()
            assert watcher.closed
            for call in (watcher.next(LONG), watcher.drain(), watcher.add("/b"), watcher.remove("/a")):
                with pytest.raises(Closed, match="are closed"):
                    await call

    play(mode, scenario())


def test_closing_wakes_the_task_that_waits() -> None:
    async def scenario() -> None:
        async with watching("aio") as (watcher, _, _):
            task = asyncio.create_task(watcher.next())
            await asyncio.sleep(0)
            await watcher.close()
            with pytest.raises(Closed):
                await task

    asyncio.run(scenario())


class ClosedMeanwhile(Connections):
    """A connector during whose second attempt somebody closes the watcher."""

    watcher: Watcher | None = None

    async def connect(self, timeout: float | None) -> BlockingTransport | AsyncioTransport:
        if self.watcher is not None:
            await self.watcher.close()
        return await super().connect(timeout)


@both
def test_closing_while_a_connection_is_sought_is_no_failed_connection(mode: str) -> None:
    async def scenario() -> None:
        with Wire() as wire:
            connections = ClosedMeanwhile(mode, wire)
            connections.watcher = watcher = await Watcher.open(connections, timeout=LONG)
            wire.server.close()
            with pytest.raises(Closed, match="are closed"):
                await watcher.next(LONG)
            assert connections.paused == []

    play(mode, scenario())


def test_closing_wakes_the_thread_that_waits() -> None:
    with Wire() as wire:
        watcher = run_blocking(Watcher.open(Connections("blocking", wire)))
        outcome: list[object] = []

        def wait() -> None:
            try:
                outcome.append(run_blocking(watcher.next()))
                outcome.append(run_blocking(watcher.next()))
            except Closed as error:
                outcome.append(type(error))

        thread = threading.Thread(target=wait)
        thread.start()
        wire.send(event(b"/a"))
        run_blocking(watcher.close())
        thread.join()
        assert outcome[-1] is Closed


def test_a_child_process_gets_no_connection_of_its_own() -> None:
    with Wire() as wire, Wire() as second:
        watcher = run_blocking(Watcher.open(Connections("blocking", wire, second)))
        child = os.fork()
        if child == 0:  # pragma: no cover - another process
            status = 1
            try:
                run_blocking(watcher.next(LONG))
            except Closed as error:
                status = 0 if "before a fork" in str(error) else 2
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        wire.send(event(b"/a"))
        assert run_blocking(watcher.next(LONG)) == Event("/a", "w")
        run_blocking(watcher.close())
