"""What becomes of a domain that has stopped: the pure part, as tables."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purevirt.daemons.xend.managed.policies import LONGEST, Slowing, action, next_restart
from purevirt.model import StateReason
from purevirt.model.description import Action, Lifecycle

USUAL = {
    StateReason.POWEROFF: Action.DESTROY,
    StateReason.REBOOT: Action.RESTART,
    StateReason.CRASH: Action.DESTROY,
    StateReason.WATCHDOG: Action.DESTROY,
    StateReason.SOFT_RESET: Action.DESTROY,
    StateReason.SUSPEND: None,
    StateReason.UNKNOWN: None,
}


@pytest.mark.parametrize("reason", list(StateReason))
def test_what_nothing_is_said_of(reason: StateReason) -> None:
    assert action(Lifecycle(), reason) is USUAL.get(reason)


@pytest.mark.parametrize("chosen", [each for each in Action if each is not Action.SOFT_RESET])
def test_what_is_said_of_each(chosen: Action) -> None:
    asked = (
        (Lifecycle(on_poweroff=chosen), StateReason.POWEROFF),
        (Lifecycle(on_reboot=chosen), StateReason.REBOOT),
        (Lifecycle(on_crash=chosen), StateReason.CRASH),
        (Lifecycle(on_watchdog=chosen), StateReason.WATCHDOG),
        (Lifecycle(on_soft_reset=chosen), StateReason.SOFT_RESET),
    )
    assert {action(*each) for each in asked} == {chosen}


def test_restarts_in_quick_succession_are_slowed_down() -> None:
    settings = Slowing(3, 60.0, 10.0)
    restarts, waits = 0, []
    for ran in (1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 61.0, 1.0):
        restarts, wait = next_restart(settings, restarts, ran)
        waits.append(wait)
    assert waits == [0.0, 0.0, 0.0, 10.0, 20.0, 40.0, 0.0, 0.0]


@given(st.integers(0, 10_000), st.floats(0, 1e9), st.floats(0, 3600))
def test_no_restart_waits_for_ever(restarts: int, ran: float, slowdown: float) -> None:
    count, wait = next_restart(Slowing(5, 60.0, slowdown), restarts, ran)
    assert 0.0 <= wait <= LONGEST
    assert count == 1 if ran >= 60.0 else count == restarts + 1
