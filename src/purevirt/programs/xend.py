"""Starts the Xen daemon and the read-only store: for the command line, and inside a simulated host's event loop.

service = await start_xend(root)        # in any event loop; the host must have its hypervisor and its store
...
await service.stop()                    # and `start_xend` again: killed and restarted alone
"""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import Any

from purevirt.daemons.rostore.server import ReadOnlyStore
from purevirt.daemons.xend import settings_file, unit
from purevirt.daemons.xend.process import Options, run
from purevirt.daemons.xend.service import Service
from purevirt.daemons.xend.settings import DEFAULTS, PENDING, Settings, changes
from purevirt.daemons.xend.sockets import allow_many_files
from purevirt.programs.coarse import CoarseLoop

__all__ = ["Options", "check_config", "main", "print_config", "print_unit", "read_only_store", "start_xend"]


async def start_xend(root: str, **options: Any) -> Service:
    """The daemon of the host below `root`, serving; `options` as `daemons.xend.settings.Settings` has them."""
    service = Service(Settings(root, **options))
    await service.start()
    return service


def main(options: Options) -> None:
    """Serve until SIGTERM or SIGINT, and say "ready" when it does. Raises what kept it from starting."""
    with asyncio.Runner(loop_factory=CoarseLoop) as runner:
        runner.run(run(options))


def print_config(options: Options) -> str:
    """The settings as a TOML of all of them, with comments. ConfigError, InvalidConfig."""
    return settings_file.show(options.load())


def check_config(options: Options) -> list[str]:
    """What is to be said of settings that are good. ConfigError, InvalidConfig if they are not."""
    found = changes(DEFAULTS, options.load())
    return [f"{row.name} is set, and nothing uses it yet" for row in found if row.field in PENDING]


def print_unit() -> str:
    """The unit for systemd, which runs this very installation."""
    return unit.text(unit.command(sys.argv[0]))


def read_only_store(root: str) -> None:
    """The same with the read-only store alone."""
    asyncio.run(_read_only_store(root))


async def _read_only_store(root: str) -> None:
    allow_many_files()
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    store = ReadOnlyStore(root.rstrip("/"))
    await store.start()
    try:
        print("ready", flush=True)
        print(f"rostore: serving on {store.path}", file=sys.stderr, flush=True)
        await ended.wait()
    finally:
        await store.stop()
