"""What a described guest writes text to: serial ports and channels.

Its console is not described: every domain has one without being told.
"""

from __future__ import annotations

import enum

from purevirt._typing import NamedTuple

__all__ = ["Channel", "ChannelConnection", "Serial"]


class Serial(NamedTuple):
    """An emulated serial port: what it is connected to, in QEMU's words ("pty", "tcp:…", "/dev/ttyS0", "none")."""

    connected: str


class ChannelConnection(enum.Enum):
    PTY = "pty"
    SOCKET = "socket"


class Channel(NamedTuple):
    """A byte stream with a name between guest and backend; at the backend it is a terminal, or a socket at `path`."""

    name: str
    connection: ChannelConnection = ChannelConnection.PTY
    path: str | None = None
    backend_domain: str | None = None

    @property
    def key(self) -> str:
        return self.name
