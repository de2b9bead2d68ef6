"""What happens to the domains of a simulated hypervisor, for those who live in or beside them: bus and guests."""

from __future__ import annotations

import enum
from collections.abc import Callable

__all__ = ["Change", "Listener"]


class Change(enum.Enum):
    """What has just happened to a domain."""

    CREATED = "created"
    PAUSED = "paused"
    UNPAUSED = "unpaused"
    STOPPED = "stopped"  # its kernel has shut down, or crashed
    RESUMED = "resumed"  # its kernel goes on
    DYING = "dying"
    DESTROYED = "destroyed"


Listener = Callable[[int, Change], None]
"""Called with the domain's id."""
