"""The daemon's event loop, whose clock is that of the last tick."""

from __future__ import annotations

import asyncio
import time

import pytest

from purevirt.programs.coarse import CoarseLoop

TICK = 0.02  # seconds: no kernel ticks more slowly


def test_its_clock_is_the_monotonic_one_and_late_by_a_tick_at_most() -> None:
    with asyncio.Runner(loop_factory=CoarseLoop) as runner:
        loop = runner.get_loop()
        before = time.monotonic()
        seen = loop.time()
        assert before - TICK <= seen <= time.monotonic()


def test_timers_fire_in_their_order_and_deadlines_pass() -> None:
    fired: list[str] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        begun = time.monotonic()
        loop.call_later(0.02, fired.append, "second")
        loop.call_later(0.01, fired.append, "first")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await asyncio.Event().wait()
        assert time.monotonic() - begun >= 0.05 - TICK

    with asyncio.Runner(loop_factory=CoarseLoop) as runner:
        runner.run(main())
    assert fired == ["first", "second"]
