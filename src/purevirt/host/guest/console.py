"""The guest's side of its console: what it prints, as far as there is room in the ring; the rest waits for room.

A kernel does not stop for a console that nobody reads: beyond BACKLOG bytes the newest output is lost. What is typed is
echoed, and a very small shell answers each line.
"""

from __future__ import annotations

from collections.abc import Callable

from purevirt.wire.bus.rings import ConsoleRing, RingBroken

__all__ = ["BACKLOG", "Console"]

BACKLOG = 64 * 1024
LINE = 255
"""How many bytes of a line are taken; the rest is dropped."""


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
        self._line = bytearray()

    def print(self, text: str) -> None:
        """A line of output."""
        self._show(text.encode("utf-8", "replace") + b"\n")
        self.pump()

    def _show(self, data: bytes) -> None:
        room = BACKLOG - len(self._waiting)
        self.lost += max(0, len(data) - room)
        self._waiting += data[:room]

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
        if typed:
            self._answer(typed)

    def _answer(self, typed: bytes) -> None:
        """Show what was typed, and do what each line says: `echo WORDS` is all that this shell knows."""
        for byte in typed:
            if byte in b"\r\n":
                line, self._line = bytes(self._line), bytearray()
                command, _, words = line.decode("utf-8", "replace").strip().partition(" ")
                self._show(b"\n")
                if command == "echo":
                    self._show(f"{words}\n".encode())
                elif command:
                    self._show(f"sh: {command}: not found\n".encode())
                self._show(b"# ")
            elif byte in b"\b\x7f":
                if self._line:
                    del self._line[-1]
                    self._show(b"\b \b")
            elif len(self._line) < LINE:
                self._line.append(byte)
                self._show(bytes((byte,)))
        self.pump()
