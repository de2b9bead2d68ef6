"""The host behind `test:///default`: one per process, started by the first connection, stopped with the last.

It runs the domain `test` with a disk and an interface, so that every read has something to show.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from purevirt.programs.machine import Machine

__all__ = ["DefaultLease", "acquire"]

T = TypeVar("T")

_lock = threading.Lock()
_machine: Machine | None = None
_leases = 0


class DefaultLease:
    """One connection's share. `release` twice is no error."""

    def __init__(self, machine: Machine) -> None:
        self.root = machine.root
        self._machine = machine
        self._held = True

    async def release(self, mode: str) -> None:
        """Give the share back; the last one stops the host."""
        if self._held:
            self._held = False
            await _elsewhere(mode, lambda: _drop(self._machine))


async def acquire(mode: str) -> DefaultLease:
    """Take a share; the first one starts the host, in a thread of its own."""
    return DefaultLease(await _elsewhere(mode, _take))


def _forked() -> None:
    """In a child the host's thread is gone, and its directory is the parent's: begin anew."""
    global _lock, _machine, _leases
    _lock, _machine, _leases = threading.Lock(), None, 0


os.register_at_fork(after_in_child=_forked)


def _take() -> Machine:
    global _machine, _leases  # noqa: PLW0603 - this module is the registry of the one shared host
    from purevirt.programs.machine import Machine

    with _lock:
        if _machine is None:
            machine = Machine()
            machine.start()
            machine.run(lambda toolstack: toolstack.create_test())
            atexit.register(machine.stop)  # for those who end without closing
            _machine = machine
        _leases += 1
        return _machine


def _drop(held: Machine) -> None:
    global _machine, _leases  # noqa: PLW0603 - as above
    with _lock:
        if held is not _machine:
            return  # a share that was taken before a fork: it is the parent's to give back
        _leases -= 1
        if _leases == 0 and _machine is not None:
            machine, _machine = _machine, None
            atexit.unregister(machine.stop)
            machine.stop()


async def _elsewhere(mode: str, function: Callable[[], T]) -> T:
    """Starting and stopping a host takes milliseconds: not on the caller's event loop."""
    if mode != "aio":
        return function()
    import asyncio

    return await asyncio.to_thread(function)
