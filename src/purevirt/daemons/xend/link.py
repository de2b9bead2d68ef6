"""The daemon's channels to its host: hypercalls, the Xen Store and the driver over both; made again when they are lost.

xenstored may be restarted under the daemon (and, on a simulated host, the hypervisor). Calls that come meanwhile are
answered at once that the channel is lost, while one task, with pauses that grow, makes new channels. Nothing polls a
channel that works: a loss is noticed by the next call, or by the observer's watch connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging

from purevirt.channels.hypercall.client import HypercallClient
from purevirt.channels.xenstore.client import StoreClient
from purevirt.drivers.xen.driver import XenDriver
from purevirt.drivers.xen.open import open_driver
from purevirt.errors import ChannelUnavailable, XenError
from purevirt.model import Access

__all__ = ["Link"]

OPEN_TIMEOUT = 5.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0

_log = logging.getLogger(__name__)


class Link:
    """Everything that reaches the host below `root`, for the tasks of one event loop."""

    def __init__(self, root: str, *, timeout: float = OPEN_TIMEOUT) -> None:
        self.root = root
        self._timeout = timeout
        self._driver: XenDriver | None = None
        self._reason = "it was not opened yet"
        self._reopening: asyncio.Task[None] | None = None
        self._closed = False

    async def open(self) -> None:
        """Open everything, once. ConnectError says what is missing."""
        self._driver = await self._open()

    async def _open(self) -> XenDriver:
        driver = await open_driver(
            self.root, Access.RW, "aio", self._timeout, daemon=False, hypervisor=HypercallClient
        )
        try:
            for _ in range(
                2
            ):  # from its second listing on, a connection watches names, and need not ask for them
                await driver.list_domains()
        except BaseException:
            await driver.close()
            raise
        return driver

    async def close(self) -> None:
        """Close everything."""
        self._closed = True
        if self._reopening is not None:
            self._reopening.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reopening
        driver, self._driver = self._driver, None
        if driver is not None:
            await driver.close()

    @property
    def driver(self) -> XenDriver:
        """The driver. ChannelUnavailable while a channel is lost."""
        driver = self._driver
        if driver is not None and driver.store.closed:
            self.lost("the Xen Store closed the connection")
            driver = None
        if driver is None:
            raise ChannelUnavailable(
                f"the Xen daemon has lost its host and is looking for it again: {self._reason}",
                channel="daemon",
            )
        return driver

    @property
    def store(self) -> StoreClient:
        """The store, to read and write. ChannelUnavailable as above."""
        return self.driver.store

    @property
    def hypercalls(self) -> HypercallClient:
        """The hypervisor. ChannelUnavailable as above."""
        client = self.driver.hypercalls
        assert isinstance(client, HypercallClient), "opened with one that can change the hypervisor"
        return client

    def failed(self, error: XenError, driver: XenDriver) -> ChannelUnavailable:
        """A call met a channel of this driver that has ended, or cannot be had: what to tell its caller.

        New ones are made meanwhile.
        """
        if driver is self._driver:
            self.lost(str(error))
        return ChannelUnavailable(
            f"the Xen daemon lost its host during the call: {error}", channel=error.channel, detail=str(error)
        )

    def lost(self, reason: str) -> None:
        """Give the channels up, and begin to make new ones."""
        if self._closed:
            return
        self._reason = reason
        old, self._driver = self._driver, None
        if self._reopening is None or self._reopening.done():
            self._reopening = asyncio.get_running_loop().create_task(self._reopen(old), name="xend: link")

    async def _reopen(self, old: XenDriver | None) -> None:
        _log.warning("lost the host: %s", self._reason)
        if old is not None:
            with contextlib.suppress(XenError):
                await old.close()
        pause = _FIRST_PAUSE
        while True:
            try:
                self._driver = await self._open()
            except XenError as error:
                self._reason = str(error)
            else:
                _log.warning("found the host again")
                return
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
