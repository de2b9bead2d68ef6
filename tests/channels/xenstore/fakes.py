"""Stand-ins for the other end of a XenStore transport, at three depths.

`Wire`: the server's end of a socket pair, for tests of bytes. `Device`: the same, behaving as Linux' xenbus
device. `Scripted`: a transport that asks a function for each reply, for tests of the client's logic.

`both` runs a scenario, written once as a coroutine, over the blocking transport and over asyncio.
"""

from __future__ import annotations

import asyncio
import io
import os
import socket
import threading
from collections.abc import Callable, Coroutine, Sequence
from types import ModuleType, TracebackType
from typing import Any, Self

import pytest

from purevirt._run import run_blocking
from purevirt.channels.xenstore import aio, blocking
from purevirt.channels.xenstore.aio import AsyncioTransport
from purevirt.channels.xenstore.blocking import BlockingTransport
from purevirt.channels.xenstore.links import DeviceLink, Link, SocketLink
from purevirt.channels.xenstore.transport import Request
from purevirt.wire.xenstore import Decoder, Op, Packet, encode, error_payload

MODES = ("blocking", "aio")

both = pytest.mark.parametrize("mode", MODES)


def play(mode: str, scenario: Coroutine[Any, Any, None]) -> None:
    """Run a scenario to its end, in one of the two ways."""
    if mode == "blocking":
        run_blocking(scenario)
    else:
        asyncio.run(scenario)


def half(mode: str) -> ModuleType:
    return blocking if mode == "blocking" else aio


def transport_over(mode: str, link: Link) -> BlockingTransport | AsyncioTransport:
    return BlockingTransport(link) if mode == "blocking" else AsyncioTransport(link)


class Wire:
    """A connection whose other end is the test."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        self.link: Link = SocketLink(ours)
        self.server = theirs
        self._decoder = Decoder()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.server.close()
        self.link.close()

    def send(self, *packets: tuple[int, int, bytes]) -> None:
        """Replies and events: (operation, request id, payload)."""
        self.server.sendall(b"".join(encode(op, req_id, 0, payload) for op, req_id, payload in packets))

    def received(self) -> list[Packet]:
        """What the client has sent so far."""
        packets: list[Packet] = []
        while True:
            try:
                packets += self._decoder.feed(self.server.recv(65536, socket.MSG_DONTWAIT))
            except BlockingIOError:
                return packets


class Device(Wire):
    """A connection through what behaves like /dev/xen/xenbus.

    A write is one message. More than 4096 bytes are refused, and so is the request whose id is in `refuse`, with
    that errno. The others are answered at once: with the bytes that `answers` has for their id (None: not at all),
    else with the id as the value. A message that is written before the one before it was answered spoils that one,
    as in the kernel: `spoilt`.
    """

    def __init__(self) -> None:
        reads, self.server = socket.socketpair()
        self.refuse: dict[int, int] = {}
        self.answers: dict[int, bytes | None] = {}
        self.written: list[Packet] = []
        self.spoilt: list[int] = []
        self.link = _DeviceLink(io.FileIO(reads.detach(), "r+"), self)

    def received(self) -> list[Packet]:
        written, self.written = self.written, []
        return written

    def write(self, data: bytes) -> int:
        """What the kernel does with a write."""
        packets = Decoder().feed(data[:4096])
        assert packets
        packet = packets[0]
        number = 22 if len(data) > 4096 else self.refuse.get(packet.req_id)
        if number is not None:
            raise OSError(number, os.strerror(number))
        if self.written and self.answers.get(self.written[-1].req_id, b"") is None:
            self.spoilt.append(self.written[-1].req_id)
        self.written.append(packet)
        answer = self.answers.get(packet.req_id, encode(packet.op, packet.req_id, 0, b"%d" % packet.req_id))
        if answer is not None:
            self.server.sendall(answer)
        return len(data)

    def late(self, req_id: int, value: bytes) -> None:
        """Answer a READ that was not answered at once."""
        self.answers[req_id] = value
        self.server.sendall(encode(Op.READ, req_id, 0, value))


class _DeviceLink(DeviceLink):
    """As the real one, but for where the writes go."""

    def __init__(self, file: io.FileIO, device: Device) -> None:
        super().__init__(file)
        self._device = device

    def _write(self, data: bytes | memoryview) -> int:
        return self._device.write(bytes(data))


Answer = Callable[[int, int, bytes], "bytes | str"]
"""(operation, transaction, payload) → the reply's payload, or an errno's name."""


class Scripted:
    """A transport without a wire. `asked` is every exchange, `paused` every pause."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.on_event: Callable[[bytes], None] | None = None
        self.closed = False
        self.asked: list[list[Request]] = []
        self.timeouts: list[float | None] = []
        self.paused: list[float] = []

    async def exchange(self, requests: Sequence[Request], timeout: float | None) -> list[Packet]:
        self.asked.append(list(requests))
        self.timeouts.append(timeout)
        replies = []
        for number, (op, tx_id, payload) in enumerate(requests, 1):
            answer = self._answer(op, tx_id, payload)
            if isinstance(answer, str):
                replies.append(Packet(Op.ERROR, number, tx_id, error_payload(answer)))
            else:
                replies.append(Packet(op, number, tx_id, answer))
        return replies

    async def wait_events(self, ready: Callable[[], bool], timeout: float | None) -> bool:
        return ready()

    async def poll_events(self) -> None:
        return

    async def pause(self, seconds: float) -> None:
        self.paused.append(seconds)

    async def close(self) -> None:
        self.closed = True


class Echo:
    """A server on a thread: answers each READ with its path, and reads nothing while its replies cannot be
    written.

    That is how the real ones behave, and what a client that only sends would hang on.
    """

    def __init__(self, server: socket.socket) -> None:
        self._server = server
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._thread.join()

    def _run(self) -> None:
        decoder = Decoder()
        try:
            while data := self._server.recv(4096):
                for op, req_id, tx_id, payload in decoder.feed(data):
                    self._server.sendall(encode(op, req_id, tx_id, payload[:-1]))
        except OSError:
            return
