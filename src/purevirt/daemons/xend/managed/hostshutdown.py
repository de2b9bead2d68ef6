"""The host is going down: its domains are saved, or asked to shut down, and started again with the host.

A domain that is only running, not defined, has nothing that it could be started from: it is asked to shut down.
"""

from __future__ import annotations

import asyncio
import logging
import os

from purevirt.daemons.xend.config_store import Supervised
from purevirt.daemons.xend.managed import leaving
from purevirt.daemons.xend.managed.jobs import Step
from purevirt.daemons.xend.managed.manager import Manager
from purevirt.daemons.xend.managed.startup import AT_SHUTDOWN
from purevirt.errors import OperationError, XenError
from purevirt.model import DomainInfo, DomainRef, JobKind, JobState, ShutdownMode

__all__ = ["PATIENCE", "going_down", "see_domains_off"]

PATIENCE = 60.0
"""How long guests are given to shut down, in seconds."""

_SYSTEMD = "/run/systemd/system"
_LOOK = 0.25

_log = logging.getLogger(__name__)


async def going_down() -> bool:
    """Whether systemd is taking the machine down, and not only this daemon."""
    if not await asyncio.to_thread(os.path.isdir, _SYSTEMD):
        return False
    try:
        process = await asyncio.create_subprocess_exec(
            "systemctl",
            "is-system-running",
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        said, _ = await asyncio.wait_for(process.communicate(), 10)
    except (OSError, TimeoutError) as error:
        _log.error("whether the host is going down cannot be told: %s", error)
        return False
    return said.strip() == b"stopping"


async def see_domains_off(manager: Manager, how: str, patience: float = PATIENCE) -> None:
    """Do what the setting says: "save", "shutdown" or "none". Returns when all have gone that could."""
    if how == "none":
        return
    manager.stopping = True  # no policy is carried out any more
    rows = [row for row in manager.supervised.all() if row.phase == "running"]
    saved = [row for row in rows if how == "save" and manager.catalogue.get(row.handle) is not None]
    others = [row for row in rows if row not in saved]
    _log.info("the host is going down: %d domains are saved, %d shut down", len(saved), len(others))
    await asyncio.gather(
        *(_save(manager, row) for row in saved), *(_shut_down(manager, row, patience) for row in others)
    )


async def _save(manager: Manager, row: Supervised) -> None:
    async def work(step: Step) -> None:
        info = await manager.running(DomainRef(row.handle, row.domid, row.name), "save")
        await leaving.save(manager, step, info.ref, None)

    try:
        job = await manager.jobs.begin(JobKind.SAVE, row.handle, row.name, work)
        while job.state is JobState.RUNNING:
            job = await manager.jobs.look(job.id, job.revision, 60.0)
        if job.state is JobState.DONE:
            await _remember(manager, row)
    except XenError as error:
        _log.error("domain %s is not saved: %s", row.name, error)


async def _shut_down(manager: Manager, row: Supervised, patience: float) -> None:
    loop = asyncio.get_running_loop()
    end = loop.time() + patience
    try:
        info = await manager.active(row.handle, row.domid)
        if info is None:
            return
        if manager.catalogue.get(row.handle) is not None:
            await _remember(manager, row)
        answer = await manager.toolstack.shutdown(info, ShutdownMode.POWEROFF, patience)
        if answer is not None:
            await answer()
        while loop.time() < end and not _gone(await manager.active(row.handle, row.domid)):
            await manager.rest(_LOOK)
    except XenError as error:
        _log.error("domain %s is not shut down: %s", row.name, error)


def _gone(info: DomainInfo | None) -> bool:
    return info is None or "s" in (info.flags or "")


async def _remember(manager: Manager, row: Supervised) -> None:
    """Have it started with the host."""
    try:
        await manager.supervised.put(row._replace(phase="stopped", reason=AT_SHUTDOWN), durable=True)
    except OperationError as error:
        _log.error("that domain %s ran is not kept: %s", row.name, error)
