# Generated from _async/events.py by tools/generate_sync.py: never edit this file, run `make generate`.
"""Events of a connection, as an iterator."""

from __future__ import annotations

from purevirt._run import run_blocking
from purevirt._typing import TYPE_CHECKING, Self
from purevirt.errors import Closed

if TYPE_CHECKING:
    from purevirt.drivers.base import EventStream
    from purevirt.model import DomainInfo, Event
__all__ = ["Events"]


class Events:
    """A subscription. Made by `connection.events()`; ended by `close()`, or at the end of `with`.

    Nothing is gathered while nobody waits: what happens meanwhile is found, in sum, by the next call. One consumer at
    a time takes events; others may close meanwhile.
    """

    def __init__(self, stream: EventStream) -> None:
        self._stream = stream

    @property
    def closed(self) -> bool:
        """Whether `close()` was called."""
        return self._stream.closed

    def next(self, timeout: float | None = None) -> Event | None:
        """The next event, or None if none comes within `timeout` seconds (None: wait for ever).

        Closed after `close()`; and whatever a lost channel raises: waiting again asks it again.
        """
        return run_blocking(self._stream.next(timeout))

    def snapshot(self) -> list[DomainInfo]:
        """All active domains, read now, as `domain_infos()` tells them: what to begin with, and to look at after
        LOST."""
        return run_blocking(self._stream.snapshot())

    def close(self) -> None:
        """End the subscription. Closing twice is no error."""
        run_blocking(self._stream.close())

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Event:
        try:
            event = run_blocking(self._stream.next(None))
        except Closed:
            if self._stream.closed:
                raise StopIteration from None
            raise
        if event is None:
            raise StopIteration
        return event

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        run_blocking(self._stream.close())
