"""Simulated time."""

from __future__ import annotations

import pytest

from purevirt.host.clock import HeldClock, RealClock


def test_a_held_clock_moves_only_when_it_is_told() -> None:
    clock = HeldClock()
    assert clock.now() == clock.now() == 0
    clock.advance(1.5)
    assert clock.now() == 1_500_000_000
    with pytest.raises(ValueError, match="does not go back"):
        clock.advance(-1)


def test_a_real_clock_never_goes_back() -> None:
    clock = RealClock()
    assert clock.now() <= clock.now()
