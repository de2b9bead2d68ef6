"""Tells the service manager that the daemon lives: only as long as it does what it is there for.

A daemon whose event loop turns can still be of no use: its channels hang, or it accepts nobody. So each time something
is asked of it first (`Service.prove`), and what does not answer is not told to live; once the manager's patience is at
its end it kills the daemon and starts another. A channel that was lost and is being made again is given that time, too.

The manager is told twice in its period. Asking takes a quarter of it at the most, so even a slow answer is in time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from purevirt.daemons.xend.notify import Notifier
from purevirt.errors import XenError

__all__ = ["Watchdog"]

_log = logging.getLogger(__name__)


class Watchdog:
    """Asks and tells, until it is cancelled.

    `prove` is given so many seconds, and raises a XenError that says what does not answer; `status` is what to tell a
    person when all is well again.
    """

    def __init__(
        self,
        notifier: Notifier,
        period: float,
        prove: Callable[[float], Awaitable[None]],
        status: str,
        *,
        rest: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._notifier = notifier
        self._period = period
        self._prove = prove
        self._status = status
        self._rest = rest
        self._troubled = False

    async def run(self) -> None:
        """For ever."""
        while True:
            await self._rest(self._period / (2 if await self.look() else 10))

    async def look(self) -> bool:
        """Once: whether the daemon lives. Whatever goes wrong in here is a reason not to say so."""
        try:
            await self._prove(self._period / 4)
        except XenError as error:
            self._trouble(str(error))
            return False
        except Exception as error:
            _log.exception("the watchdog's look failed")
            self._trouble(f"{type(error).__name__}: {error}")
            return False
        if self._troubled:
            self._troubled = False
            _log.warning("all answers again")
            self._notifier.status(self._status)
        self._notifier.alive()
        return True

    def _trouble(self, why: str) -> None:
        if not self._troubled:
            _log.error("the watchdog is told nothing while this lasts: %s", why)
            self._notifier.status(f"does not answer: {why}")
        self._troubled = True
