"""The daemon comes back: what its last life left undone is finished or undone, and said; and domains that start by
themselves do so, once for each life of the host.

Hypervisor and store say what there is; the database says what was meant. What is found:

    building   nothing of it may stay: it is ended; a restart is begun again
    made       it is let run
    dumping    it is let run, if it was held for that; or it is ended, if it was to be and the file is whole
    leaving    its state is whole: it has left, and what is still there of it is ended. Else it goes on here
    ending     its policy is carried out from where it stopped
    waiting    the restart goes on
    running    it runs on; or it has stopped, and its policy is carried out now; or it is gone
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Iterator

from purevirt.daemons.xend.config_store import Supervised, rows
from purevirt.daemons.xend.managed import building, leaving, remains
from purevirt.daemons.xend.managed.jobs import Step
from purevirt.daemons.xend.managed.keeper import Keeper
from purevirt.daemons.xend.managed.manager import Manager
from purevirt.errors import OperationError, XenError
from purevirt.model import DomainInfo, JobKind, JobState, StateReason

__all__ = ["AT_SHUTDOWN", "begin_autostart", "boot_id", "resolve"]

AT_SHUTDOWN = "host-shutdown"
"""The reason of a row whose domain was running when its host was shut down: it is started with the host again."""

_BOOT = "/proc/sys/kernel/random/boot_id"
_AUTOSTARTED = "autostarted"

_log = logging.getLogger(__name__)


def boot_id(root: str) -> str:
    """Which life of the host this is. OperationError."""
    path = root + _BOOT
    try:
        with open(path, encoding="ascii") as file:
            return file.read().strip()
    except OSError as error:
        raise OperationError(f"{path}: {(error.strerror or str(error)).lower()}", path=path) from error


async def resolve(manager: Manager, keeper: Keeper) -> None:
    """Bring memory and host into agreement."""
    manager.boot = await asyncio.to_thread(boot_id, manager.link.root)
    await manager.catalogue.load()
    await manager.supervised.load()
    unfinished = await manager.jobs.load()
    handles = {job.uuid.bytes for job in unfinished} | {
        row.handle for row in manager.supervised.all() if row.phase in ("building", "leaving", "dumping")
    }
    for row in manager.supervised.all():
        if row.phase == "leaving" and row.boot == manager.boot:
            with _told(f"domain {row.name}, whose state is whole, could not be ended"):
                await _seen_off(manager, row)
    for handle in handles:
        with _told("what was under way of a domain could not be ended"):
            await manager.builder.abandon(handle)
    known = {
        (row.domid, row.handle)
        for row in manager.supervised.all()
        if row.domid is not None and row.boot == manager.boot
    }
    became: dict[bytes, str] = {}
    restarts: list[Supervised] = []
    for row in manager.supervised.all():
        try:
            async with manager.hold(row.handle):
                became[row.handle] = await _resolved(manager, keeper, row, restarts)
        except (XenError, OSError) as error:
            became[row.handle] = f"could not be resolved: {error}"
            _log.error("domain %s: %s", row.name, became[row.handle])
    with _told("what is left of domains could not be cleared away"):
        await remains.clear_domains(manager, known, handles)
    await _clear_files(manager)
    for job in unfinished:
        text = became.get(job.uuid.bytes, "nothing of it was left to be done or undone")
        message = f"the Xen daemon ended in the middle of it; {text}"
        _log.warning("job %d (%s of domain %s): %s", job.id, job.kind.value, job.name, message)
        await manager.jobs.ended(job.id, JobState.INTERRUPTED, None, message)
    for row in restarts:
        await keeper.begin_restart(row)
    keeper.looked(await manager.link.driver.list_domains())


async def _clear_files(manager: Manager) -> None:
    if manager.database.read_only is not None:
        return
    wanted = [
        stored.saved
        for known in manager.catalogue.all()
        if known.managed_save and (stored := await manager.catalogue.stored(known.handle)).saved is not None
    ]
    there = [info.handle for info in await manager.link.driver.list_domains()]
    await asyncio.to_thread(remains.clear_files, manager.state, wanted, there)


async def _resolved(manager: Manager, keeper: Keeper, row: Supervised, restarts: list[Supervised]) -> str:
    """Resolve one, whose lock is held; what became of it, in words."""
    info = await manager.active(row.handle, row.domid) if row.boot == manager.boot else None
    if row.phase == "building":
        return await _building(manager, row, restarts)
    if row.phase == "leaving":
        return await _leaving(manager, row, info)
    if row.phase == "dumping":
        return await _dumping(manager, row, info)
    if row.reason == AT_SHUTDOWN and info is None:
        return "it is started again"
    if row.boot != manager.boot:
        await manager.supervised.forget(row.handle)
        return "the host has been started anew since"
    if row.phase == "made":
        if info is None:
            await manager.supervised.forget(row.handle)
            return "the domain was made, and is gone"
        await building.let_run(manager, row, info, "booted")
        return f"the domain runs, with the id {info.domid}"
    if row.phase in ("ending", "waiting"):
        if row.due is not None:
            restarts.append(row)
            return "the restart goes on"
        if info is not None:
            await keeper.end(row, info, None)
        await manager.supervised.forget(row.handle)
        return f"the domain was ended, as its policy says ({row.action})"
    if info is None:
        await manager.supervised.forget(row.handle)
        return "the domain is gone"
    return f"the domain is there, with the id {info.domid}"


async def _building(manager: Manager, row: Supervised, restarts: list[Supervised]) -> str:
    """A domain in it has no id yet: whatever has the UUID and never ran is what was being built."""
    info = await manager.active(row.handle) if row.boot == manager.boot else None
    if info is not None and _has_run(info):
        await manager.supervised.put(row._replace(phase="running", domid=info.domid, action=None, due=None))
        return f"the domain runs, with the id {info.domid}"
    if info is not None:
        await manager.toolstack.destroy(info)
    if row.due is not None and row.boot == manager.boot:
        restarts.append(await manager.supervised.put(row._replace(phase="waiting", domid=None)))
        return "what was made of it was undone; it is begun again"
    await manager.supervised.forget(row.handle)
    return "what was made of it was undone"


async def _seen_off(manager: Manager, row: Supervised) -> None:
    """End a domain that is suspended and whose state is whole: that was the last step, and perhaps half done, so that
    it cannot go on. Before anybody lets it, since then its state would be out of date."""
    word, _, where = (row.action or "").partition(" ")
    info = await manager.active(row.handle, row.domid)
    if f"{word} " == leaving.MIGRATE or info is None or info.reason is not StateReason.SUSPEND:
        return
    if await asyncio.to_thread(os.path.lexists, where):
        await manager.builder.inspect(where)
        await manager.toolstack.destroy(info)


async def _leaving(manager: Manager, row: Supervised, info: DomainInfo | None) -> str:
    word, _, where = (row.action or "").partition(" ")
    word += " "
    if info is not None:
        if word != leaving.MIGRATE:
            building.remove(where)  # the domain goes on, so its state is out of date
            building.remove(f"{where}.part")
        await leaving.stay(manager, row)
        return "it was undone: the domain is here as before"
    if word == leaving.MIGRATE:
        await manager.supervised.forget(row.handle)
        return "the domain is gone: it should be where it was sent"
    try:
        await manager.builder.inspect(where)
    except XenError as error:
        await manager.supervised.forget(row.handle)
        return f"the domain is gone, and its state is not whole: {error}"
    await leaving.saved(manager, row.handle, where if word == leaving.MANAGED else None)
    return f"it was done: the state is in {where}"


async def _dumping(manager: Manager, row: Supervised, info: DomainInfo | None) -> str:
    word, _, where = (row.action or "").partition(" ")
    building.remove(f"{where}.part")
    if info is None:
        await manager.supervised.forget(row.handle)
        return "the domain is gone"
    if f"{word} " == leaving.DUMP_CRASH and await asyncio.to_thread(os.path.lexists, where):
        await manager.toolstack.destroy(info)
        await manager.supervised.forget(row.handle)
        return f"it was done: the memory is in {where}, and the domain is gone"
    if f"{word} " in (leaving.DUMP_HELD, leaving.DUMP_CRASH) and "p" in (info.flags or ""):
        await manager.toolstack.resume(info)
    await leaving.stay(manager, row)
    return "the domain is here as before"


def _has_run(info: DomainInfo) -> bool:
    return "p" not in (info.flags or "") or bool(info.cpu_time_ns)


@contextlib.contextmanager
def _told(what: str) -> Iterator[None]:
    try:
        yield
    except XenError as error:
        _log.error("%s: %s", what, error)


# --- domains that start by themselves


async def begin_autostart(manager: Manager, enabled: bool) -> None:
    """Begin a job for each, in their order, if that is `enabled`, and once for each life of the host; and for those
    that ran when the host was shut down."""
    known = await manager.database.run(lambda db: rows.meta(db, _AUTOSTARTED), changes=False)
    due = enabled and known != manager.boot
    stopped = {row.handle for row in manager.supervised.all() if row.reason == AT_SHUTDOWN}
    wanted = [
        definition
        for definition in manager.catalogue.all()
        if (due and definition.autostart) or definition.handle in stopped
    ]
    for definition in sorted(wanted, key=lambda known: (known.autostart_order, known.name)):
        if definition.handle in stopped:
            await manager.supervised.forget(definition.handle)
        if await manager.active(definition.handle) is not None:
            continue

        async def work(step: Step, handle: bytes = definition.handle) -> None:
            await building.start(manager, step, handle, False, False)

        with contextlib.ExitStack() as stack, _told(f"domain {definition.name} is not started"):
            stack.enter_context(manager.catalogue.claim(definition.name, definition.handle))
            await manager.jobs.begin(JobKind.START, definition.handle, definition.name, work, holding=stack)
    for handle in stopped:
        await manager.supervised.forget(handle)
    if known == manager.boot:
        return
    with _told("that domains were started with the host is not kept"):
        await manager.database.run(lambda db: rows.set_meta(db, _AUTOSTARTED, manager.boot))
