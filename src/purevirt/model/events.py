"""What happened to a domain: one shape for the library, the RPC and the daemon's journal.

libvirt's numbers (`virDomainEventType` and the detail enums, from its libvirt-domain.h) are filled in where libvirt has
the same event, since tools know them.
"""

from __future__ import annotations

import enum

from purevirt._typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from uuid import UUID

__all__ = ["Event", "EventKind", "EventSource", "libvirt_codes"]


class EventKind(enum.StrEnum):
    """What happened."""

    CREATED = "created"
    """A domain exists that did not before; it may still be paused, or being built."""
    STARTED = "started"
    """It was created, and runs."""
    STOPPED = "stopped"
    """It is gone. Detail: why, as far as anybody saw."""
    SUSPENDED = "suspended"
    RESUMED = "resumed"
    CRASHED = "crashed"
    SHUTDOWN = "shutdown"
    """It has shut down, and is still there. Detail: poweroff, reboot, suspend …"""
    RENAMED = "renamed"
    """Detail: the name before."""
    DEFINED = "defined"
    """The daemon remembers it from now on, or remembers something else. Detail: added, updated."""
    UNDEFINED = "undefined"
    """The daemon has forgotten it."""
    DEVICES = "devices"
    """Devices were added or taken away. Detail: of which kind."""
    CHANGED = "changed"
    """The daemon changed something. Detail: the operation ("set_memory")."""
    LOST = "lost"
    """Events were dropped because nobody took them: look at everything again. It concerns no domain."""


class EventSource(enum.StrEnum):
    """Who noticed: a watch on the Xen Store, two looks at the hypervisor, or the daemon that did it."""

    STORE = "store"
    HYPERVISOR = "hypervisor"
    XEND = "xend"


class Event(NamedTuple):
    """One event. `seq` orders one stream; `time` is Unix time in seconds, of when it was noticed.

    Identity is as far as the source knows it. `detail` is a word that depends on the kind ("unknown" where nobody
    could see the reason). The last two are libvirt's event and detail numbers, None where it has no such event.
    """

    seq: int
    time: float
    source: EventSource
    kind: EventKind
    domid: int | None
    uuid: UUID | None
    name: str | None
    detail: str | None = None
    libvirt_event: int | None = None
    libvirt_detail: int | None = None


# kind -> libvirt's event, its detail by our word, and the detail where the word is another or none.
_LIBVIRT: dict[EventKind, tuple[int, dict[str, int], int]] = {
    EventKind.STARTED: (2, {"booted": 0, "migrated": 1, "restored": 2}, 0),
    EventKind.SUSPENDED: (3, {"paused": 0, "migrated": 1}, 0),
    EventKind.RESUMED: (4, {"unpaused": 0, "migrated": 1}, 0),
    EventKind.STOPPED: (
        5,
        {
            "poweroff": 0,
            "reboot": 0,
            "destroyed": 1,
            "crash": 2,
            "watchdog": 2,
            "migrated": 3,
            "suspend": 4,
            "saved": 4,
            "failed": 5,
        },
        0,
    ),
    EventKind.SHUTDOWN: (6, {"poweroff": 0, "reboot": 0}, 0),
    EventKind.CRASHED: (8, {}, 0),
    EventKind.RENAMED: (0, {}, 2),
    EventKind.DEFINED: (0, {"added": 0, "updated": 1}, 0),
    EventKind.UNDEFINED: (1, {}, 0),
}


def libvirt_codes(kind: EventKind, detail: str | None) -> tuple[int | None, int | None]:
    """libvirt's event and detail numbers for one of our events; (None, None) where it has no such event."""
    known = _LIBVIRT.get(kind)
    if known is None:
        return None, None
    event, details, usual = known
    return event, details.get(detail or "", usual)
