"""Domains go: to a file, to another host. And their memory is dumped.

A domain on its way out is "leaving", with where to as its action, so that the daemon's next life can tell whether it
has left: then its state is in the file, or else it goes on here and the file is not kept.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Awaitable

from purevirt.daemons.xend.config_store import Supervised, rows
from purevirt.daemons.xend.managed.adopting import adopt_elsewhere
from purevirt.daemons.xend.managed.finishing import to_its_end
from purevirt.daemons.xend.managed.jobs import Step
from purevirt.daemons.xend.managed.manager import Manager, nobodys
from purevirt.daemons.xend.toolstack.builder import Dump, Migration
from purevirt.errors import OperationError
from purevirt.model import DomainInfo, DomainRef, EventKind

__all__ = [
    "DUMP_CRASH",
    "DUMP_HELD",
    "MANAGED",
    "MIGRATE",
    "dump",
    "managed_save_path",
    "migrate",
    "save",
    "stay",
]

SAVE, MANAGED, MIGRATE = "save ", "managed-save ", "migrate "
DUMP, DUMP_HELD, DUMP_CRASH = "dump-live ", "dump ", "dump-crash "
"""What a row's action begins with; what follows is the file, or the host."""


def managed_save_path(manager: Manager, handle: bytes) -> str:
    """Where the managed save of a domain is."""
    return f"{manager.state}/save/{DomainRef(handle).uuid}.save"


async def save(manager: Manager, step: Step, ref: DomainRef, path: str | None) -> None:
    """The work of a job: to a file, or (None) to where the daemon finds it when the domain is started again."""
    async with manager.hold(ref.handle):
        info = await manager.running(ref, "save")
        managed = path is None
        if path is None:
            path = managed_save_path(manager, ref.handle)
            manager.prepare(path)
        else:
            _must_be_new(path, "save")
        await _leave(
            manager,
            info,
            (MANAGED if managed else SAVE) + path,
            manager.builder.save(info, path, step.report),
        )
        await to_its_end(saved(manager, ref.handle, path if managed else None))
        manager.tell(EventKind.STOPPED, info, "saved")


def _must_be_new(path: str, operation: str) -> None:
    """Refuse a file that is there, before it is written down as ours: the daemon's next life would remove it."""
    for name in (path, f"{path}.part"):
        if os.path.lexists(name):
            raise OperationError(
                f"{operation}: {name}: it exists already",
                operation=operation,
                path=name,
                errno=errno.EEXIST,
            )


async def saved(manager: Manager, handle: bytes, managed: str | None) -> None:
    """It is gone, and its state is in a file: answer for it no more. A managed save is its definition's."""
    if managed is None:
        await manager.supervised.forget(handle)
        return
    await manager.supervised.forget(handle, lambda db: rows.set_saved(db, handle, managed), durable=True)
    manager.catalogue.saved(handle, True)


async def migrate(manager: Manager, step: Step, ref: DomainRef, where: Migration) -> None:
    """The work of a job."""
    async with manager.hold(ref.handle):
        info = await manager.running(ref, "migrate")
        await _leave(manager, info, MIGRATE + where.host, manager.builder.migrate(info, where, step.report))
        await to_its_end(_migrated(manager, step, info, where))


async def _migrated(manager: Manager, step: Step, info: DomainInfo, where: Migration) -> None:
    manager.tell(EventKind.STOPPED, info, "migrated")
    row = manager.supervised.get(info.handle)
    here = await manager.active(info.handle)
    if here is None or row is None or not row.text:
        supervised = row is not None and bool(row.text)
        await manager.supervised.forget(info.handle)
        if here is None and supervised:
            wrong = await adopt_elsewhere(where, info.name or "")
            step.note(
                f"the Xen daemon of {where.host} answers for it"
                if wrong is None
                else f"nobody answers for it at {where.host}: {wrong}"
            )
        return
    # It has moved to the host that it was on.
    await manager.supervised.put(row._replace(phase="running", action=None, domid=here.domid))


async def dump(manager: Manager, step: Step, ref: DomainRef, path: str, how: Dump) -> None:
    """The work of a job."""
    async with manager.hold(ref.handle):
        info = await manager.running(ref, "dump")
        _must_be_new(path, "dump")
        held = not how.live and not set(info.flags or "") & set("psc")
        action = (DUMP_CRASH if how.crash else DUMP_HELD if held else DUMP) + path
        await _leave(manager, info, action, manager.builder.dump(info, path, how, step.report), "dumping")
        if how.crash:
            await to_its_end(manager.supervised.forget(ref.handle))
            manager.tell(EventKind.STOPPED, info, "crash")
        else:
            await to_its_end(_stayed(manager, info.handle))


async def _stayed(manager: Manager, handle: bytes) -> None:
    row = manager.supervised.get(handle)
    if row is not None:
        await stay(manager, row)


async def _leave(
    manager: Manager, info: DomainInfo, action: str, work: Awaitable[None], phase: str = "leaving"
) -> None:
    """Let it go; if it cannot, it stays as it was. A domain that nobody answers for has a row meanwhile."""
    old = manager.supervised.get(info.handle)
    if old is None:
        old = nobodys(info, manager.boot)
    try:
        await manager.supervised.put(old._replace(phase=phase, action=action))
    except BaseException:
        if hasattr(work, "close"):
            work.close()
        raise
    try:
        await work
    except BaseException:
        await to_its_end(stay(manager, old))
        raise


async def stay(manager: Manager, row: Supervised) -> None:
    """It has not left."""
    if row.text:
        await manager.supervised.put(row._replace(phase="running", action=None))
    else:
        await manager.supervised.forget(row.handle)
