"""An event loop for the Xen daemon whose clock costs nothing.

asyncio looks at the clock several times in each turn, and each deadline does so again. On most machines that takes no
system call. In a paravirtualised Domain 0 it does: Linux reads Xen's clock from user space only where Xen vouches for
the processors' counters, and otherwise each look is a trip through the hypervisor into the kernel. The clock of the
kernel's last tick (CLOCK_MONOTONIC_COARSE) lies in memory that every process can read. It is late by at most a tick,
4 to 10 ms, and so are this loop's timers, or early: that is nothing to deadlines of seconds.
"""

from __future__ import annotations

import asyncio
import time

__all__ = ["CoarseLoop"]

_COARSE = 6  # CLOCK_MONOTONIC_COARSE, which the time module does not name; the same number on all of Linux


class CoarseLoop(asyncio.SelectorEventLoop):
    """The usual loop on Linux, with the clock of the last tick."""

    def time(self) -> float:
        """Seconds on the monotonic clock, as of the last tick."""
        return time.clock_gettime(_COARSE)
