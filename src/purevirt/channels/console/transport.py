"""What a transport of a console's bytes offers, whether it blocks or runs under asyncio."""

from __future__ import annotations

from purevirt._typing import Protocol
from purevirt.errors import Closed, Timeout

__all__ = ["CHANNEL", "Transport", "closed", "write_timed_out"]

CHANNEL = "console"


class Transport(Protocol):
    """One console."""

    @property
    def closed(self) -> bool:
        """Whether `close()` was called."""

    @property
    def path(self) -> str:
        """The terminal."""

    def fileno(self) -> int:
        """The descriptor, to be polled; -1 after `close()`."""

    async def read(self, timeout: float | None) -> bytes | None:
        """What the guest has printed, as soon as there is anything; b"" when the terminal has ended; None if nothing
        comes within `timeout` seconds (None: wait for ever). Closed after `close()`."""

    async def write(self, data: bytes, timeout: float | None) -> None:
        """Type. Timeout: the terminal did not take all of it in time. Closed: it has ended, or after `close()`."""

    async def close(self) -> None:
        """Let the terminal and its lock go. Closing twice is fine."""


def closed(path: str, *, ended: bool = False) -> Closed:
    why = "has ended: the domain or its console daemon is gone" if ended else "was closed"
    return Closed(f"the console at {path} {why}", operation="console", channel=CHANNEL, path=path)


def write_timed_out(path: str, left: int, timeout: float | None) -> Timeout:
    return Timeout(
        f"the console at {path} did not take the last {left} bytes within {timeout:g} s",
        operation="console",
        channel=CHANNEL,
        path=path,
    )
