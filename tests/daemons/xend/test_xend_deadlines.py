"""Work under a deadline: what it gives, what it raises, and who cuts it off."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from purevirt.daemons.xend.deadlines import done_by


async def within(seconds: float, work: Any) -> Any:
    loop = asyncio.get_running_loop()
    return await done_by(loop, loop.time() + seconds, work)


async def at_once() -> int:
    return 1


async def after_turns() -> int:
    await asyncio.sleep(0)
    future = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(future.set_result, 2)
    return int(await future)


async def failing(wait: bool) -> None:
    if wait:
        await asyncio.sleep(0)
    raise KeyError("x")


async def for_ever() -> None:
    await asyncio.get_running_loop().create_future()


async def stubborn() -> int:
    try:
        await asyncio.get_running_loop().create_future()
    except asyncio.CancelledError:
        return 3
    return 0


def test_what_the_work_gives() -> None:
    assert asyncio.run(within(30, at_once())) == 1
    assert asyncio.run(within(30, after_turns())) == 2


@pytest.mark.parametrize("wait", [False, True])
def test_what_the_work_raises(wait: bool) -> None:
    with pytest.raises(KeyError):
        asyncio.run(within(30, failing(wait)))


def test_what_waits_too_long_is_cut_off() -> None:
    with pytest.raises(TimeoutError):
        asyncio.run(within(0.0, for_ever()))


def test_what_is_done_although_it_was_cut_off_counts() -> None:
    assert asyncio.run(within(0.0, stubborn())) == 3


def test_what_never_waits_sets_no_timer() -> None:
    async def run() -> tuple[int, bool]:
        loop: Any = asyncio.get_running_loop()
        value = await done_by(loop, loop.time() + 30, at_once())
        return value, bool(loop._scheduled)

    assert asyncio.run(run()) == (1, False)


def test_a_cancellation_by_somebody_else_passes() -> None:
    async def run() -> None:
        task = asyncio.ensure_future(within(30, for_ever()))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
