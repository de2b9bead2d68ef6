"""What a transport of a console's bytes offers, whether it blocks or runs under asyncio."""

from __future__ import annotations

import time

from purevirt._typing import TYPE_CHECKING, Protocol
from purevirt.errors import Closed, Timeout

if TYPE_CHECKING:
    from purevirt.channels.console.terminal import Terminal

__all__ = ["CHANNEL", "Transport", "check_kept", "closed", "next_look", "sent_at_once", "write_timed_out"]

CHANNEL = "console"

_LOOK = 0.5


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

    def send(self, data: bytes) -> int:
        """Type what the terminal takes at once; how many bytes, 0 if none. Closed: as for `write`."""

    async def write(self, data: bytes, timeout: float | None) -> None:
        """Type. Timeout: the terminal did not take all of it in time. Closed: it has ended, or after `close()`."""

    async def close(self) -> None:
        """Let the terminal and its lock go. Closing twice is fine."""


def closed(path: str, *, ended: bool = False) -> Closed:
    why = "has ended: the domain or its console daemon is gone" if ended else "was closed"
    return Closed(f"the console at {path} {why}", operation="console", channel=CHANNEL, path=path)


def next_look(deadline: float | None) -> float:
    """Until when to wait before it is looked again whether the console is still ours."""
    soon = time.monotonic() + _LOOK
    return soon if deadline is None else min(deadline, soon)


def check_kept(terminal: Terminal) -> None:
    """Closed: another program has taken it over."""
    if not terminal.closed and not terminal.kept():
        raise Closed(
            f"another program has taken over the console at {terminal.path}",
            operation="console",
            channel=CHANNEL,
            path=terminal.path,
        )


def sent_at_once(terminal: Terminal, data: bytes | memoryview) -> int:
    """How many bytes of it the terminal has taken, without waiting. Closed: it has ended."""
    try:
        return terminal.send(data)
    except BlockingIOError:
        return 0
    except OSError as error:
        raise closed(terminal.path, ended=True) from error


def write_timed_out(path: str, left: int, timeout: float | None) -> Timeout:
    return Timeout(
        f"the console at {path} did not take the last {left} bytes within {timeout:g} s",
        operation="console",
        channel=CHANNEL,
        path=path,
    )
