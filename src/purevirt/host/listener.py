"""What the devices of a simulated host have in common: a Unix socket at a path, in an event loop, and its connections.

`hypercall_server` and `bus_server` say what is spoken there.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from abc import ABC, abstractmethod

from purevirt.channels.unix import BindAddress, remove_stale

__all__ = ["Connection", "Listener"]

_BACKLOG = 100


class Connection(asyncio.Protocol):
    """One connection. It is counted from when it is made until it is lost."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._listener.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._listener.connections.discard(self)

    def drop(self) -> None:
        """Close it, whatever waits."""
        if self._transport is not None:
            self._transport.abort()


class Listener(ABC):
    """Listens at `path`, from `start` to `stop`. The socket file has the mode of the devices: 0600."""

    what: str
    channel: str

    def __init__(self, path: str) -> None:
        self.path = path
        self.connections: set[Connection] = set()
        self._server: asyncio.Server | None = None

    @abstractmethod
    def connection(self) -> Connection:
        """What serves one connection."""

    @property
    def clients(self) -> int:
        """How many are connected."""
        return len(self.connections)

    async def start(self) -> None:
        """Listen. A stale socket is replaced; ConnectError if one is in use, OSError if none can be made."""
        remove_stale(self.path, what=self.what, channel=self.channel)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with BindAddress(self.path) as address:
                sock.bind(address)
            os.chmod(self.path, 0o600)
            loop = asyncio.get_running_loop()
            self._server = await loop.create_unix_server(self.connection, sock=sock, backlog=_BACKLOG)
        except BaseException:
            sock.close()
            raise

    async def stop(self) -> None:
        """Close all connections, and remove the socket file."""
        if self._server is None:
            return
        server, self._server = self._server, None
        server.close()
        for connection in list(self.connections):
            connection.drop()
        with contextlib.suppress(OSError):
            os.unlink(self.path)
