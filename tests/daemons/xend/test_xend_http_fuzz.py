"""The daemon's HTTP server against any bytes at all, and against long sequences on one connection."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.daemons.xend.line import GET, OURS, Line, answer, echo, run

pieces = st.lists(
    st.sampled_from(
        [
            GET,
            OURS,
            b"POST /x HTTP/1.1\r\n",
            b"Host: h\r\n",
            b"Content-Length: 5\r\n",
            b"Transfer-Encoding: chunked\r\n",
            b"Expect: 100-continue\r\n",
            b"Upgrade: x\r\nConnection: upgrade\r\n",
            b"Connection: keep-alive\r\n",
            b"\r\n",
            b"5\r\nabcde\r\n",
            b"0\r\n\r\n",
            b"hello",
            b"\0",
            b"\xff",
            b" ",
        ]
    )
    | st.binary(max_size=20),
    max_size=12,
).map(b"".join)


@given(st.lists(st.tuples(pieces, st.integers(0, 100)), min_size=1, max_size=4))
def test_no_bytes_hang_or_end_the_server(
    tmp_path_factory: pytest.TempPathFactory, sent: list[tuple[bytes, int]]
) -> None:
    async def test() -> None:
        async with Line(tmp_path_factory.mktemp("f") / "s", echo) as line:
            for data, cut in sent:
                reader, writer = await line.open()
                with suppress(OSError):
                    writer.write(data[:cut])
                    await asyncio.sleep(0)
                    writer.write(data[cut:])
                    writer.write_eof()
                    async with asyncio.timeout(5):
                        got = await reader.read()
                    assert not got or got.startswith(b"HTTP/1.1 ")
                    assert b"HTTP/1.1 5" not in got.replace(b"HTTP/1.1 501", b"")
                writer.close()
            assert (await line.talk(GET)).startswith(b"HTTP/1.1 200")

    run(test)


FORMS: list[Callable[[int], bytes]] = [
    lambda n: b"GET /purevirt/%d HTTP/1.1\r\nHost: h\r\n\r\n" % n,
    lambda n: b"POST /purevirt/%d HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc" % n,
    lambda n: (
        b"POST /purevirt/%d HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
        % n
    ),
    lambda n: b"GET /xend/%d HTTP/1.1\r\nHost: h\r\nConnection: keep-alive\r\n\r\n" % n,
]
BROKEN = [
    b"no request at all\r\n\r\n",
    b"GET /x HTTP/1.1\r\nHost: h\r\nContent-Length: x\r\n\r\n",
    b"POST /purevirt/x HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n",  # and no body follows
    b"POST /purevirt/x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"\xff\xfe\r\n\r\n",
]


@given(
    st.lists(st.sampled_from(FORMS), max_size=30),
    st.sampled_from(BROKEN),
    st.lists(st.integers(0, 3000), max_size=6),
)
def test_a_long_sequence_on_one_connection_is_answered_in_turn_until_one_is_broken(
    tmp_path_factory: pytest.TempPathFactory,
    forms: list[Callable[[int], bytes]],
    broken: bytes,
    cuts: list[int],
) -> None:
    data = b"".join(form(number) for number, form in enumerate(forms)) + broken

    async def test() -> None:
        async with Line(tmp_path_factory.mktemp("q") / "s", echo) as line:
            reader, writer = await line.open()
            begin = 0
            for cut in sorted({*cuts, len(data)}):
                writer.write(data[begin:cut])
                await asyncio.sleep(0)
                begin = max(begin, cut)
            writer.write_eof()
            for number in range(len(forms)):
                head, body = await answer(reader)
                assert head.startswith(b"HTTP/1.1 200")
                assert body.split()[1].endswith(b"/%d" % number)
            head, _ = await answer(reader)
            assert head.startswith(b"HTTP/1.1 400")
            assert await reader.read() == b""
            writer.close()

    run(test)
