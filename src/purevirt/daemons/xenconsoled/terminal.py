"""A guest's terminal on a simulated host: a pty, whose other end `purevirt console` opens by its path.

The daemon keeps both ends open, as the real one does, so that readers may come and go. What nobody reads waits here,
and beyond LIMIT bytes the oldest is dropped. Simulated kernels end their lines with a bare LF, where Linux's terminal
layer would send CR LF; so the CR is put in here.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable

from purevirt.channels.console.terminal import make_raw

__all__ = ["LIMIT", "GuestTerminal"]

LIMIT = 64 * 1024


class GuestTerminal:
    """One pty. `typed` is called with what is typed at it. OSError: there is none to be had."""

    def __init__(self, typed: Callable[[bytes], None]) -> None:
        self._typed = typed
        self._loop = asyncio.get_running_loop()
        self._waiting = bytearray()
        self._writing = False
        self._master, self._slave = os.openpty()
        make_raw(self._slave)
        os.set_blocking(self._master, False)
        self.path = os.ttyname(self._slave)
        self._listening = False
        self.listen(True)

    def show(self, text: bytes) -> None:
        """What the guest has printed."""
        self._waiting += text.replace(b"\n", b"\r\n")
        del self._waiting[: max(0, len(self._waiting) - LIMIT)]
        self._flush()

    def listen(self, wanted: bool) -> None:
        """Whether to read on: what a guest does not take waits in the terminal, and then with whoever types."""
        if wanted != self._listening and self._master >= 0:
            self._listening = wanted
            if wanted:
                self._loop.add_reader(self._master, self._readable)
            else:
                self._loop.remove_reader(self._master)

    def close(self) -> None:
        """Hang up: whoever reads it sees it end. Closing twice is no error."""
        if self._master >= 0:
            self._flush()
            self._loop.remove_reader(self._master)
            self._loop.remove_writer(self._master)
            os.close(self._slave)
            os.close(self._master)
            self._master = self._slave = -1

    def _readable(self) -> None:
        with contextlib.suppress(OSError):
            data = os.read(self._master, 4096)
            if data:
                self._typed(data)

    def _flush(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._waiting:
                del self._waiting[: os.write(self._master, self._waiting)]
        if bool(self._waiting) != self._writing:
            self._writing = not self._writing
            if self._writing:
                self._loop.add_writer(self._master, self._flush)
            else:
                self._loop.remove_writer(self._master)
