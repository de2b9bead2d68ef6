"""The asyncio transport of a console: the loop watches the descriptor while a task waits for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from purevirt.channels.console.terminal import Terminal
from purevirt.channels.console.transport import check_kept, closed, next_look, sent_at_once, write_timed_out

__all__ = ["AsyncioTransport"]


class AsyncioTransport:
    """One console, for the tasks of one event loop: one reads, another may write."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._loop = asyncio.get_running_loop()
        self._waiters: set[asyncio.Future[None]] = set()

    @property
    def closed(self) -> bool:
        return self._terminal.closed

    @property
    def path(self) -> str:
        return self._terminal.path

    def fileno(self) -> int:
        return self._terminal.fileno()

    async def read(self, timeout: float | None) -> bytes | None:
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            self._check()
            try:
                return self._terminal.receive()
            except BlockingIOError:
                pass
            check_kept(self._terminal)
            ready = await self._ready(self._loop.add_reader, self._loop.remove_reader, next_look(deadline))
            if not ready and deadline is not None and time.monotonic() >= deadline:
                return None

    def send(self, data: bytes) -> int:
        self._check()
        return sent_at_once(self._terminal, data)

    async def write(self, data: bytes, timeout: float | None) -> None:
        deadline = None if timeout is None else time.monotonic() + timeout
        left = memoryview(data)
        while left:
            self._check()
            if sent := sent_at_once(self._terminal, left):
                left = left[sent:]
                continue
            if not await self._ready(self._loop.add_writer, self._loop.remove_writer, deadline):
                raise write_timed_out(self.path, len(left), timeout)

    async def close(self) -> None:
        if not self._terminal.closed:
            self._loop.remove_reader(self._terminal.fileno())
            self._loop.remove_writer(self._terminal.fileno())
            self._terminal.close()
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_exception(closed(self.path))

    def _check(self) -> None:
        if self._terminal.closed:
            raise closed(self.path)

    async def _ready(
        self,
        add: Callable[[int, Callable[[], None]], None],
        remove: Callable[[int], bool],
        deadline: float | None,
    ) -> bool:
        """Whether it is ready; False at the deadline."""
        waiter = self._loop.create_future()
        self._waiters.add(waiter)
        fd = self._terminal.fileno()
        add(fd, lambda: None if waiter.done() else waiter.set_result(None))
        try:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            await asyncio.wait_for(waiter, left)
        except TimeoutError:
            return False
        finally:
            self._waiters.discard(waiter)
            if not self._terminal.closed:
                remove(fd)
        return True
