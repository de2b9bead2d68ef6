"""Which channel serves what: the words of the routing table that `purevirt explain` prints."""

from __future__ import annotations

import enum

from purevirt._typing import NamedTuple

__all__ = ["Access", "Channel", "Route"]


class Access(enum.Enum):
    """What answered when the connection was opened: the key of the routing table.

    With or without hypercalls and writes (RW, RO), and with or without the Xen daemon.
    """

    RW = "rw"
    RW_DAEMON = "rw+daemon"
    RO = "ro"
    RO_DAEMON = "ro+daemon"

    @property
    def read_only(self) -> bool:
        """Whether nothing may be changed on such a connection."""
        return self.value[1] == "o"

    @property
    def daemon(self) -> bool:
        """Whether the Xen daemon answered."""
        return self.value.endswith("+daemon")


class Channel(enum.Enum):
    """A way from the library to the host."""

    HYPERVISOR = "hypervisor"
    STORE = "store"
    DAEMON = "daemon"
    FILES = "files"
    LIBRARY = "library"


class Route(NamedTuple):
    """One line of the table: `channels` serve `operation`, the first decides; none: not on this connection."""

    operation: str
    channels: tuple[Channel, ...]
    libvirt: str | None
    """libvirt's name for the same call."""
    note: str
    """What each channel contributes, or why there is none."""
