"""What happened between two looks at the domains. Pure: `events` takes the looks, and tells what is found here.

A look is a mapping from (domid, handle) to what was seen. Two looks cannot see everything: what was done and undone
in between leaves no trace, several changes come as one, and of a domain that has gone the reason is known only if a
look caught it dying or shut down; else it is "unknown".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from purevirt._typing import NamedTuple
from purevirt.model.events import EventKind, EventSource

__all__ = ["Found", "Key", "Seen", "compare", "compare_devices"]

Key = tuple[int, bytes]  # domid, handle


class Seen(NamedTuple):
    """What matters of a domain at one look. `paused` is None where only the store was looked at."""

    name: str | None
    paused: bool | None = None
    stopped: str | None = None
    """Why it has shut down ("poweroff" …); None: it has not, as far as can be seen."""
    ran: bool = True
    """Whether it has ever run: one that has not is created, but not yet started."""


class Found(NamedTuple):
    """An event, before it is numbered: who noticed what, of whom."""

    source: EventSource
    kind: EventKind
    key: Key
    name: str | None
    detail: str | None = None


_HV = EventSource.HYPERVISOR
_STORE = EventSource.STORE
_CRASHES = ("crash", "watchdog")


def compare(
    old: Mapping[Key, Seen], new: Mapping[Key, Seen], dying: Mapping[Key, str], source: EventSource
) -> list[Found]:
    """What happened, in a likely order: who went, who came, who changed.

    `dying` are those that were seen being torn down, with the reason; `source` is who made us look.
    """
    found = [
        Found(source, EventKind.STOPPED, key, was.name, dying.get(key) or was.stopped or "unknown")
        for key, was in old.items()
        if key not in new
    ]
    for key, now in new.items():
        before = old.get(key)
        if before is None:
            found.append(Found(source, EventKind.CREATED, key, now.name))
            if now.ran and now.paused is not None:
                found.append(Found(_HV, EventKind.STARTED, key, now.name, "booted"))
            before = now._replace(stopped=None, paused=None if now.paused is None else False)
        found += _changes(key, before, now)
    return found


def _changes(key: Key, before: Seen, now: Seen) -> list[Found]:
    found = []
    if now.name != before.name and now.name is not None and before.name is not None:
        found.append(Found(_STORE, EventKind.RENAMED, key, now.name, before.name))
    if now.stopped is not None and now.stopped != before.stopped:
        kind = EventKind.CRASHED if now.stopped in _CRASHES else EventKind.SHUTDOWN
        found.append(Found(_HV, kind, key, now.name, now.stopped))
    elif now.stopped is None and now.paused and before.paused is False and now.ran:
        found.append(Found(_HV, EventKind.SUSPENDED, key, now.name, "paused"))
    elif now.stopped is None and now.paused is False and (before.paused or before.stopped):
        if before.ran:
            found.append(Found(_HV, EventKind.RESUMED, key, now.name, "unpaused"))
        else:
            found.append(Found(_HV, EventKind.STARTED, key, now.name, "booted"))
    return found


def compare_devices(
    key: Key, name: str | None, old: Mapping[str, Sequence[str]], new: Mapping[str, Sequence[str]]
) -> list[Found]:
    """One event if devices came or went; its detail names their kinds ("vbd, vif")."""
    kinds = sorted(kind for kind in {*old, *new} if sorted(old.get(kind, ())) != sorted(new.get(kind, ())))
    return [Found(_STORE, EventKind.DEVICES, key, name, ", ".join(kinds))] if kinds else []
