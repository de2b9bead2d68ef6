"""Time for a simulated host: the machine's own, or one that a test holds in its hand.

`call_later` is how the host waits: a guest that takes a second to shut down asks the clock for that second.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Callable
from typing import Protocol

__all__ = ["Clock", "HeldClock", "RealClock", "Timer"]


class Timer(Protocol):
    """Something that is to happen later."""

    def cancel(self) -> None:
        """It is not to happen any more; no error if it has happened."""


class Clock(Protocol):
    """Where simulated CPU time comes from, and what delays go by."""

    def now(self) -> int:
        """Nanoseconds since some moment in the past; never goes back."""

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        """Call it once so much time has passed, in the running event loop's thread."""


class RealClock:
    """The machine's monotonic clock."""

    __slots__ = ()

    def now(self) -> int:
        return time.monotonic_ns()

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        return asyncio.get_running_loop().call_later(seconds, callback)


class _HeldTimer:
    __slots__ = ("callback",)

    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        self.callback = None


class HeldClock:
    """Stands still, and moves only by `advance`."""

    __slots__ = ("_count", "_now", "_timers")

    def __init__(self) -> None:
        self._now = 0
        self._count = 0
        self._timers: list[tuple[int, int, _HeldTimer]] = []

    def now(self) -> int:
        return self._now

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        timer = _HeldTimer(callback)
        self._count += 1  # of those due at one moment, the first asked for is the first called
        heapq.heappush(self._timers, (self._now + round(max(seconds, 0) * 1e9), self._count, timer))
        return timer

    def next_due(self) -> int | None:
        """When the next timer is due, as `now` counts."""
        while self._timers and self._timers[0][2].callback is None:
            heapq.heappop(self._timers)
        return self._timers[0][0] if self._timers else None

    def advance(self, seconds: float) -> None:
        """Let time pass, and what is due happen, each at its moment. ValueError for a negative number."""
        if seconds < 0:
            raise ValueError("time does not go back")
        self.advance_to(self._now + round(seconds * 1e9))

    def advance_to(self, moment: int) -> None:
        """Let time pass until then, as `now` counts."""
        while (due := self.next_due()) is not None and due <= moment:
            self._now = due
            _, _, timer = heapq.heappop(self._timers)
            callback, timer.callback = timer.callback, None
            assert callback is not None
            callback()
        self._now = max(self._now, moment)
