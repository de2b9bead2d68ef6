"""Serves the bus of a simulated host to the daemons of its Domain 0, on a Unix socket, in an event loop.

What a daemon has bound and mapped is its own: it ends with its connection, as a device's file does. Garbage ends the
connection.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Callable

from purevirt.errors import ProtocolError
from purevirt.host.bus import Bus
from purevirt.host.grants import GrantRefused
from purevirt.host.listener import Connection, Listener
from purevirt.host.memory import XenError
from purevirt.wire.bus.frames import READ_ONLY, BusOp, Notice, Request, RequestDecoder, encode_notice
from purevirt.wire.bus.numbers import GrantStatus, ReservedGrant
from purevirt.wire.bus.rings import PAGE

__all__ = ["BusServer"]

_DOM0 = 0


class BusServer(Listener):
    """Listens at `path`, from `start` to `stop`."""

    what = "the bus of a simulated host"
    channel = "bus"

    def __init__(self, bus: Bus, path: str) -> None:
        super().__init__(path)
        self.bus = bus
        self.served = 0
        """How many requests were served."""

    def connection(self) -> Connection:
        return _Client(self)


class _Client(Connection):
    def __init__(self, server: BusServer) -> None:
        super().__init__(server)
        self._server = server
        self._bus = server.bus
        self._decoder = RequestDecoder()
        self._ports: set[int] = set()
        self._masked: dict[int, bool] = {}  # port: whether an event came since
        self._handles: set[int] = set()
        self._rung: list[int] | None = None  # ports that rang while a request is served

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
        super().connection_lost(exc)
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

    def give_store(self, domid: int, gfn: int, port: int) -> tuple[int, int]:
        self._bus.give_ring(domid, ReservedGrant.XENSTORE, gfn, port)
        return 0, 0

    def give_console(self, domid: int, gfn: int, port: int) -> tuple[int, int]:
        self._bus.give_ring(domid, ReservedGrant.CONSOLE, gfn, port)
        return 0, 0

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
    BusOp.GIVE_STORE: _Client.give_store,
    BusOp.GIVE_CONSOLE: _Client.give_console,
}
