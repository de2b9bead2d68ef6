"""The daemon as a process: its settings, signals, log, and what the service manager hears of it.

SIGTERM, SIGINT   the end; calls under way may finish, and domains do not notice
SIGHUP            the settings are read again. What can change while it runs changes, what cannot is named in the log.
                  A file that is wrong is refused as a whole: all stays as it was, and log and status say why.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from purevirt.daemons.xend import access, logs, settings_file, sockets
from purevirt.daemons.xend.managed import hostshutdown
from purevirt.daemons.xend.notify import Notifier
from purevirt.daemons.xend.service import Service
from purevirt.daemons.xend.settings import DEFAULTS, PENDING, Setting, Settings, changes
from purevirt.daemons.xend.watchdog import Watchdog
from purevirt.errors import XenError

__all__ = ["Options", "Process", "run"]

_EXTENSION = 10.0  # seconds between two requests for more time

_log = logging.getLogger(__name__)


class Options(NamedTuple):
    """Where the host is, and its settings: a file (None: the usual one), and on top of it what was given, by field."""

    root: str = ""
    file: str | None = None
    given: Mapping[str, object] = MappingProxyType({})

    def load(self) -> Settings:
        """The settings, as they are now. ConfigError, InvalidConfig."""
        return settings_file.load(self.root, self.file, self.given)


class Process:
    """A service, and whoever manages it."""

    def __init__(self, options: Options, notifier: Notifier) -> None:
        self._options = options
        self._notifier = notifier
        self.service = Service(options.load())
        self._configure_log()

    async def start(self) -> None:
        """Serve, and say so."""
        await self.service.start()
        self._notifier.ready(self._status)
        _log.info(self._status)
        self._mention(None)

    async def stop(self) -> None:
        """End, and say so. When the whole host is going down, its domains are seen to first."""
        self._notifier.stopping()
        if await hostshutdown.going_down():
            asking = asyncio.create_task(self._ask_for_time())
            try:
                await self.service.see_domains_off()
            finally:
                asking.cancel()
        await self.service.stop()

    async def _ask_for_time(self) -> None:
        """Saving a domain takes as long as its memory is large."""
        while True:
            self._notifier.longer(3 * _EXTENSION)
            await asyncio.sleep(_EXTENSION)

    def reload(self) -> None:
        """Read the settings again, and do as they say. Never raises."""
        self._notifier.reloading()
        before = self.service.settings
        try:
            waiting = self.service.apply(self._options.load())
        except XenError as error:
            _log.error("the settings are refused, and stay as they were: %s", error)
            self._notifier.ready(f"{self._status}; settings refused: {error}")
            return
        self._configure_log()
        changed = changes(before, self.service.settings)
        _log.info("the settings were read again; changed: %s", _names(changed))
        if waiting:
            _log.warning("these change when the daemon is started anew: %s", _names(waiting))
        self._mention(before)
        status = f"; waiting for a restart: {_names(waiting)}" if waiting else ""
        self._notifier.ready(self._status + status)

    @contextlib.asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """As long as this lasts the manager's watchdog, if it has one, is told that the daemon lives."""
        period = self._notifier.watchdog
        if period is None:
            yield
            return
        watchdog = Watchdog(self._notifier, period, self.service.prove, self._status)
        task = asyncio.create_task(watchdog.run(), name="xend: watchdog")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    @property
    def _status(self) -> str:
        return f"serving on {self.service.socket}"

    def _configure_log(self) -> None:
        settings = self.service.settings
        logs.configure(settings.log_level, settings.log_format)

    def _mention(self, before: Settings | None) -> None:
        """What somebody who set this should know: of all at the start, later of what is otherwise than before."""
        settings = self.service.settings
        changed = changes(before or DEFAULTS, settings)
        for row in changed:
            if row.field in PENDING:
                _log.warning("%s is set, and nothing uses it yet", row.name)
        if before is None or any(row.field in ("reader_group", "operator_group") for row in changed):
            for group in access.unknown_groups(settings.reader_group, settings.operator_group):
                _log.warning("there is no group %r: nobody is in it until it is made", group)


def _names(rows: Iterable[Setting]) -> str:
    return ", ".join(row.name for row in rows) or "nothing"


async def run(options: Options, ready: Callable[[], None] = lambda: print("ready", flush=True)) -> None:
    """Serve until SIGTERM or SIGINT. `ready` is called when it serves. Raises what kept it from starting."""
    notifier = Notifier.from_environment(os.environ)
    sockets.allow_many_files()
    asked: asyncio.Queue[signal.Signals] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, asked.put_nowait, number)
    try:
        process = Process(options, notifier)
        await process.start()
    except XenError as error:
        notifier.status(f"cannot start: {error}")
        raise
    try:
        ready()
        async with process.watched():
            while await asked.get() is signal.SIGHUP:
                process.reload()
    finally:
        await process.stop()
