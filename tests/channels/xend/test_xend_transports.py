"""Connections to the daemon: kept, replaced, bounded in time; and what a peer that misbehaves does to a call."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from purevirt._run import run_blocking
from purevirt.channels.xend import dial, http, transport
from purevirt.channels.xend.aio import AsyncioTransport
from purevirt.channels.xend.blocking import BlockingTransport
from purevirt.channels.xend.client import XendClient
from purevirt.channels.xend.transport import Request
from purevirt.errors import Closed, ConnectError, LocalProtocolError, RemoteProtocolError, Timeout
from tests.support.http_peer import Answer, HttpPeer, Received, ScriptedPeer, answer

Play = Callable[[Callable[[XendClient], Coroutine[Any, Any, None]], "str | tuple[str, int]"], None]

GOOD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 13\r\n\r\n" + b'{"result": 1}'
CALL = {"operation": "count_domains"}
ONE = {"result": 1}


def one(_: Received) -> Answer:
    return answer(b'{"result": 1}')


def test_a_connection_is_kept_for_the_next_call(play: Play, path: str) -> None:
    with HttpPeer(path, one) as peer:

        async def scenario(client: XendClient) -> None:
            for _ in range(3):
                assert await client.call(CALL, 5.0) == ONE

        play(scenario, path)
        assert (peer.connections, len(peer.received)) == (1, 3)
        method, target, headers, body = peer.received[0]
        assert (method, target, body) == ("POST", "/purevirt/v1/call", b'{"operation": "count_domains"}')
        assert headers["content-type"] == "application/json"
        assert headers["host"] == "localhost"


def test_a_daemon_that_asks_for_it_gets_a_new_connection_each_time(play: Play, path: str) -> None:
    def closing(_: Received) -> Answer:
        status, reason, headers, body = answer(b'{"result": 1}')
        return status, reason, [*headers, ("Connection", "close")], body

    with HttpPeer(path, closing) as peer:

        async def scenario(client: XendClient) -> None:
            for _ in range(3):
                assert await client.call(CALL, 5.0) == ONE

        play(scenario, path)
        assert peer.connections == 3


def test_a_connection_that_was_closed_while_idle_is_replaced_before_anything_is_sent(
    play: Play, path: str
) -> None:
    with ScriptedPeer(path, [GOOD], [GOOD]) as peer:

        async def scenario(client: XendClient) -> None:
            assert await client.call(CALL, 5.0) == ONE
            assert peer.ended.wait(10)
            assert await client.call(CALL, 5.0) == ONE

        play(scenario, path)
        assert peer.connections == 2


@pytest.mark.parametrize(
    ("script", "kind", "told"),
    [
        ([b"\x00\xff\x00\xff\r\n\r\n"], RemoteProtocolError, "does not speak HTTP"),
        ([b"SSH-2.0-OpenSSH\r\n\r\n"], RemoteProtocolError, "does not speak HTTP"),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n"], RemoteProtocolError, "does not speak HTTP"),
        ([b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000], RemoteProtocolError, "does not speak HTTP"),
        ([], Closed, "lost before the answer came"),
        ([b"HTTP/1.1 200"], Closed, "lost before the answer came"),
        ([GOOD[:-1]], Closed, "lost before the answer came"),
        ([GOOD.replace(b"13", b"14")], Closed, "whether the call took effect is unknown"),
        ([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"], Closed, "lost before"),
    ],
)
def test_a_broken_answer_is_an_error_and_the_next_call_connects_anew(
    play: Play, path: str, script: list[bytes | None], kind: type[Exception], told: str
) -> None:
    with ScriptedPeer(path, script, [GOOD]) as peer:

        async def scenario(client: XendClient) -> None:
            with pytest.raises(kind) as caught:
                await client.call(CALL, 5.0)
            assert told in str(caught.value)
            assert getattr(caught.value, "channel", None) == "daemon"
            assert await client.call(CALL, 5.0) == ONE

        play(scenario, path)
        assert peer.connections == 2


def test_bytes_after_the_answer_are_no_answer_to_the_next_call(play: Play, path: str) -> None:
    with ScriptedPeer(path, [GOOD + GOOD.replace(b"1}", b"2}"), None], [GOOD]) as peer:

        async def scenario(client: XendClient) -> None:
            assert await client.call(CALL, 5.0) == ONE
            assert await client.call(CALL, 5.0) == ONE

        play(scenario, path)
        assert peer.connections == 2


def test_an_answer_a_byte_at_a_time_is_the_same_answer(play: Play, path: str) -> None:
    pieces = [bytes([byte]) for byte in GOOD]
    with ScriptedPeer(path, pieces):

        async def scenario(client: XendClient) -> None:
            assert await client.call(CALL, 5.0) == ONE

        play(scenario, path)


@pytest.mark.parametrize("script", [[None], [b"HTTP/1.1 200 OK\r\n", None], [GOOD[:-3], None]])
def test_an_answer_that_does_not_come_in_time_ends_its_connection_only(
    play: Play, path: str, script: list[bytes | None]
) -> None:
    with ScriptedPeer(path, script, [GOOD]) as peer:

        async def scenario(client: XendClient) -> None:
            with pytest.raises(Timeout) as caught:
                await client._transport.exchange(Request("GET", "/"), 0.05)
            assert "did not answer within 0.05 s; whether the call took effect" in str(caught.value)
            assert await client.call(CALL, 5.0) == ONE

        play(scenario, path)
        assert peer.connections == 2


def test_nobody_there_is_said_before_anything_is_sent(play: Play, path: str) -> None:
    async def scenario(client: XendClient) -> None:
        with pytest.raises(ConnectError) as caught:
            await client.call(CALL, 5.0)
        assert str(caught.value) == f"cannot reach the Xen daemon at {path}: there is no such file"

    play(scenario, path)


def test_a_daemon_that_comes_back_is_called_again(play: Play, path: str) -> None:
    async def scenario(client: XendClient) -> None:
        with HttpPeer(path, one):
            assert await client.call(CALL, 5.0) == ONE
        with pytest.raises(ConnectError):
            await client.call(CALL, 5.0)
        os.unlink(path)
        with HttpPeer(path, one):
            assert await client.call(CALL, 5.0) == ONE

    play(scenario, path)


def test_a_path_of_any_length_is_reached(play: Play, tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 120) / ("e" * 120)
    deep.mkdir(parents=True)
    with HttpPeer(str(deep / "xend.sock"), one):

        async def scenario(client: XendClient) -> None:
            assert await client.call(CALL, 5.0) == ONE

        play(scenario, str(deep / "xend.sock"))


def test_tcp_does_as_well(play: Play) -> None:
    with HttpPeer(("127.0.0.1", 0), one) as peer:

        async def scenario(client: XendClient) -> None:
            assert await client.call(CALL, 5.0) == ONE

        play(scenario, peer.address)
        gone = peer.address

    async def refused(client: XendClient) -> None:
        with pytest.raises(ConnectError) as caught:
            await client.call(CALL, 5.0)
        assert "refused" in str(caught.value)

    play(refused, gone)


def test_a_large_call_and_a_large_answer_pass(play: Play, path: str) -> None:
    def echo(received: Received) -> Answer:
        return answer(b'{"result": %s}' % received[3])

    with HttpPeer(path, echo):
        large = {"text": "x" * 3_000_000}

        async def scenario(client: XendClient) -> None:
            assert await client.call(large, 20.0) == {"result": large}

        play(scenario, path)


def test_an_answer_larger_than_any_is_refused(play: Play, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MAX_BODY", 12)
    with HttpPeer(path, one):

        async def scenario(client: XendClient) -> None:
            with pytest.raises(RemoteProtocolError, match="answers more than 12 bytes"):
                await client.call(CALL, 5.0)

        play(scenario, path)


def test_what_http_cannot_carry_is_not_sent(play: Play, path: str) -> None:
    with HttpPeer(path, one):

        async def scenario(client: XendClient) -> None:
            with pytest.raises(LocalProtocolError):
                await client._transport.exchange(Request("GET", "/a b"), 5.0)
            assert await client.call(CALL, 5.0) == ONE

        play(scenario, path)


def test_a_closed_client_says_so(play: Play, path: str) -> None:
    async def scenario(client: XendClient) -> None:
        await client.close()
        await client.close()
        with pytest.raises(Closed, match="is closed"):
            await client.call(CALL, 5.0)

    play(scenario, path)


# --- many calls at once: threads


class Gate:
    """A handler that holds the first call until it is told, and answers others at once."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.opened = threading.Event()

    def __call__(self, received: Received) -> Answer:
        if b"slow" in received[3]:
            self.entered.set()
            assert self.opened.wait(10)
        return one(received)


def test_a_slow_call_of_one_thread_holds_up_no_other(path: str) -> None:
    gate = Gate()
    with HttpPeer(path, gate) as peer:
        client = dial.client(path, "blocking")
        slow: list[object] = []
        thread = threading.Thread(
            target=lambda: slow.append(run_blocking(client.call({"operation": "slow"}, 10.0)))
        )
        thread.start()
        assert gate.entered.wait(10)
        assert run_blocking(client.call(CALL, 5.0)) == ONE
        assert run_blocking(client.call(CALL, 5.0)) == ONE
        gate.opened.set()
        thread.join(10)
        assert slow == [ONE]
        assert peer.connections == 2
        run_blocking(client.close())


def test_closing_wakes_a_thread_that_waits(path: str) -> None:
    with ScriptedPeer(path, [None]) as peer:
        client = BlockingTransport(path)
        caught: list[BaseException] = []

        def wait() -> None:
            try:
                run_blocking(client.exchange(Request("GET", "/"), None))
            except BaseException as error:
                caught.append(error)

        thread = threading.Thread(target=wait)
        thread.start()
        assert peer.asked.wait(10)
        run_blocking(client.close())
        thread.join(10)
        assert isinstance(caught[0], Closed)
        assert "closed meanwhile" in str(caught[0]) or "is closed" in str(caught[0])


def test_calls_beyond_the_limit_wait_no_longer_than_their_deadline(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("purevirt.channels.xend.blocking.CONNECTIONS", 1)
    gate = Gate()
    with HttpPeer(path, gate):
        client = BlockingTransport(path)
        body = Request("POST", "/", (), b"slow")
        thread = threading.Thread(target=lambda: run_blocking(client.exchange(body, 10.0)))
        thread.start()
        assert gate.entered.wait(10)
        with pytest.raises(Timeout, match="nothing was sent"):
            run_blocking(client.exchange(Request("GET", "/"), 0.05))
        gate.opened.set()
        thread.join(10)
        run_blocking(client.exchange(Request("GET", "/"), 5.0))
        run_blocking(client.close())


def test_a_child_of_a_fork_is_refused_and_leaves_the_parents_connection_alone(path: str) -> None:
    with HttpPeer(path, one) as peer:
        client = dial.client(path, "blocking")
        assert run_blocking(client.call(CALL, 5.0)) == ONE
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                run_blocking(client.call(CALL, 5.0))
                os.write(write, b"it was not refused")
            except Closed as error:
                run_blocking(client.close())
                os.write(write, str(error).encode())
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
        assert os.read(read, 200).decode().endswith("before a fork: open another one in the child")
        os.close(read)
        os.close(write)
        assert run_blocking(client.call(CALL, 5.0)) == ONE
        assert peer.connections == 1
        run_blocking(client.close())


# --- many calls at once: tasks


def test_tasks_share_a_transport_and_a_cancelled_one_costs_only_its_connection(path: str) -> None:
    gate = Gate()

    async def scenario() -> None:
        client = dial.client(path, "aio")
        slow = asyncio.create_task(client.call({"operation": "slow"}, 10.0))
        await asyncio.to_thread(gate.entered.wait, 10)
        assert await asyncio.gather(*(client.call(CALL, 5.0) for _ in range(10))) == [ONE] * 10
        slow.cancel()
        with pytest.raises(asyncio.CancelledError):
            await slow
        assert await client.call(CALL, 5.0) == ONE
        gate.opened.set()
        await client.close()

    with HttpPeer(path, gate) as peer:
        asyncio.run(scenario())
        assert peer.connections <= 11


def test_closing_wakes_a_task_that_waits(path: str) -> None:
    async def scenario() -> None:
        client = AsyncioTransport(path)
        waiting = asyncio.create_task(client.exchange(Request("GET", "/"), None))
        await asyncio.to_thread(peer.asked.wait, 10)
        await client.close()
        with pytest.raises(Closed, match="closed meanwhile"):
            await waiting

    with ScriptedPeer(path, [None]) as peer:
        asyncio.run(scenario())


def test_only_a_few_idle_connections_are_kept(path: str) -> None:
    async def scenario() -> None:
        client = AsyncioTransport(path)
        await asyncio.gather(*(client.exchange(Request("GET", "/"), 5.0) for _ in range(20)))
        assert len(client._idle) <= transport.IDLE
        await client.close()
        assert not client._idle

    with HttpPeer(path, one):
        asyncio.run(scenario())
