"""A lane (see `lanes`) for asyncio."""

from __future__ import annotations

import _socket
import asyncio
import socket

from purevirt.channels.xenstore.lanes import lost, timed_out

__all__ = ["AsyncioLane"]

_RECEIVE = 65536


class AsyncioLane:
    """One non-blocking socket."""

    __slots__ = ("_loop", "_socket")

    def __init__(self, sock: _socket.socket) -> None:
        self._loop = asyncio.get_running_loop()
        self._socket = socket.socket(fileno=sock.detach())
        self._socket.setblocking(False)

    async def send(self, data: bytes, timeout: float | None) -> None:
        try:
            async with asyncio.timeout(timeout):
                await self._loop.sock_sendall(self._socket, data)
        except TimeoutError:
            raise timed_out(timeout) from None
        except OSError as error:
            raise lost(error) from error

    async def receive(self, timeout: float | None, early: bool) -> bytes:
        try:
            if early:
                try:
                    return self._some(self._socket.recv(_RECEIVE))
                except BlockingIOError:
                    pass
            async with asyncio.timeout(timeout):
                return self._some(await self._loop.sock_recv(self._socket, _RECEIVE))
        except TimeoutError:
            raise timed_out(timeout) from None
        except OSError as error:
            raise lost(error) from error

    def _some(self, data: bytes) -> bytes:
        if not data:
            raise lost(None)
        return data

    def shutdown(self) -> None:
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # the other side was faster

    def close(self) -> None:
        self._socket.close()
