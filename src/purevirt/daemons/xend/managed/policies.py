"""What becomes of a domain that has stopped, and how long a restart waits. Pure.

A domain that stops again and again is slowed down: `most` restarts within `seconds` are made at once; each further one
waits `slowdown`, and the next twice as long, up to LONGEST, until one has run for `seconds`.
"""

from __future__ import annotations

from typing import NamedTuple

from purevirt.model import StateReason
from purevirt.model.description import Action, Lifecycle

__all__ = ["LONGEST", "Slowing", "action", "next_restart"]

LONGEST = 600.0
"""Seconds that a restart waits at the most."""

_DEFAULTS = Lifecycle(Action.DESTROY, Action.RESTART, Action.DESTROY, Action.DESTROY, Action.DESTROY)


def action(lifecycle: Lifecycle, reason: StateReason) -> Action | None:
    """What to do; None: nothing, since a domain that is suspended is waited for by whoever suspended it.

    No builder can do a soft reset, which asks for a new start with the same memory: it ends the domain.
    """
    chosen = Lifecycle(*(said or usual for said, usual in zip(lifecycle, _DEFAULTS, strict=True)))
    found = {
        StateReason.POWEROFF: chosen.on_poweroff,
        StateReason.REBOOT: chosen.on_reboot,
        StateReason.CRASH: chosen.on_crash,
        StateReason.WATCHDOG: chosen.on_watchdog,
        StateReason.SOFT_RESET: chosen.on_soft_reset,
    }.get(reason)
    return Action.DESTROY if found is Action.SOFT_RESET else found


class Slowing(NamedTuple):
    """The settings of that name."""

    most: int
    seconds: float
    slowdown: float


def next_restart(settings: Slowing, restarts: int, ran: float) -> tuple[int, float]:
    """The number of restarts in quick succession, this one included, and the seconds that it waits.

    `restarts` is how many there were before; `ran` how long the domain has run since the last, in seconds.
    """
    count = 1 if ran >= settings.seconds else restarts + 1
    late = count - settings.most
    return count, 0.0 if late <= 0 else min(settings.slowdown * 2.0 ** min(late - 1, 30), LONGEST)
