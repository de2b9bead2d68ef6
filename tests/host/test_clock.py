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


def test_what_is_due_happens_in_order_each_at_its_moment() -> None:
    clock = HeldClock()
    seen: list[tuple[str, int]] = []

    def note(name: str) -> None:
        seen.append((name, clock.now()))

    def ask_again() -> None:
        note("first")
        clock.call_later(0.5, lambda: note("asked for later"))

    clock.call_later(2, lambda: note("second"))
    clock.call_later(1, ask_again)
    clock.call_later(1, lambda: note("at the same moment"))
    clock.call_later(1, lambda: note("cancelled")).cancel()
    clock.advance(0.9)
    assert seen == []
    clock.advance(5)
    assert seen == [
        ("first", 10**9),
        ("at the same moment", 10**9),
        ("asked for later", 1_500_000_000),
        ("second", 2 * 10**9),
    ]
    assert clock.now() == 5_900_000_000
    assert clock.next_due() is None
