"""A domain's end of the ring that it shares with a real daemon: the only way to be unprivileged there.

The ring is a file (shim.c); event channels are two FIFOs of u32 ports. Layout: facts of xs_wire.h, request
bytes at 0, replies at 1024, then req_cons, req_prod, rsp_cons, rsp_prod as u32 at 2048; indices run free.
"""

from __future__ import annotations

import mmap
import os
import select
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ._packages import PeerError

_SIZE = 1024
_REQUESTS, _REPLIES = 0, 1024
_REQ_CONS, _REQ_PROD, _RSP_CONS, _RSP_PROD = 2048, 2052, 2056, 2060
_INTRODUCE, _RELEASE, _ERROR = 8, 9, 16
VIRQ_DOM_EXC = 1  # the port to which shim.c binds it
_HEADER = struct.Struct("=4I")


class Guest:
    """Bytes to and from the store as domain `domid`. Each call has a deadline in seconds."""

    def __init__(self, domid: int, page: mmap.mmap, evtchn: int, notify: int) -> None:
        self.domid = domid
        self._page = page
        self._evtchn = evtchn
        self._notify = notify

    def send(self, data: bytes, *, deadline: float = 10.0) -> None:
        """Put `data` on the request ring, waiting for room as it fills."""
        end = time.monotonic() + deadline
        while data:
            produced = self._get(_REQ_PROD)
            room = _SIZE - (produced - self._get(_REQ_CONS)) % 2**32
            for byte in data[:room]:
                self._page[_REQUESTS + produced % _SIZE] = byte
                produced = (produced + 1) % 2**32
            data = data[room:]
            self._put(_REQ_PROD, produced)
            if data:
                self._wait(end)

    def recv(self, count: int, *, deadline: float = 10.0) -> bytes:
        """Take exactly `count` bytes from the reply ring; TimeoutError if they do not come."""
        end = time.monotonic() + deadline
        data = bytearray()
        while True:
            consumed = self._get(_RSP_CONS)
            ready = min((self._get(_RSP_PROD) - consumed) % 2**32, count - len(data))
            data += bytes(self._page[_REPLIES + (consumed + i) % _SIZE] for i in range(ready))
            self._put(_RSP_CONS, (consumed + ready) % 2**32)
            if len(data) == count:
                return bytes(data)
            self._wait(end)

    def packet(self, *, deadline: float = 10.0) -> tuple[int, int, int, bytes]:
        """Take one whole packet: type, request id, transaction id, payload."""
        kind, req_id, tx_id, length = _HEADER.unpack(self.recv(_HEADER.size, deadline=deadline))
        return kind, req_id, tx_id, self.recv(length, deadline=deadline)

    def _get(self, offset: int) -> int:
        return int.from_bytes(self._page[offset : offset + 4], "little")

    def _put(self, offset: int, value: int) -> None:
        self._page[offset : offset + 4] = value.to_bytes(4, "little")
        os.write(self._evtchn, _port(self.domid).to_bytes(4, "little"))

    def _wait(self, end: float) -> None:
        """Until the daemon notifies any domain; guests of one peer share the FIFO, so look often."""
        left = end - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"xenstored did not answer domain {self.domid} in time")
        if select.select([self._notify], [], [], min(left, 0.05))[0]:
            os.read(self._notify, 4)


@contextmanager
def guest(path: str, directory: Path, domid: int) -> Iterator[Guest]:
    """Introduce `domid` through the daemon's socket, and release it at the end."""
    ring = directory / f"ring-{domid}"
    (directory / f"gone-{domid}").unlink(missing_ok=True)
    ring.write_bytes(bytes(mmap.PAGESIZE))
    descriptors: list[int] = []
    try:
        descriptors += [os.open(ring, os.O_RDWR)]
        descriptors += [os.open(directory / name, os.O_RDWR) for name in ("evtchn", "notify")]
        with mmap.mmap(descriptors[0], mmap.PAGESIZE) as page:
            _ask(path, _INTRODUCE, f"{domid}\0{domid}\0{_port(domid)}\0".encode())
            yield Guest(domid, page, descriptors[1], descriptors[2])
            if not (directory / f"gone-{domid}").exists():
                _ask(path, _RELEASE, f"{domid}\0".encode())
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def raise_port(directory: Path, port: int) -> None:
    """Make an event channel of the daemon pending."""
    descriptor = os.open(directory / "evtchn", os.O_RDWR)  # for reading too: so it never waits for a reader
    try:
        os.write(descriptor, port.to_bytes(4, "little"))
    finally:
        os.close(descriptor)


def _port(domid: int) -> int:
    return 1000 + domid  # clear of VIRQ_DOM_EXC and of Domain 0's port, 2


def _ask(path: str, kind: int, payload: bytes) -> None:
    """One privileged request on a connection of its own."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(10)
        sock.connect(path)
        sock.sendall(_HEADER.pack(kind, 1, 0, len(payload)) + payload)
        with sock.makefile("rb") as stream:
            reply, _, _, length = _HEADER.unpack(stream.read(_HEADER.size))
            answer = stream.read(length)
    if reply == _ERROR:
        raise PeerError(f"the daemon refused request {kind} {payload!r}: {answer!r}")
