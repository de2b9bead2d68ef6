"""The states in which the two halves of a device find each other, and what each kind of device tells the other half.

Source: xen/include/public/io/xenbus.h, blkif.h and netif.h.
"""

from __future__ import annotations

import enum

__all__ = ["RINGS", "State", "state_of"]


class State(enum.IntEnum):
    """XenbusState*."""

    UNKNOWN = 0
    INITIALISING = 1
    INIT_WAIT = 2  # a backend's: ready for its frontend
    INITIALISED = 3
    CONNECTED = 4
    CLOSING = 5
    CLOSED = 6
    RECONFIGURING = 7
    RECONFIGURED = 8


RINGS: dict[str, tuple[str, ...]] = {
    "vbd": ("ring-ref",),
    "vif": ("tx-ring-ref", "rx-ring-ref"),
}
"""The nodes by which a frontend says which pages it has granted."""


def state_of(text: str | bytes | None) -> State:
    """The state that a node says; UNKNOWN for one that says nothing that can be understood."""
    if text is None:
        return State.UNKNOWN
    word = text.decode("ascii", "replace") if isinstance(text, bytes) else text
    if len(word) == 1 and "0" <= word <= "8":
        return State(int(word))
    return State.UNKNOWN
