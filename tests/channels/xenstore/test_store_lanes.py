"""Lanes: a large batch of reads over several connections. What the real daemons make of it is `test_store_daemons`."""

from __future__ import annotations

import asyncio
import itertools
import select
import socket
import threading
from collections.abc import Sequence
from contextlib import ExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purevirt import errors
from purevirt._run import run_blocking
from purevirt.channels.xenstore.aio_lane import AsyncioLane
from purevirt.channels.xenstore.blocking_lane import BlockingLane
from purevirt.channels.xenstore.client import MANY, StoreClient
from purevirt.channels.xenstore.lanes import LANES, Lane
from purevirt.channels.xenstore.links import SocketLink
from purevirt.channels.xenstore.transport import Transport
from purevirt.wire.xenstore import HEADER, Decoder, Op, encode
from tests.channels.xenstore.daemons import Daemon
from tests.channels.xenstore.fakes import Echo, both, half, play, transport_over

PATHS = [f"/lanes/{number}" for number in range(4 * MANY)]
THIRD = 2 * -(-len(PATHS) // LANES) + 1  # the first request on the third lane


class Wires:
    """A connector whose connections end in threads that answer each request with what it asked for.

    `limit`: how many connections can be had. `odd`: the one of them that the test plays itself.
    """

    def __init__(self, mode: str, stack: ExitStack, limit: int = LANES + 1, odd: int | None = None) -> None:
        self._mode, self._stack, self._limit, self._odd = mode, stack, limit, odd
        self.made: list[socket.socket] = []

    def _wire(self) -> socket.socket:
        if len(self.made) == self._limit:
            raise errors.ConnectError("no more", channel="store")
        ours, theirs = socket.socketpair()
        self._stack.callback(theirs.close)
        if len(self.made) != self._odd:
            self._stack.enter_context(Echo(theirs))
        self.made.append(theirs)
        return ours

    async def connect(self, timeout: float | None) -> Transport:
        return transport_over(self._mode, SocketLink(self._wire()))

    async def connect_lane(self, timeout: float | None) -> Lane:
        return BlockingLane(self._wire()) if self._mode == "blocking" else AsyncioLane(self._wire())

    async def pause(self, seconds: float) -> None:
        raise AssertionError("nothing to wait for")


def ended(wire: socket.socket) -> bool:
    """Whether our side has closed it: waits for that, and takes nothing away from the thread that answers."""
    poller = select.poll()
    poller.register(wire, select.POLLRDHUP)
    return bool(poller.poll(30_000))


@both
def test_replies_come_in_the_order_of_the_requests(mode: str, daemon: Daemon) -> None:
    async def scenario() -> None:
        async with await StoreClient.open(half(mode).Connector(daemon.path), timeout=30) as store:
            for count in (MANY - 1, MANY, 3 * MANY + 1, 600):
                paths = [f"/lanes/{number}" for number in range(count)]
                await store.write_many([(path, path) for path in paths])
                assert await store.read_many([*paths, "/lanes/none"]) == [
                    *(path.encode() for path in paths),
                    None,
                ]
            listed = await store.directory_many(["/lanes"] * MANY)
            assert all(names is not None and len(names) == 600 for names in listed)
            assert len(await store.tree("/lanes")) == 601
            store.narrow()
            assert await store.read("/lanes/7") == b"/lanes/7"
            await store.rm("/lanes")

    play(mode, scenario())


@both
def test_only_a_large_batch_opens_lanes_and_narrow_closes_them(mode: str) -> None:
    async def scenario() -> None:
        with ExitStack() as stack:
            wires = Wires(mode, stack)
            store = await StoreClient.open(wires, timeout=30)
            await store.read_many(PATHS[: MANY - 1])
            assert len(wires.made) == 1
            await store.widen()
            assert len(wires.made) == 1 + LANES
            assert await store.read_many(PATHS) == [path.encode() for path in PATHS]
            assert len(wires.made) == 1 + LANES
            store.narrow()
            assert all(ended(wire) for wire in wires.made[1:])
            assert await store.read(PATHS[0]) == PATHS[0].encode()
            await store.close()

    play(mode, scenario())


@both
def test_a_transaction_stays_on_its_connection(mode: str) -> None:
    async def scenario() -> None:
        with ExitStack() as stack:
            wires = Wires(mode, stack, odd=0)
            store = await StoreClient.open(wires, timeout=30)
            wires.made[0].sendall(encode(Op.TRANSACTION_START, 1, 0, b"7\0"))
            view = await store.begin()
            wires.made[0].sendall(
                b"".join(encode(Op.READ, 2 + number, 0, b"v") for number in range(len(PATHS)))
            )
            assert await view.read_many(PATHS) == [b"v"] * len(PATHS)
            assert len(wires.made) == 1
            await store.close()

    play(mode, scenario())


@both
@pytest.mark.parametrize("limit", [1, 3])
def test_where_lanes_cannot_be_opened_those_there_are_serve(mode: str, limit: int) -> None:
    async def scenario() -> None:
        with ExitStack() as stack:
            wires = Wires(mode, stack, limit)
            store = await StoreClient.open(wires, timeout=30)
            await store.widen()
            assert await store.read_many(PATHS) == [path.encode() for path in PATHS]
            await store.close()

    play(mode, scenario())


@both
def test_a_silent_lane_is_a_time_out_and_late_replies_are_dropped(mode: str) -> None:
    async def scenario() -> None:
        with ExitStack() as stack:
            wires = Wires(mode, stack, odd=3)
            store = await StoreClient.open(wires, timeout=30)
            await store.widen()
            with pytest.raises(errors.Timeout, match="did not answer a batch of reads"):
                await store.read_many(PATHS, timeout=0.05)
            assert await store.read(PATHS[0]) == PATHS[0].encode()
            await store.close()

    play(mode, scenario())


@both
@pytest.mark.parametrize(
    "answer",
    [
        b"\xff" * 64,
        encode(Op.READ, 1, 0, b"of another lane"),
        encode(Op.READ, 4097, 0, b"never asked"),
        encode(Op.WRITE, THIRD, 0, b"OK\0"),
        encode(Op.READ, THIRD, 0, b"once") + encode(Op.READ, THIRD, 0, b"twice"),
        encode(Op.WATCH_EVENT, 0, 0, b"/a\0t\0"),
        HEADER.pack(Op.READ, THIRD, 0, 4097),
    ],
    ids=["garbage", "another's", "unasked", "type", "twice", "event", "long"],
)
def test_a_lane_that_breaks_the_protocol_is_an_error(mode: str, answer: bytes) -> None:
    async def scenario() -> None:
        with ExitStack() as stack:
            wires = Wires(mode, stack, odd=3)
            store = await StoreClient.open(wires, timeout=30)
            await store.widen()
            wires.made[3].sendall(answer)
            with pytest.raises(errors.RemoteProtocolError):
                await store.read_many(PATHS)
            assert all(ended(wire) for wire in wires.made[1:] if wire is not wires.made[3])
            assert await store.read(PATHS[0]) == PATHS[0].encode()
            await store.close()

    play(mode, scenario())


class Slices:
    """A lane that answers as `Echo` does, in pieces of these sizes, over and over."""

    def __init__(self, sizes: Sequence[int]) -> None:
        self._sizes = itertools.cycle(sizes)
        self._answers = bytearray()

    async def send(self, data: bytes, timeout: float | None) -> None:
        for op, req_id, tx_id, payload in Decoder().feed(data):
            self._answers += encode(op, req_id, tx_id, payload[:-1])

    async def receive(self, timeout: float | None, early: bool) -> bytes:
        size = next(self._sizes)
        piece = bytes(self._answers[:size])
        del self._answers[:size]
        return piece

    def shutdown(self) -> None: ...

    def close(self) -> None: ...


class SliceConnector(Wires):
    """Makes such lanes."""

    def __init__(self, stack: ExitStack, sizes: Sequence[int]) -> None:
        super().__init__("blocking", stack)
        self._sizes = sizes

    async def connect_lane(self, timeout: float | None) -> Lane:
        return Slices(self._sizes)


@given(st.lists(st.integers(1, 100), min_size=1, max_size=8), st.integers(MANY, 4 * MANY))
def test_replies_may_be_split_anywhere(sizes: list[int], count: int) -> None:
    with ExitStack() as stack:
        store = run_blocking(StoreClient.open(SliceConnector(stack, sizes), timeout=30))
        found = run_blocking(store.read_many(PATHS[:count]))
        run_blocking(store.close())
    assert found == [path.encode() for path in PATHS[:count]]


@both
def test_closing_the_client_closes_its_lanes(mode: str) -> None:
    async def scenario() -> None:
        with ExitStack() as stack:
            wires = Wires(mode, stack)
            store = await StoreClient.open(wires, timeout=30)
            await store.widen()
            await store.close()
            assert all(ended(wire) for wire in wires.made)
            with pytest.raises(errors.Closed):
                await store.read_many(PATHS)

    play(mode, scenario())


def test_threads_share_a_client_whose_lanes_one_of_them_uses(daemon: Daemon) -> None:
    store = run_blocking(StoreClient.open(half("blocking").Connector(daemon.path), timeout=30))
    run_blocking(store.write_many([(path, path) for path in PATHS]))
    wanted = [path.encode() for path in PATHS]
    wrong: list[object] = []

    def work() -> None:
        try:
            for _ in range(20):
                found = run_blocking(store.read_many(PATHS))
                if found != wanted:
                    wrong.append(found)
                store.narrow()
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    run_blocking(store.rm("/lanes"))
    run_blocking(store.close())
    assert wrong == []


def test_a_cancelled_task_leaves_the_client_usable(daemon: Daemon) -> None:
    async def scenario() -> None:
        async with await StoreClient.open(half("aio").Connector(daemon.path), timeout=30) as store:
            await store.write_many([(path, path) for path in PATHS])
            await store.widen()
            for turns in range(6):
                task = asyncio.create_task(store.read_many(PATHS))
                for _ in range(turns):
                    await asyncio.sleep(0)
                task.cancel()
                await asyncio.wait([task])
                assert task.cancelled() or task.result() == [path.encode() for path in PATHS]
                assert await store.read_many(PATHS) == [path.encode() for path in PATHS]
            await store.rm("/lanes")

    asyncio.run(scenario())
