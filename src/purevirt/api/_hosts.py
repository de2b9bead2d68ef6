"""The simulated host behind `test:///default`: one per process, shared while any connection to it is open.

The program that runs it is loaded by name, and only when asked for.
"""

from __future__ import annotations

from purevirt._typing import Protocol

__all__ = ["Lease", "acquire"]


class Lease(Protocol):
    """A share in the host: `root` is where its sockets and files are, until it is released."""

    root: str

    async def release(self, mode: str) -> None: ...


async def acquire(mode: str) -> Lease:
    """Take a share, starting the host if nobody has one. `mode` is "blocking" or "aio"."""
    from purevirt.programs.shared import acquire as start  # the one place where the API reaches up, by design

    return await start(mode)
