"""A lane (see `lanes`) for threads: the kernel waits, so that a reply costs one system call."""

from __future__ import annotations

import _socket  # the C half is all we use; the Python half takes longer to import than to connect
import struct

from purevirt.channels.xenstore.lanes import lost, timed_out

__all__ = ["BlockingLane"]

_RECEIVE = 16384


class BlockingLane:
    """One socket, whose own time-out bounds each wait."""

    __slots__ = ("_recv", "_socket", "_timeout")

    def __init__(self, sock: _socket.socket) -> None:
        self._socket = sock
        self._recv = sock.recv
        self._timeout: int | None = None

    async def send(self, data: bytes, timeout: float | None) -> None:
        self._bound(timeout)
        try:
            sent = self._socket.send(data, _socket.MSG_NOSIGNAL)
            while sent < len(data):
                sent += self._socket.send(data[sent:], _socket.MSG_NOSIGNAL)
        except BlockingIOError:
            raise timed_out(timeout) from None
        except OSError as error:
            raise lost(error) from error

    async def receive(self, timeout: float | None, early: bool) -> bytes:
        try:
            data = self._recv(_RECEIVE)
        except BlockingIOError:
            raise timed_out(timeout) from None
        except OSError as error:
            raise lost(error) from error
        if not data:
            raise lost(None)
        return data

    def shutdown(self) -> None:
        try:
            self._socket.shutdown(_socket.SHUT_RDWR)
        except OSError:
            pass  # the other side was faster

    def close(self) -> None:
        self._socket.close()

    def _bound(self, timeout: float | None) -> None:
        """Let no wait take longer, in whole milliseconds: a system call only where that changes anything."""
        wanted = 0 if timeout is None else max(1, int(timeout * 1000))
        if wanted != self._timeout:
            interval = struct.pack("@ll", wanted // 1000, wanted % 1000 * 1000)
            for option in (_socket.SO_SNDTIMEO, _socket.SO_RCVTIMEO):
                self._socket.setsockopt(_socket.SOL_SOCKET, option, interval)
            self._timeout = wanted
