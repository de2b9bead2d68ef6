"""The blocking transport of a console: poll, then read or write. One thread reads, another may write or close."""

from __future__ import annotations

import os
import select
import time

from purevirt.channels.console.terminal import Terminal
from purevirt.channels.console.transport import check_kept, closed, next_look, sent_at_once, write_timed_out

__all__ = ["BlockingTransport"]


class BlockingTransport:
    """One console, for threads."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._wake, self._waker = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._closed = False
        self._waiting = 0

    @property
    def closed(self) -> bool:
        return self._closed

    @property
    def path(self) -> str:
        return self._terminal.path

    def fileno(self) -> int:
        return self._terminal.fileno()

    async def read(self, timeout: float | None) -> bytes | None:
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            check_kept(self._terminal)
            if self._wait(select.POLLIN, next_look(deadline)):
                try:
                    return self._terminal.receive()
                except BlockingIOError:
                    continue
            if deadline is not None and time.monotonic() >= deadline:
                return None

    def send(self, data: bytes) -> int:
        self._check()
        return sent_at_once(self._terminal, data)

    async def write(self, data: bytes, timeout: float | None) -> None:
        deadline = None if timeout is None else time.monotonic() + timeout
        left = memoryview(data)
        while left:
            if not self._wait(select.POLLOUT, deadline):
                raise write_timed_out(self.path, len(left), timeout)
            left = left[sent_at_once(self._terminal, left) :]

    def _wait(self, events: int, deadline: float | None) -> bool:
        """Whether it is ready; False at the deadline. Closed: meanwhile, or before."""
        self._check()
        poller = select.poll()
        poller.register(self._terminal.fileno(), events)
        poller.register(self._wake, select.POLLIN)
        self._waiting += 1
        try:
            milliseconds = None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000
            ready = poller.poll(milliseconds)
        finally:
            self._waiting -= 1
            if self._closed:
                self._release()
        self._check()
        return bool(ready)

    def _check(self) -> None:
        if self._closed:
            raise closed(self.path)

    async def close(self) -> None:
        if not self._closed:
            self._closed = True
            os.write(self._waker, b"x")
            self._release()

    def _release(self) -> None:
        """The last one to wait closes the descriptors: nobody polls a number that is another file's by now."""
        if not self._waiting and not self._terminal.closed:
            self._terminal.close()
            os.close(self._wake)
            os.close(self._waker)
