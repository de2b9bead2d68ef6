"""Serves a simulated hypervisor's hypercalls on a Unix socket, in an event loop.

One connection's garbage closes that connection. A client that does not read its answers is not read from
either until it does: it costs what the socket buffers and one answer take.
"""

from __future__ import annotations

import asyncio

from purevirt.errors import ProtocolError
from purevirt.host.hypervisor import Hypervisor
from purevirt.host.listener import Connection, Listener
from purevirt.wire.hypercall.frames import CallDecoder, encode_answer, encode_hello

__all__ = ["HypercallServer"]


class HypercallServer(Listener):
    """Listens at `path`, from `start` to `stop`."""

    what = "the simulated hypervisor"
    channel = "hypervisor"

    def __init__(self, hypervisor: Hypervisor, path: str) -> None:
        super().__init__(path)
        self.hypervisor = hypervisor

    def connection(self) -> Connection:
        return _Client(self)


class _Client(Connection):
    def __init__(self, server: HypercallServer) -> None:
        super().__init__(server)
        self._hypervisor = server.hypervisor
        self._decoder = CallDecoder()
        self._full = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        assert self._transport is not None
        self._transport.write(encode_hello(self._hypervisor.spec.arch))

    def data_received(self, data: bytes) -> None:
        self._decoder.feed(data)
        self._serve()

    def _serve(self) -> None:
        assert self._transport is not None
        try:
            while not self._full and (found := self._decoder.next()) is not None:
                call_id, call = found
                self._transport.write(encode_answer(call_id, self._hypervisor.hypercall(call)))
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
