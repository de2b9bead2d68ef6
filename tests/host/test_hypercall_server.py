"""The simulated hypervisor behind its socket: many clients, and hostile ones."""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest

from purevirt.channels.hypercall.aio import AsyncioTransport
from purevirt.channels.hypercall.client import HypercallClient
from purevirt.errors import Closed
from purevirt.host.clock import HeldClock
from purevirt.host.hypercall_server import HypercallServer, _Client
from purevirt.host.hypervisor import Hypervisor
from purevirt.wire.hypercall.frames import HELLO_SIZE, AnswerDecoder, encode_call
from purevirt.wire.hypercall.values import Extent, Hypercall

T = TypeVar("T")


def serve(tmp_path: Path, body: Callable[[HypercallServer], Awaitable[T]]) -> T:
    async def run() -> T:
        server = HypercallServer(Hypervisor(HeldClock()), str(tmp_path / "privcmd"))
        await server.start()
        try:
            return await body(server)
        finally:
            await server.stop()

    return asyncio.run(run())


def test_the_socket_has_the_devices_mode_and_goes_with_the_server(tmp_path: Path) -> None:
    async def body(server: HypercallServer) -> None:
        assert stat.S_IMODE(os.stat(server.path).st_mode) == 0o600

    serve(tmp_path, body)
    assert not (tmp_path / "privcmd").exists()


def test_stopping_closes_connections_and_can_be_repeated(tmp_path: Path) -> None:
    async def body(server: HypercallServer) -> None:
        transport = await AsyncioTransport.connect(server.path, 5)
        client = await HypercallClient.open(transport)
        await server.stop()
        await server.stop()
        with pytest.raises(Closed):
            await client.physinfo()

    serve(tmp_path, body)


@pytest.mark.parametrize(
    "garbage", [b"\xff" * 64, struct.pack("<II", 4, 1), struct.pack("<II", 3, 1) + b"GET / HTTP/1.1\r\n\r\n"]
)
def test_garbage_closes_only_the_connection_it_came_from(tmp_path: Path, garbage: bytes) -> None:
    async def body(server: HypercallServer) -> None:
        transport = await AsyncioTransport.connect(server.path, 5)
        client = await HypercallClient.open(transport)
        reader, writer = await asyncio.open_unix_connection(server.path)
        writer.write(garbage)
        assert len(await reader.read(HELLO_SIZE)) == HELLO_SIZE
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
        writer.close()
        assert (await client.version()) == (4, 17)
        transport.close()

    serve(tmp_path, body)


def test_a_client_that_does_not_read_is_not_read_from(tmp_path: Path) -> None:
    """Each call asks for a megabyte that does not end with zeros, and none of the answers is taken."""

    async def body(server: HypercallServer) -> None:
        reader, writer = await asyncio.open_unix_connection(server.path)
        await reader.readexactly(HELLO_SIZE)
        size = 1 << 19
        frame = encode_call(1, Hypercall(99, (), (Extent(0, b"\1" * size),)))
        for _ in range(64):
            writer.write(frame)
        (served,) = server.connections
        assert isinstance(served, _Client)
        other = await HypercallClient.open(await AsyncioTransport.connect(server.path, 5))
        while not served._full:
            await other.version()
        assert served._transport is not None
        assert served._transport.get_write_buffer_size() < 4 * size
        decoder = AnswerDecoder()
        answers = 0
        while answers < 64:
            decoder.feed(await reader.read(1 << 20))
            while decoder.next() is not None:
                answers += 1
        writer.close()
        await other.close()

    serve(tmp_path, body)


def test_many_clients_at_once(tmp_path: Path) -> None:
    async def body(server: HypercallServer) -> None:
        transports = [await AsyncioTransport.connect(server.path, 5) for _ in range(20)]
        clients = await asyncio.gather(*(HypercallClient.open(transport) for transport in transports))
        infos = await asyncio.gather(*(client.domain_infos() for client in clients))
        assert all([info.domid for info in found] == [0] for found in infos)
        assert server.clients == 20
        for transport in transports:
            transport.close()

    serve(tmp_path, body)


def test_a_path_longer_than_a_socket_address(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 120)
    deep.mkdir()

    async def body(server: HypercallServer) -> None:
        transport = await AsyncioTransport.connect(server.path, 5)
        transport.close()

    serve(deep, body)
