"""How the blocking API runs the one core: a coroutine that never suspends is a function.

Channel clients and drivers are written once, as `async def`, and await nothing but their transport. Over a
blocking transport no await ever suspends, so the first `send(None)` runs the coroutine to its end: no event loop,
no thread.
"""

from __future__ import annotations

from collections.abc import Coroutine

from purevirt._typing import Any, TypeVar

__all__ = ["run_blocking"]

T = TypeVar("T")


def run_blocking(coro: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never suspends and return its result."""
    try:
        coro.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    finally:
        coro.close()
    raise RuntimeError(
        "a coroutine over a blocking transport suspended; it awaited something else than its transport"
    )
