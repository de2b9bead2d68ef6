"""The daemon's HTTP server on a socket of its own, and a client that speaks raw HTTP to it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

from purevirt.daemons.xend.http import DEFAULTS, Handler, Limits, Request, Response, Server, serve
from purevirt.model.access import Caller
from tests.daemons.xend.double import ADMIN

GET = b"GET /xend HTTP/1.1\r\nHost: h\r\n\r\n"
OURS = b"GET /purevirt/v1/x HTTP/1.1\r\nHost: h\r\n\r\n"


class Line:
    """A server on a Unix socket, and connections to it that are not our own client's."""

    def __init__(
        self,
        path: Path,
        handler: Handler,
        *,
        limits: Limits = DEFAULTS,
        identify: Callable[[socket.socket], Caller] = lambda sock: ADMIN,
    ) -> None:
        self._path = str(path)
        self._handler = handler
        self._limits = limits
        self._identify = identify
        self.server: Server

    async def __aenter__(self) -> Line:
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(self._path)
        sock.listen(1024)
        self.server = await serve(sock, self._handler, self._identify, limits=self._limits)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.server.close(grace=1.0)

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_unix_connection(self._path)

    async def talk(self, data: bytes, *, half_close: bool = False) -> bytes:
        """Send bytes on a connection of their own, and return all that comes until the server closes it."""
        reader, writer = await self.open()
        try:
            writer.write(data)
            if half_close:
                writer.write_eof()
            async with asyncio.timeout(20):
                return await reader.read()
        finally:
            writer.close()


async def answer(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """The next answer on a connection that stays open: its head and its body."""
    async with asyncio.timeout(20):
        head = await reader.readuntil(b"\r\n\r\n")
        length = 0
        for line in head.split(b"\r\n"):
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        return head, await reader.readexactly(length)


async def until(true: Callable[[], bool]) -> None:
    """Let the others run until something is so."""
    for _ in iter(true, True):
        await asyncio.sleep(0)


async def echo(request: Request) -> Response:
    """Says what was asked."""
    text = f"{request.method} {request.target} {len(request.body)} {request.body[:20]!r}"
    return Response(200, "OK", (("X-tEsT", "1"),), text.encode())


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(40):
            await test()

    asyncio.run(bounded())


async def emptied(line: Line) -> None:
    """Until the server has no connection left."""
    async with asyncio.timeout(10):
        await until(lambda: line.server.connections == 0)
