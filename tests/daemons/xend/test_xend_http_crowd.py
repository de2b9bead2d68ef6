"""The daemon's HTTP server with many clients at once: who is served, and who gives way."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from pathlib import Path

from purevirt.daemons.xend.http import DEFAULTS, Request, Response
from purevirt.model.access import Caller, Role
from tests.daemons.xend.double import ADMIN
from tests.daemons.xend.line import GET, Line, answer, echo, emptied, run, until


def test_500_idle_connections_keep_nobody_waiting(tmp_path: Path) -> None:
    async def test() -> None:
        async with Line(tmp_path / "s", echo) as line:
            idle = [await line.open() for _ in range(500)]
            for _, writer in idle[::2]:
                writer.write(b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nabc")
            for _ in range(20):
                async with asyncio.timeout(2):
                    assert (await line.talk(GET)).startswith(b"HTTP/1.1 200")
            assert line.server.connections >= 500
            for _, writer in idle:
                writer.close()
            await emptied(line)

    run(test)


def test_too_many_connections_give_way_the_oldest_first(tmp_path: Path) -> None:
    async def test() -> None:
        async with Line(tmp_path / "s", echo, limits=DEFAULTS._replace(connections=5)) as line:
            idle = [await line.open() for _ in range(5)]
            await until(lambda: line.server.connections == 5)
            assert (await line.talk(GET)).startswith(b"HTTP/1.1 200")
            assert await idle[0][0].read() == b""  # the one that has been silent for longest was closed
            idle[4][1].write(GET)
            assert (await answer(idle[4][0]))[0].startswith(b"HTTP/1.1 200")
            for _, writer in idle:
                writer.close()

    run(test)


def test_a_user_who_opens_many_connections_takes_none_of_another(tmp_path: Path) -> None:
    uids = iter([0, *[1000] * 20])

    def identify(sock: socket.socket) -> Caller:
        return ADMIN._replace(uid=next(uids))

    async def test() -> None:
        limits = DEFAULTS._replace(connections=5)
        async with Line(tmp_path / "s", echo, limits=limits, identify=identify) as line:
            root, *others = [await line.open() for _ in range(15)]
            for reader, _ in others[:10]:
                assert await reader.read() == b""
            root[1].write(GET)
            assert (await answer(root[0]))[0].startswith(b"HTTP/1.1 200")
            for _, writer in (root, *others):
                writer.close()

    run(test)


def test_no_user_but_an_admin_has_more_than_half_whatever_is_waited_for(tmp_path: Path) -> None:
    uids = iter([*[1000] * 8, 0, 0, 0, 1001])
    asked = 0
    go_on = asyncio.Event()

    def identify(sock: socket.socket) -> Caller:
        uid = next(uids)
        return ADMIN._replace(uid=uid, role=Role.READER if uid else Role.ADMIN)

    async def handler(request: Request) -> Response:
        nonlocal asked
        asked += 1
        await go_on.wait()
        return Response(200, "OK", ())

    async def test() -> None:
        limits = DEFAULTS._replace(connections=8)
        async with Line(tmp_path / "s", handler, limits=limits, identify=identify) as line:
            lines = []
            for _ in range(8):
                lines.append(await line.open())
                with suppress(OSError):
                    lines[-1][1].write(GET)
                await asyncio.sleep(0)
            await until(lambda: asked == 4)
            for reader, _ in lines[
                4:
            ]:  # there is no room for these, and nothing of theirs that could give way
                with suppress(ConnectionError):
                    assert await reader.read() == b""
            others = [await line.open() for _ in range(4)]
            for _, writer in others:
                writer.write(GET)
            await until(lambda: asked == 8)
            go_on.set()
            for reader, writer in (*lines[:4], *others):
                assert (await answer(reader))[0].startswith(b"HTTP/1.1 200")
                writer.close()

    run(test)


def test_whether_a_client_has_hung_up_is_known(tmp_path: Path) -> None:
    requests: list[Request] = []
    go_on = asyncio.Event()

    async def handler(request: Request) -> Response:
        requests.append(request)
        await go_on.wait()
        return Response(200, "OK", ())

    async def test() -> None:
        async with Line(tmp_path / "s", handler) as line:
            _, writer = await line.open()
            writer.write(GET)
            await until(lambda: bool(requests))
            assert not requests[0].hung_up()
            writer.write_eof()  # it sends no more, and waits
            await asyncio.sleep(0)
            assert not requests[0].hung_up()
            writer.close()
            await writer.wait_closed()
            assert requests[0].hung_up()
            go_on.set()
            await emptied(line)

    run(test)


def test_more_connections_than_allowed_are_served_when_all_are_busy(tmp_path: Path) -> None:
    go_on = asyncio.Event()
    waiting = 0

    async def handler(request: Request) -> Response:
        nonlocal waiting
        if request.target == "/wait":
            waiting += 1
            await go_on.wait()
        return Response(200, "OK", ())

    async def test() -> None:
        async with Line(tmp_path / "s", handler, limits=DEFAULTS._replace(connections=2)) as line:
            busy = [await line.open() for _ in range(2)]
            for _, writer in busy:
                writer.write(GET.replace(b"/xend", b"/wait"))
            await until(lambda: waiting == 2)
            assert (await line.talk(GET)).startswith(b"HTTP/1.1 200")
            go_on.set()
            for reader, writer in busy:
                assert (await answer(reader))[0].startswith(b"HTTP/1.1 200")
                writer.close()

    run(test)
