"""A daemon's connection to the bus of a simulated host, driven by the daemon's own loop.

    client = BusClient.connect(path, memory)
    client.on_event = pump                                 # called with a port
    client.ask(bound, BusOp.BIND_INTERDOMAIN, 7, 1)        # `bound` is called with the answer
    poll(client.fileno()); client.receive(); client.flush()

It never waits: bus and daemon may share a thread. What is sent is kept until `flush`, so one turn of the daemon costs
one system call, however many guests it served.
"""

from __future__ import annotations

import _socket
import errno
from collections.abc import Callable

from purevirt.channels.bus.memory import SharedMemory
from purevirt.channels.unix import StrPath, try_connect
from purevirt.errors import ConnectError, RemoteProtocolError
from purevirt.wire.bus.frames import BusOp, Notice, NoticeDecoder, Request, encode_request

__all__ = ["BusClient"]

_RECEIVE = 1 << 16

Done = Callable[[Notice], None]


class BusClient:
    """One connection. Not for several threads."""

    def __init__(self, sock: _socket.socket, memory: SharedMemory) -> None:
        sock.setblocking(False)
        self._socket = sock
        self._decoder = NoticeDecoder()
        self._outgoing = bytearray()
        self._waiting: dict[int, Done] = {}
        self._id = 0
        self.memory = memory
        self.closed = False
        self.on_event: Callable[[int], None] = _ignore
        """Called with the port of each event; the port is unmasked when it returns."""

    @classmethod
    def connect(cls, path: StrPath, memory: SharedMemory) -> BusClient:
        """ConnectError: nobody listens there, or too many wait already."""
        sock = try_connect(path, what="the bus of a simulated host", channel="bus")
        if sock is None:
            raise ConnectError("the bus of a simulated host is busy", channel="bus", errno=errno.EAGAIN)
        return cls(sock, memory)

    def fileno(self) -> int:
        """Readable when `receive` has something to do; watch for writable while `unsent`."""
        return self._socket.fileno()

    @property
    def unsent(self) -> int:
        """How many bytes wait to be sent."""
        return len(self._outgoing)

    def ask(self, done: Done, op: BusOp, first: int = 0, second: int = 0, third: int = 0) -> None:
        """Ask, with the next `flush`; `done` is called with the answer, or with ECONNRESET if the bus goes."""
        if self.closed:
            done(Notice(0, -errno.ECONNRESET))
            return
        self._id = self._id % 0xFFFFFFFF + 1
        self._waiting[self._id] = done
        self._outgoing += encode_request(Request(self._id, op, (first, second, third)))

    def tell(self, op: BusOp, first: int = 0, second: int = 0) -> None:
        """Ask for something whose answer does not matter."""
        if not self.closed:
            self._outgoing += encode_request(Request(0, op, (first, second, 0)))

    def receive(self) -> bool:
        """Take what has come and call whom it concerns. False: the bus is gone, and this is closed."""
        if self.closed:
            return False
        try:
            data = self._socket.recv(_RECEIVE)
            notices = self._decoder.feed(data)
        except BlockingIOError:
            return True
        except (OSError, RemoteProtocolError):
            data = b""
        if not data:
            self.close()
            return False
        for notice in notices:
            if notice.id:
                done = self._waiting.pop(notice.id, None)
                if done is not None:
                    done(notice)
            else:
                self.tell(BusOp.UNMASK, notice.first)  # first, so that no event is lost that comes meanwhile
                self.on_event(notice.first)
        return True

    def flush(self) -> None:
        """Send what waits, as far as the socket takes it."""
        if self._outgoing and not self.closed:
            try:
                del self._outgoing[: self._socket.send(self._outgoing, _socket.MSG_NOSIGNAL)]
            except BlockingIOError:
                pass
            except OSError:
                self._outgoing.clear()  # the bus is gone: `receive` finds out, and says so

    def close(self) -> None:
        """Close it: the bus closes our ports and takes back what we had mapped. Whoever waits is told."""
        if self.closed:
            return
        self.closed = True
        self._socket.close()
        self._outgoing.clear()
        waiting, self._waiting = self._waiting, {}
        for done in waiting.values():
            done(Notice(0, -errno.ECONNRESET))


def _ignore(port: int) -> None:
    """Events before anybody listens."""
