"""The guest's side of its console: what it prints, as far as there is room in the ring; the rest waits for room.

A kernel does not stop for a console that nobody reads: beyond BACKLOG bytes the newest output is lost.
"""

from __future__ import annotations

from collections.abc import Callable

from purevirt.wire.bus.rings import ConsoleRing, RingBroken

__all__ = ["BACKLOG", "Console"]

BACKLOG = 64 * 1024


class Console:
    """A ring and its port. `notify` rings the console's daemon; call `pump` when it rings."""

    def __init__(self, ring: ConsoleRing, notify: Callable[[], None]) -> None:
        self._ring = ring
        self._notify = notify
        self._waiting = bytearray()
        self.lost = 0
        """How many bytes nobody will ever see."""
        self.typed = bytearray()
        """What was typed at it."""

    def print(self, text: str) -> None:
        """A line of output."""
        data = text.encode("utf-8", "replace") + b"\n"
        room = BACKLOG - len(self._waiting)
        self.lost += max(0, len(data) - room)
        self._waiting += data[:room]
        self.pump()

    def pump(self) -> None:
        """Send what waits; take what was typed."""
        try:
            sent = self._ring.output.put(self._waiting)
            typed = self._ring.input.take()
        except RingBroken:
            return
        del self._waiting[:sent]
        self.typed += typed
        if sent or typed:
            self._notify()
