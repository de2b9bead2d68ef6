"""Events of a connection, as an iterator."""

from __future__ import annotations

from purevirt._typing import TYPE_CHECKING, Self
from purevirt.errors import Closed

if TYPE_CHECKING:
    from purevirt.drivers.base import EventStream
    from purevirt.model import DomainInfo, Event

__all__ = ["AsyncEvents"]


class AsyncEvents:
    """A subscription. Made by `connection.events()`; ended by `close()`, or at the end of `async with`.

    Nothing is gathered while nobody waits: what happens meanwhile is found, in sum, by the next call. One consumer at
    a time takes events; others may close meanwhile.
    """

    def __init__(self, stream: EventStream) -> None:
        self._stream = stream

    @property
    def closed(self) -> bool:
        """Whether `close()` was called."""
        return self._stream.closed

    async def next(self, timeout: float | None = None) -> Event | None:
        """The next event, or None if none comes within `timeout` seconds (None: wait for ever).

        Closed after `close()`; and whatever a lost channel raises: waiting again asks it again.
        """
        return await self._stream.next(timeout)

    async def snapshot(self) -> list[DomainInfo]:
        """All active domains, read now, as `domain_infos()` tells them: what to begin with, and to look at after
        LOST."""
        return await self._stream.snapshot()

    async def close(self) -> None:
        """End the subscription. Closing twice is no error."""
        await self._stream.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        try:
            event = await self._stream.next(None)
        except Closed:
            if self._stream.closed:
                raise StopAsyncIteration from None
            raise
        if event is None:
            raise StopAsyncIteration
        return event

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stream.close()
