"""Serves a simulated hypervisor's hypercalls on a Unix socket, in an event loop.

One connection's garbage closes that connection. A client that does not read its answers is not read from
either until it does: it costs what the socket buffers and one answer take.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket

from purevirt.channels.unix import BindAddress, remove_stale
from purevirt.errors import ProtocolError
from purevirt.host.hypervisor import Hypervisor
from purevirt.wire.hypercall.frames import CallDecoder, encode_answer, encode_hello

__all__ = ["HypercallServer"]

_BACKLOG = 100


class HypercallServer:
    """Listens at `path`, from `start` to `stop`. The socket file has the mode of the device: 0600."""

    def __init__(self, hypervisor: Hypervisor, path: str) -> None:
        self.hypervisor = hypervisor
        self.path = path
        self._server: asyncio.Server | None = None
        self._clients: set[_Client] = set()

    @property
    def clients(self) -> int:
        """How many are connected."""
        return len(self._clients)

    async def start(self) -> None:
        """Listen. A stale socket is replaced; ConnectError if one is in use, OSError if none can be made."""
        remove_stale(self.path, what="the simulated hypervisor", channel="hypervisor")
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with BindAddress(self.path) as address:
                sock.bind(address)
            os.chmod(self.path, 0o600)
            loop = asyncio.get_running_loop()
            self._server = await loop.create_unix_server(lambda: _Client(self), sock=sock, backlog=_BACKLOG)
        except BaseException:
            sock.close()
            raise

    async def stop(self) -> None:
        """Close all connections, and remove the socket file."""
        if self._server is None:
            return
        server, self._server = self._server, None
        server.close()
        for client in list(self._clients):
            client.drop()
        with contextlib.suppress(OSError):
            os.unlink(self.path)


class _Client(asyncio.Protocol):
    def __init__(self, server: HypercallServer) -> None:
        self._server = server
        self._decoder = CallDecoder()
        self._transport: asyncio.Transport | None = None
        self._full = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._server._clients.add(self)
        transport.write(encode_hello(self._server.hypervisor.spec.arch))

    def data_received(self, data: bytes) -> None:
        self._decoder.feed(data)
        self._serve()

    def _serve(self) -> None:
        assert self._transport is not None
        try:
            while not self._full and (found := self._decoder.next()) is not None:
                call_id, call = found
                self._transport.write(encode_answer(call_id, self._server.hypervisor.hypercall(call)))
        except ProtocolError:
            self.drop()

    def pause_writing(self) -> None:
        assert self._transport is not None
        self._full = True
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        assert self._transport is not None
        self._full = False
        self._serve()
        if not self._full and not self._transport.is_closing():
            self._transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self._server._clients.discard(self)

    def drop(self) -> None:
        if self._transport is not None:
            self._transport.abort()
