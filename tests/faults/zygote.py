"""A process that gives birth to lives of the Xen daemon, each of which can be told to die at a certain point.

    python tests/faults/zygote.py ROOT

It reads a line for each life from standard input ("live"), forks, and says "pid N", "ready" and "died STATUS". A life
that gets SIGUSR1 counts its points from then on, and kills itself (SIGKILL) at the one whose number is in ROOT/die-at:
before each transaction of the database and after it, before each change of the hypervisor and of the Xen Store, and at
each step that a job reports. So every order in which the outside world can have heard of it comes up.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from purevirt.channels.hypercall.client import HypercallClient
from purevirt.channels.xenstore.client import StoreClient
from purevirt.daemons.xend.config_store import Database
from purevirt.daemons.xend.managed.jobs import Jobs
from purevirt.daemons.xend.service import Service
from purevirt.daemons.xend.settings import Settings


class Fate:
    """Counts, and kills."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._left: int | None = None

    def arm(self) -> None:
        self._left = int(Path(self._root, "die-at").read_text())

    def point(self) -> None:
        if self._left is None:
            return
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self._left -= 1

    def before(
        self, owner: type, name: str, counts: Callable[[dict[str, Any]], bool] = lambda _: True
    ) -> None:
        """Let each call of a method be a point."""
        method = getattr(owner, name)

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            if counts(kwargs):
                self.point()
            return method(*args, **kwargs)

        setattr(owner, name, wrapped)

    def around_database(self) -> None:
        run = Database.run

        async def wrapped(database: Database, work: Any, **how: Any) -> Any:
            changes = how.get("changes", True)
            if changes:
                self.point()
            value = await run(database, work, **how)
            if changes:
                self.point()
            return value

        Database.run = wrapped  # type: ignore[assignment,method-assign]


async def live(root: str) -> None:
    fate = Fate(root)
    fate.before(HypercallClient, "_may_change")
    for name in ("transaction", "introduce", "release", "resume", "_change"):
        fate.before(StoreClient, name)
    fate.before(Jobs, "_reported")
    fate.around_database()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, fate.arm)
    ended = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    service = Service(
        Settings(root, read_only_store=False, classic="", vcpu_wait=0.0, restart_count=1000, parallel_jobs=8)
    )
    await service.start()
    say("ready")
    await ended.wait()
    await service.stop()


def say(line: str) -> None:
    os.write(1, f"{line}\n".encode())


def main() -> None:
    root = sys.argv[1]
    for line in sys.stdin:
        if line.strip() != "live":
            return
        pid = os.fork()
        if not pid:
            status = 1
            try:
                asyncio.run(live(root))
                status = 0
            finally:
                os._exit(status)
        say(f"pid {pid}")
        _, status = os.waitpid(pid, 0)
        say(f"died {os.waitstatus_to_exitcode(status)}")


if __name__ == "__main__":
    main()
