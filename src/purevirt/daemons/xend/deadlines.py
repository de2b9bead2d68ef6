"""`asyncio.timeout` for who knows the event loop already.

That one asks for the running loop and the current task again and again, and on Python 3.11 each such question is a
system call (getpid: has there been a fork?). In Domain 0 of a paravirtualised Xen those are dear, and there were a
dozen in every request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator
from types import TracebackType
from typing import Any, TypeVar, cast

__all__ = ["Deadline", "Patience", "done_by"]

T = TypeVar("T")


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


async def done_by(loop: asyncio.AbstractEventLoop, when: float, work: Coroutine[Any, Any, T]) -> T:
    """What the work gives; TimeoutError if it is not done by `when`. Work that never waits costs no timer: most
    changes are hypercalls, and done before anybody could cut them off."""
    try:
        waits_for = work.send(None)
    except StopIteration as done:
        return cast(T, done.value)
    with Deadline(loop, when):
        return cast(T, await _Begun(work, waits_for))


class _Begun:
    """A coroutine that has been begun, and waits for something."""

    __slots__ = ("_waits_for", "_work")

    def __init__(self, work: Coroutine[Any, Any, Any], waits_for: object) -> None:
        self._work = work
        self._waits_for = waits_for

    def __await__(self) -> Generator[Any, Any, Any]:
        waits_for = self._waits_for
        while True:
            error = sent = None
            try:
                sent = yield waits_for
            except BaseException as thrown:
                error = thrown
            try:
                waits_for = self._work.send(sent) if error is None else self._work.throw(error)
            except StopIteration as done:
                return done.value


class Patience:
    """A deadline for waits that follow each other, such as those for a connection's next request.

    `with patience:` raises TimeoutError when what is awaited inside has taken `limit` seconds. One timer looks now and
    then whether it has, instead of one for each wait. `end` must be called when no more are to come.
    """

    __slots__ = ("_before", "_expired", "_limit", "_loop", "_since", "_task", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop, task: asyncio.Task[None], limit: float) -> None:
        self._loop = loop
        self._task = task
        self._limit = limit
        self._since: float | None = None  # when the present wait was begun; None: there is none
        self._expired = False
        self._before = 0
        self._timer = loop.call_later(limit, self._look)

    def __enter__(self) -> None:
        self._since = self._loop.time()
        self._before = self._task.cancelling()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._since = None
        if self._expired and self._task.uncancel() <= self._before and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def _look(self) -> None:
        now = self._loop.time()
        begun = now if self._since is None else self._since
        if now < begun + self._limit:
            self._timer = self._loop.call_at(begun + self._limit, self._look)
        else:
            self._expired = True
            self._task.cancel()

    def end(self) -> None:
        """No more waits: the timer is gone."""
        self._timer.cancel()
