"""What must be carried out to its end, even if whoever waits for it is cut off meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

__all__ = ["to_its_end", "uncut"]

T = TypeVar("T")


async def uncut(work: Coroutine[Any, Any, T]) -> T:
    """What the work gives. A cancellation counts when the work has ended."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait((task,))
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        task.exception()  # looked at: the cancellation is what is told
        raise cancelled
    return task.result()


async def to_its_end(work: Coroutine[Any, Any, T]) -> T:
    """What the work gives. A cancellation is forgotten: what was to be done has been done by then."""
    task = asyncio.ensure_future(work)
    waiting = asyncio.current_task()
    while not task.done():
        try:
            await asyncio.wait((task,))
        except asyncio.CancelledError:
            assert waiting is not None
            waiting.uncancel()
    return task.result()
