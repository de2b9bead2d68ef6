"""Serves the bus of a simulated host to the daemons of its Domain 0, on a Unix socket, in an event loop.

What a daemon has bound and mapped is its own: it ends with its connection, as a device's file does. Garbage ends the
connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
from collections.abc import Callable

from purevirt.channels.unix import BindAddress, remove_stale
from purevirt.errors import ProtocolError
from purevirt.host.bus import Bus
from purevirt.host.grants import GrantRefused
from purevirt.host.memory import XenError
from purevirt.wire.bus.frames import READ_ONLY, BusOp, Notice, Request, RequestDecoder, encode_notice
from purevirt.wire.bus.numbers import GrantStatus
from purevirt.wire.bus.rings import PAGE

__all__ = ["BusServer"]

_BACKLOG = 100
_DOM0 = 0


class BusServer:
    """Listens at `path`, from `start` to `stop`. The socket file has the mode of the devices: 0600."""

    def __init__(self, bus: Bus, path: str) -> None:
        self.bus = bus
        self.path = path
        self._server: asyncio.Server | None = None
        self._clients: set[_Client] = set()
        self.served = 0
        """How many requests were served."""

    @property
    def clients(self) -> int:
        """How many are connected."""
        return len(self._clients)

    async def start(self) -> None:
        """Listen. A stale socket is replaced; ConnectError if one is in use, OSError if none can be made."""
        remove_stale(self.path, what="the bus of a simulated host", channel="bus")
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
    def __init__(self, server: BusServer) -> None:
        self._server = server
        self._bus = server.bus
        self._decoder = RequestDecoder()
        self._transport: asyncio.Transport | None = None
        self._ports: set[int] = set()
        self._masked: dict[int, bool] = {}  # port: whether an event came since
        self._handles: set[int] = set()
        self._rung: list[int] | None = None  # ports that rang while a request is served

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._server._clients.add(self)

    def data_received(self, data: bytes) -> None:
        try:
            requests = self._decoder.feed(data)
        except ProtocolError:
            self.drop()
            return
        answers = []
        self._rung = []
        for request in requests:
            self._server.served += 1
            answer = self._serve(request)
            if request.id:
                answers.append(encode_notice(answer))
            # What rang meanwhile is told after the answer: it may be the port that was just bound.
            answers += [encode_notice(Notice(0, 0, port)) for port in self._rung]
            self._rung.clear()
        self._rung = None
        if answers:
            self._write(b"".join(answers))

    def pause_writing(self) -> None:
        assert self._transport is not None
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._server._clients.discard(self)
        for port in self._ports:
            with contextlib.suppress(XenError):
                self._bus.channels.close(_DOM0, port)
        for handle in self._handles:
            with contextlib.suppress(GrantRefused):
                self._bus.grants.unmap(_DOM0, handle)
        self._ports.clear()
        self._handles.clear()

    def drop(self) -> None:
        """Close it now: what it had is free again when this returns."""
        transport = self._transport
        if transport is not None:
            self.connection_lost(None)
            transport.abort()

    # --- what is asked

    def _serve(self, request: Request) -> Notice:
        try:
            first, second = _HANDLERS[BusOp(request.op)](self, *request.arguments)
        except XenError as error:
            return Notice(request.id, -error.errno)
        except GrantRefused as refused:
            return Notice(request.id, int(refused.status))
        return Notice(request.id, 0, first, second)

    def bind_virq(self, virq: int, *_: int) -> tuple[int, int]:
        port = self._bus.channels.bind_virq(_DOM0, virq, self._ring)
        self._bus.tell_all()
        self._ports.add(port)
        return port, 0

    def bind_interdomain(self, domid: int, remote_port: int, _: int) -> tuple[int, int]:
        port = self._bus.channels.bind_interdomain(_DOM0, domid, remote_port, self._ring)
        self._ports.add(port)
        return port, 0

    def bind_unbound(self, domid: int, *_: int) -> tuple[int, int]:
        port = self._bus.channels.alloc_unbound(_DOM0, domid, self._ring)
        self._ports.add(port)
        return port, 0

    def unbind(self, port: int, *_: int) -> tuple[int, int]:
        self._own(port)
        self._bus.channels.close(_DOM0, port)
        self._ports.discard(port)
        self._masked.pop(port, None)
        return 0, 0

    def notify(self, port: int, *_: int) -> tuple[int, int]:
        self._own(port)
        self._bus.channels.send(_DOM0, port)
        return 0, 0

    def unmask(self, port: int, *_: int) -> tuple[int, int]:
        self._own(port)
        if self._masked.pop(port, False):
            self._ring(port)
        return 0, 0

    def map_grant(self, domid: int, reference: int, flags: int) -> tuple[int, int]:
        if flags & ~READ_ONLY:
            raise GrantRefused(GrantStatus.GENERAL_ERROR)
        mapping = self._bus.grants.map(_DOM0, domid, reference, writable=not flags & READ_ONLY)
        self._handles.add(mapping.handle)
        return mapping.handle, mapping.frame * PAGE

    def unmap_grant(self, handle: int, *_: int) -> tuple[int, int]:
        if handle not in self._handles:
            raise GrantRefused(GrantStatus.BAD_HANDLE)
        self._bus.grants.unmap(_DOM0, handle)
        self._handles.discard(handle)
        return 0, 0

    def poll_domain(self, *_: int) -> tuple[int, int]:
        found = self._bus.poll_changed()
        if found is None:
            raise XenError(errno.ENOENT)
        return found[0], int(found[1])

    def _own(self, port: int) -> None:
        if port not in self._ports:
            raise XenError(errno.EINVAL)

    # --- what it is told

    def _ring(self, port: int) -> None:
        if port in self._masked:
            self._masked[port] = True
            return
        self._masked[port] = False
        if self._rung is not None:
            self._rung.append(port)
        else:
            self._write(encode_notice(Notice(0, 0, port)))

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)


_HANDLERS: dict[BusOp, Callable[..., tuple[int, int]]] = {
    BusOp.BIND_VIRQ: _Client.bind_virq,
    BusOp.BIND_INTERDOMAIN: _Client.bind_interdomain,
    BusOp.BIND_UNBOUND: _Client.bind_unbound,
    BusOp.UNBIND: _Client.unbind,
    BusOp.NOTIFY: _Client.notify,
    BusOp.UNMASK: _Client.unmask,
    BusOp.MAP_GRANT: _Client.map_grant,
    BusOp.UNMAP_GRANT: _Client.unmap_grant,
    BusOp.POLL_DOMAIN: _Client.poll_domain,
}
