"""Following both ends of a device through the xenbus states, until it is so or time is up."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

from purevirt.channels.xenstore.client import StoreClient
from purevirt.channels.xenstore.watches import Watcher
from purevirt.daemons.xend.toolstack.devices.nodes import Place

__all__ = [
    "CLOSED",
    "CLOSING",
    "CONNECTED",
    "INITIALISED",
    "INITIALISING",
    "INIT_WAIT",
    "Ends",
    "Following",
    "state_name",
]

INITIALISING, INIT_WAIT, INITIALISED, CONNECTED, CLOSING, CLOSED = range(1, 7)

_NAMES = {
    1: "Initialising",
    2: "InitWait",
    3: "Initialised",
    4: "Connected",
    5: "Closing",
    6: "Closed",
    7: "Reconfiguring",
    8: "Reconfigured",
}


def state_name(state: int | None) -> str:
    """A state, for messages."""
    return "gone" if state is None else f"{_NAMES.get(state, 'in no state')} ({state})"


class Ends(NamedTuple):
    """The states of both ends; None: there is no such node."""

    backend: int | None
    frontend: int | None

    def __str__(self) -> str:
        return f"the backend is {state_name(self.backend)}, the frontend {state_name(self.frontend)}"


class Following:
    """Both ends of one device. The watches, which take a connection of their own, are set when there is something to
    wait for. To be closed."""

    def __init__(self, store: StoreClient, place: Place) -> None:
        self._store = store
        self._watcher: Watcher | None = None
        self._nodes = [f"{place.backend}/state", f"{place.frontend}/state"]

    async def close(self) -> None:
        if self._watcher is not None:
            await self._watcher.close()

    async def look(self) -> Ends:
        """The states now."""
        return Ends(*(_number(value) for value in await self._store.read_many(self._nodes)))

    async def until(self, reached: Callable[[Ends], bool], end: float) -> Ends:
        """The states when it was so, or when time was up (`end`, by the monotonic clock): the caller looks again."""
        while True:
            ends = await self.look()
            if reached(ends):
                return ends
            if self._watcher is None:
                self._watcher = await self._store.open_watcher(queue=64)
                await self._watcher.add_many(
                    self._nodes
                )  # which fire at once, and then there is another look
            if await self._watcher.next(max(0.0, end - time.monotonic())) is None:
                return await self.look()  # the last word is the nodes', not a timer's


def _number(value: bytes | None) -> int | None:
    if value is None:
        return None
    return int(value) if value.isdigit() and len(value) < 4 else 0
