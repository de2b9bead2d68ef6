# Generated from _async/console.py by tools/generate_sync.py: never edit this file, run `make generate`.
"""A domain's text console, as bytes."""

from __future__ import annotations

from purevirt._run import run_blocking
from purevirt._typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from purevirt.drivers.base import ConsoleStream
__all__ = ["Console"]


class Console:
    """What a guest prints, and what is typed at it. Made by `domain.console()`; ended by `close()`, or at the end of
    `with`.

    One consumer at a time reads; another may write meanwhile. Iterating yields what is printed, in pieces as they
    come, until the console ends: when its domain does, or the console daemon.
    """

    def __init__(self, stream: ConsoleStream) -> None:
        self._stream = stream

    @property
    def closed(self) -> bool:
        """Whether `close()` was called."""
        return self._stream.closed

    @property
    def path(self) -> str:
        """The terminal in Domain 0, as /dev/pts/4."""
        return self._stream.path

    def fileno(self) -> int:
        """The descriptor, for select and poll: readable when `read` would not wait. -1 after `close()`."""
        return self._stream.fileno()

    def read(self, timeout: float | None = None) -> bytes | None:
        """What the guest has printed, as soon as there is anything: at most 64 KiB. None if nothing comes within
        `timeout` seconds (None: wait for ever), b"" when the console has ended. Closed after `close()`."""
        return run_blocking(self._stream.read(timeout))

    def send(self, data: bytes) -> int:
        """Type what the guest takes at once, without waiting; how many bytes, 0 if none. Closed: the console has
        ended, or after `close()`."""
        return self._stream.send(data)

    def write(self, data: bytes, *, timeout: float | None = None) -> None:
        """Type. Timeout: the guest did not take all of it in time (None: wait for ever). Closed: the console has
        ended, or after `close()`."""
        run_blocking(self._stream.write(data, timeout))

    def close(self) -> None:
        """Let others have it. Closing twice is no error."""
        run_blocking(self._stream.close())

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        data = run_blocking(self._stream.read(None))
        if not data:
            raise StopIteration
        return data

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        run_blocking(self._stream.close())
