"""Time for a simulated host: the machine's own, or one that a test holds in its hand."""

from __future__ import annotations

import time
from typing import Protocol

__all__ = ["Clock", "HeldClock", "RealClock"]


class Clock(Protocol):
    """Where simulated CPU time comes from."""

    def now(self) -> int:
        """Nanoseconds since some moment in the past; never goes back."""


class RealClock:
    """The machine's monotonic clock."""

    __slots__ = ()

    def now(self) -> int:
        return time.monotonic_ns()


class HeldClock:
    """Stands still, and moves only by `advance`."""

    __slots__ = ("_now",)

    def __init__(self) -> None:
        self._now = 0

    def now(self) -> int:
        return self._now

    def advance(self, seconds: float) -> None:
        """Let time pass. ValueError for a negative number."""
        if seconds < 0:
            raise ValueError("time does not go back")
        self._now += round(seconds * 1e9)
