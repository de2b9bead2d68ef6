"""The daemon's HTTP server: what it promises to clients that behave, and what happens to those that do not."""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from purevirt.daemons.xend.http import DEFAULTS, Limits, Request, Response, serve
from purevirt.model.access import Caller, Role
from tests.daemons.xend.double import ADMIN
from tests.daemons.xend.line import GET, OURS, Line, answer, echo, emptied, run, until


def test_a_connection_ends_after_one_answer(tmp_path: Path) -> None:
    async def test() -> None:
        async with Line(tmp_path / "s", echo) as line:
            got = await line.talk(GET)
            assert got == b"HTTP/1.1 200 OK\r\nX-tEsT: 1\r\nContent-Length: 15\r\n\r\nGET /xend 0 b''"
            # What was sent ahead is not answered, and takes nothing from the answer.
            assert await line.talk(GET + GET * 1000) == got

    run(test)


@pytest.mark.parametrize(
    "head", [GET.replace(b"\r\n\r\n", b"\r\nConnection: Keep-Alive\r\n\r\n"), OURS], ids=["asked for", "ours"]
)
def test_a_connection_is_kept_for_those_who_ask_and_for_our_own(head: bytes, tmp_path: Path) -> None:
    async def test() -> None:
        async with Line(tmp_path / "s", echo) as line:
            reader, writer = await line.open()
            for _ in range(3):
                writer.write(head)
                assert (await answer(reader))[0].startswith(b"HTTP/1.1 200 OK\r\n")
            writer.write(head * 5)  # pipelined
            for _ in range(5):
                assert b" 0 b''" in (await answer(reader))[1]
            writer.write(head[:10])
            writer.write(head[10:].replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            rest = await reader.read()
            assert rest.startswith(b"HTTP/1.1 200 OK\r\n")
            writer.close()

    run(test)


def test_a_client_whose_next_request_is_always_here_lets_others_have_their_turn(tmp_path: Path) -> None:
    async def test() -> None:
        asked: list[str] = []

        async def handler(request: Request) -> Response:
            asked.append(request.target)
            return Response(200, "OK", ())

        async with Line(tmp_path / "s", handler) as line:
            (_, greedy), (reader, modest) = await line.open(), await line.open()
            modest.write(OURS)
            await answer(reader)  # both are being served
            greedy.write(OURS * 500)
            modest.write(OURS.replace(b"purevirt/", b"purevirt/modest"))
            await answer(reader)
            assert len(asked) < 100
            for writer in (greedy, modest):
                writer.close()

    run(test)


def test_an_old_client_of_http_1_0_is_answered(tmp_path: Path) -> None:
    async def test() -> None:
        async with Line(tmp_path / "s", echo) as line:
            got = await line.talk(b"GET /xend HTTP/1.0\r\n\r\n")
            assert got.startswith(b"HTTP/1.1 200 OK\r\n")
            assert got.endswith(b"GET /xend 0 b''")

    run(test)


def test_head_gets_the_head_alone(tmp_path: Path) -> None:
    async def test() -> None:
        async with Line(tmp_path / "s", echo) as line:
            got = await line.talk(GET.replace(b"GET", b"HEAD"))
            assert got == b"HTTP/1.1 200 OK\r\nX-tEsT: 1\r\nContent-Length: 16\r\n\r\n"
            reader, writer = await line.open()
            writer.write(OURS.replace(b"GET", b"HEAD") + OURS)
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
            assert (await answer(reader))[1].startswith(b"GET /purevirt")
            writer.close()

    run(test)


def test_a_status_without_a_body_has_none(tmp_path: Path) -> None:
    async def handler(request: Request) -> Response:
        return Response(204, "No Content", (), b"ignored")

    async def test() -> None:
        async with Line(tmp_path / "s", handler) as line:
            reader, writer = await line.open()
            writer.write(OURS + OURS)
            for _ in range(2):
                assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 204 No Content\r\n")
            writer.close()

    run(test)


def test_bodies_arrive_whole_and_chunked(tmp_path: Path) -> None:
    async def test() -> None:
        async with Line(tmp_path / "s", echo) as line:
            head = b"POST /x HTTP/1.1\r\nHost: h\r\n"
            big = b"x" * (1 << 20)
            got = await line.talk(head + b"Content-Length: %d\r\n\r\n" % len(big) + big)
            assert b"POST /x 1048576 b'xxxx" in got
            got = await line.talk(
                head + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
            )
            assert got.endswith(b"POST /x 5 b'abcde'")

    run(test)


def test_a_client_that_waits_before_its_body_is_told_to_go_on(tmp_path: Path) -> None:
    async def test() -> None:
        async with Line(tmp_path / "s", echo) as line:
            reader, writer = await line.open()
            writer.write(b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            writer.write(b"abc")
            assert (await answer(reader))[1] == b"POST /x 3 b'abc'"
            writer.close()

    run(test)


BAD: list[tuple[bytes, int]] = [
    (b"\r\n", 400),
    (b"rubbish\r\n\r\n", 400),
    (b"GET /xend\r\n\r\n", 400),
    (b"GET /xend HTTP/x\r\n\r\n", 400),
    (b"GET /xend HTTP/1.1\r\n\r\n", 400),  # no Host
    (b"GET /\xff HTTP/1.1\r\nHost: h\r\n\r\n", 400),
    (b"GET /xend HTTP/1.1\r\nHost: h\r\nA B: c\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
    (b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * 20_000, 400),
    (b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\ncut off", 400),
    (b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1048577\r\n\r\n", 413),
    (b"GET / HTTP/1.1\r\nHost: h\r\nA: " + b"a" * 200_000 + b"\r\n\r\n", 431),
    (b"GET /" + b"a" * 200_000, 431),
    (b"CONNECT h:80 HTTP/1.1\r\nHost: h\r\n\r\n", 501),
]


@pytest.mark.parametrize(("data", "status"), BAD, ids=[repr(data[:50]) for data, _ in BAD])
def test_what_cannot_be_understood_gets_the_status_that_says_so(
    data: bytes, status: int, tmp_path: Path
) -> None:
    async def test() -> None:
        async with Line(tmp_path / "s", echo) as line:
            got = await line.talk(data, half_close=True)
            assert got.startswith(b"HTTP/1.1 %d " % status), got
            assert b"Connection: close" in got
            assert (await line.talk(GET)).startswith(b"HTTP/1.1 200")
            await emptied(line)

    run(test)


def test_a_chunked_body_has_the_same_limit(tmp_path: Path) -> None:
    async def test() -> None:
        async with Line(tmp_path / "s", echo, limits=DEFAULTS._replace(body=1000)) as line:
            head = b"POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
            got = await line.talk(
                head + b"258\r\n" + b"x" * 600 + b"\r\n258\r\n" + b"x" * 600 + b"\r\n0\r\n\r\n"
            )
            assert got.startswith(b"HTTP/1.1 413 Request entity too large\r\n")
            assert b"at most 1000 bytes" in got

    run(test)


def test_a_caller_without_a_role_has_no_long_requests(tmp_path: Path) -> None:
    async def test() -> None:
        nobody = ADMIN._replace(role=Role.NONE)
        async with Line(tmp_path / "s", echo, identify=lambda sock: nobody) as line:
            head = b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: "
            assert (await line.talk(head + b"4096\r\n\r\n" + b"x" * 4096)).startswith(b"HTTP/1.1 200")
            assert (await line.talk(head + b"4097\r\n\r\n")).startswith(b"HTTP/1.1 413")

    run(test)


def test_long_requests_do_not_fill_the_memory(tmp_path: Path) -> None:
    async def test() -> None:
        async with Line(tmp_path / "s", echo, limits=DEFAULTS._replace(bodies=1000)) as line:
            head = b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 600\r\n\r\n"
            _, writer = await line.open()
            writer.write(head + b"x" * 599)
            await until(lambda: line.server.connections == 1)
            got = await line.talk(head + b"x" * 600)
            assert got.startswith(b"HTTP/1.1 503 Service unavailable\r\n")
            writer.close()
            await emptied(line)
            for _ in range(3):
                assert (await line.talk(head + b"x" * 600)).startswith(b"HTTP/1.1 200")

    run(test)


QUICK = Limits(idle_time=0.05, head_time=0.05, body_time=0.05, send_time=0.05, linger_time=0.05)


@pytest.mark.parametrize(
    ("data", "got"),
    [
        (b"", b""),
        (b"GET /x", b"HTTP/1.1 408 Request timeout\r\n"),
        (b"GET /x HTTP/1.1\r\nHost: h\r\n", b"HTTP/1.1 408 Request timeout\r\n"),
        (b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nabc", b"HTTP/1.1 408 Request timeout\r\n"),
    ],
    ids=["nothing", "a piece of a line", "no end of the head", "a piece of a body"],
)
def test_a_slow_client_is_not_waited_for(data: bytes, got: bytes, tmp_path: Path) -> None:
    async def test() -> None:
        async with Line(tmp_path / "s", echo, limits=QUICK) as line:
            assert (await line.talk(data))[: len(got) or None] == got

    run(test)


def test_a_client_that_does_not_take_its_answer_is_dropped(tmp_path: Path) -> None:
    async def handler(request: Request) -> Response:
        return Response(200, "OK", (), bytes(32 << 20))

    async def test() -> None:
        async with Line(tmp_path / "s", handler, limits=QUICK) as line:
            with socket.socket(socket.AF_UNIX) as client:
                client.setblocking(False)
                loop = asyncio.get_running_loop()
                await loop.sock_connect(client, str(tmp_path / "s"))
                await loop.sock_sendall(client, GET)
                await until(lambda: line.server.connections == 1)
                await emptied(line)

    run(test)


def test_what_a_client_that_vanished_asked_for_is_done(tmp_path: Path) -> None:
    begun, go_on, done = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def handler(request: Request) -> Response:
        begun.set()
        await go_on.wait()
        done.set()
        return Response(200, "OK", (), b"x" * 100_000)

    async def test() -> None:
        async with Line(tmp_path / "s", handler) as line:
            _, writer = await line.open()
            writer.write(GET)
            await begun.wait()
            writer.transport.abort()
            go_on.set()
            await done.wait()
            await emptied(line)
            begun.clear()
            _, writer = await line.open()  # vanishes in the middle of its request
            writer.write(b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nabc")
            writer.close()
            await emptied(line)
            assert not begun.is_set()
            assert (await line.talk(GET)).startswith(b"HTTP/1.1 200")

    run(test)


def test_a_handler_that_fails_is_a_500(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def handler(request: Request) -> Response:
        if request.target.endswith("bad"):
            return Response(200, "OK", (("X", "a\r\nY: b"),))
        if request.target.endswith("wide"):
            return Response(200, "OK", (("Ä", "1"),))
        raise RuntimeError("boom")

    async def test() -> None:
        async with Line(tmp_path / "s", handler) as line:
            for target in (b"/x", b"/bad", b"/wide"):
                got = await line.talk(b"GET %s HTTP/1.1\r\nHost: h\r\n\r\n" % target)
                assert got.startswith(b"HTTP/1.1 500 Internal server error\r\n")
                assert b"boom" not in got

    with caplog.at_level(logging.CRITICAL + 1):
        run(test)


def test_a_handler_that_never_answers_is_a_500(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def handler(request: Request) -> Response:
        await asyncio.Event().wait()
        raise AssertionError

    async def test() -> None:
        async with Line(tmp_path / "s", handler, limits=DEFAULTS._replace(answer_time=0.05)) as line:
            assert (await line.talk(GET)).startswith(b"HTTP/1.1 500 ")

    run(test)


def test_a_reason_cannot_become_a_header(tmp_path: Path) -> None:
    async def handler(request: Request) -> Response:
        return Response(501, "No such: a\r\nSet-Cookie: é\0" + "x" * 1000, ())

    async def test() -> None:
        async with Line(tmp_path / "s", handler) as line:
            got = await line.talk(GET)
            assert got.startswith(b"HTTP/1.1 501 No such: a??Set-Cookie: ??xxx")
            assert len(got) < 700

    run(test)


@pytest.fixture
def many_files() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("many_files")
def test_a_peer_that_cannot_be_told_is_turned_away(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    failing = True

    def identify(sock: socket.socket) -> Caller:
        if failing:
            raise RuntimeError("no credentials")
        pid, uid, gid = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        return Caller(uid, gid, pid, Role.NONE)

    async def who(request: Request) -> Response:
        return Response(200, "OK", (), repr(tuple(request.caller)).encode())

    async def test() -> None:
        nonlocal failing
        async with Line(tmp_path / "s", who, identify=identify) as line:
            assert await line.talk(b"") == b""
            failing = False
            got = await line.talk(GET)
            assert got.endswith(repr((os.getuid(), os.getgid(), os.getpid(), Role.NONE)).encode())

    run(test)


def test_tcp_is_served_alike() -> None:
    async def test() -> None:
        sock = socket.create_server(("127.0.0.1", 0))
        port = sock.getsockname()[1]
        server = await serve(sock, echo, lambda peer: ADMIN)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(GET)
        assert (await reader.read()).endswith(b"GET /xend 0 b''")
        writer.close()
        await server.close()

    run(test)


def test_closing_lets_a_request_in_work_finish(tmp_path: Path) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def handler(request: Request) -> Response:
        begun.set()
        await go_on.wait()
        return Response(200, "OK", (), b"finished")

    async def test() -> None:
        async with Line(tmp_path / "s", handler) as line:
            idle_reader, idle_writer = await line.open()
            reader, writer = await line.open()
            writer.write(OURS)
            await begun.wait()
            closing = asyncio.ensure_future(line.server.close(grace=10))
            assert await idle_reader.read() == b""
            go_on.set()
            assert (await reader.read()).endswith(b"finished")
            writer.close()
            idle_writer.close()
            await closing
            with pytest.raises(OSError, match=r"refused|No such"):
                await line.open()

    run(test)


def test_closing_does_not_wait_for_ever(tmp_path: Path) -> None:
    begun = asyncio.Event()

    async def handler(request: Request) -> Response:
        begun.set()
        await asyncio.Event().wait()
        raise AssertionError

    async def test() -> None:
        async with Line(tmp_path / "s", handler) as line:
            reader, writer = await line.open()
            writer.write(GET)
            await begun.wait()
            await line.server.close(grace=0.01)
            assert await reader.read() == b""
            writer.close()

    run(test)
