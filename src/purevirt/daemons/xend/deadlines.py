"""`asyncio.timeout` for who knows the event loop already.

That one asks for the running loop and the current task again and again, and on Python 3.11 each such question is a
system call (getpid: has there been a fork?). In Domain 0 of a paravirtualised Xen those are dear, and there were a
dozen in every request.
"""

from __future__ import annotations

import asyncio
from types import TracebackType

__all__ = ["Deadline"]


class Deadline:
    """`with Deadline(loop, when):` raises TimeoutError if what is awaited inside is not done by `when`, in the loop's
    time. The task that enters is cancelled then; a cancellation by anybody else passes."""

    __slots__ = ("_before", "_expired", "_loop", "_task", "_timer", "_when")

    def __init__(self, loop: asyncio.AbstractEventLoop, when: float) -> None:
        self._loop = loop
        self._when = when
        self._expired = False

    def __enter__(self) -> None:
        task = asyncio.current_task(self._loop)
        assert task is not None
        self._task = task
        self._before = task.cancelling()
        self._timer = self._loop.call_at(self._when, self._expire)

    def _expire(self) -> None:
        self._expired = True
        self._task.cancel()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        if self._expired and self._task.uncancel() <= self._before and kind is asyncio.CancelledError:
            raise TimeoutError from error
