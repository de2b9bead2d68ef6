"""What callers ask of domains that are to be made, or to leave: the handlers of `operations`. Most begin a job.

A file that a caller names is written and read by root, so an operator's lie below the directories that the settings
name.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from purevirt.daemons.xend.managed import building, descriptions, leaving
from purevirt.daemons.xend.managed.adopting import adopt
from purevirt.daemons.xend.managed.jobs import Step
from purevirt.daemons.xend.managed.manager import Manager
from purevirt.daemons.xend.toolstack.builder import Dump, Migration
from purevirt.daemons.xend.work import Work
from purevirt.errors import Denied, DomainExists, InvalidConfig, WrongState
from purevirt.formats import conversion
from purevirt.model import Job, JobKind, Role
from purevirt.model.definitions import DefinitionText
from purevirt.model.description.secrets import without_secrets

__all__ = [
    "create",
    "dump",
    "managed_save",
    "managed_save_remove",
    "migrate",
    "restore",
    "save",
    "saved_description",
    "start",
    "take_over",
]


# --- domains that are made


def _deadline(work: Work) -> float | None:
    found: float | None = work.arguments["deadline"]
    return found


async def start(work: Work) -> Job:
    manager, values = work.manager, work.arguments
    known = manager.catalogue.find(work.ref)
    if await manager.active(known.handle) is not None:
        raise WrongState(
            f"start: domain {known.name} is running already", operation="start", domain=known.name
        )

    async def work_(step: Step) -> None:
        await building.start(manager, step, known.handle, values["paused"], values["force_boot"])

    return await _begin(work, JobKind.START, known.handle, known.name, work_)


async def create(work: Work) -> Job:
    manager, values = work.manager, work.arguments
    described = descriptions.read(values["text"], values["format"], "create")
    await descriptions.admit(described, None, work.caller.role, manager.link.root, work.roots, "create")
    _undefined(manager, described, "create")
    await manager.free(described.handle, described.name)

    async def work_(step: Step) -> None:
        await building.create(manager, step, described, values["paused"])

    return await _begin(work, JobKind.CREATE, described.handle, described.name, work_)


async def restore(work: Work) -> Job:
    manager, values = work.manager, work.arguments
    path = await _file(work, "restore", values["path"])
    saved = await manager.builder.inspect(path)
    changed = values["text"] is not None
    if changed:
        described = descriptions.read(values["text"], values["format"], "restore")
    else:
        described = descriptions.read(conversion.format(saved.description, "xml").text(), "xml", "restore")
    known = manager.catalogue.get(described.handle)
    # A file may be anybody's: what is described in it counts no more than what its caller brings.
    previous = None if known is None else (await manager.defined(known.handle))[0].description
    await descriptions.admit(described, previous, work.caller.role, manager.link.root, work.roots, "restore")
    if known is not None and known.name != described.name:
        raise DomainExists(
            f"restore: the UUID {known.uuid} is that of domain {known.name}",
            operation="restore",
            domain=known.name,
        )
    if known is not None and known.managed_save:
        raise WrongState(
            f"restore: domain {known.name} has another saved state, of the Xen daemon's: start it, or remove that",
            operation="restore",
            domain=known.name,
        )
    await manager.free(described.handle, described.name)

    async def work_(step: Step) -> None:
        await building.restore(manager, step, path, described, changed, values["paused"])

    return await _begin(work, JobKind.RESTORE, described.handle, described.name, work_)


async def saved_description(work: Work) -> DefinitionText:
    path = await _file(work, "saved_description", work.arguments["path"])
    saved = await work.manager.builder.inspect(path)
    return DefinitionText(conversion.format(without_secrets(saved.description), "xml").text(), "xml", 0)


def _undefined(manager: Manager, described: descriptions.Described, operation: str) -> None:
    known = manager.catalogue.get(described.handle)
    if known is not None:
        raise DomainExists(
            f"{operation}: the UUID {known.uuid} is that of domain {known.name}, which is defined: start it",
            operation=operation,
            domain=known.name,
        )


async def _begin(
    work: Work, kind: JobKind, handle: bytes, name: str, what: Callable[[Step], Awaitable[object]]
) -> Job:
    """Begin a job that makes a domain of that name."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(work.manager.catalogue.claim(name, handle))
        return await work.manager.jobs.begin(
            kind, handle, name, what, user=work.caller.uid, deadline=_deadline(work), holding=stack
        )


# --- domains that leave


async def save(work: Work) -> Job:
    path = await _file(work, "save", work.arguments["path"])
    return await _leave(work, JobKind.SAVE, lambda step: leaving.save(work.manager, step, work.ref, path))


async def managed_save(work: Work) -> Job:
    known = work.manager.catalogue.find(work.ref)
    if known.managed_save:
        raise WrongState(
            f"managed_save: domain {known.name} has a saved state already",
            operation="managed_save",
            domain=known.name,
        )
    return await _leave(work, JobKind.SAVE, lambda step: leaving.save(work.manager, step, work.ref, None))


async def managed_save_remove(work: Work) -> None:
    manager = work.manager
    known = manager.catalogue.find(work.ref)
    async with manager.hold(known.handle):
        stored = await manager.catalogue.stored(known.handle)
        if stored.saved is None:
            raise WrongState(f"domain {known.name} has no saved state", domain=known.name)
        await manager.catalogue.change(known.handle, saved=None)
        building.remove(stored.saved)


async def dump(work: Work) -> Job:
    values = work.arguments
    path = await _file(work, "dump", values["path"])
    how = Dump(values["live"], values["crash"])
    return await _leave(
        work, JobKind.DUMP, lambda step: leaving.dump(work.manager, step, work.ref, path, how)
    )


async def migrate(work: Work) -> Job:
    values = work.arguments
    command = values["command"]
    where = Migration(values["host"], None if command is None else tuple(command), values["live"])
    return await _leave(
        work, JobKind.MIGRATE, lambda step: leaving.migrate(work.manager, step, work.ref, where)
    )


async def _leave(work: Work, kind: JobKind, what: Callable[[Step], Awaitable[object]]) -> Job:
    info = await work.manager.running(work.ref, kind.value)
    if info.domid == 0:
        raise InvalidConfig(
            f"Domain 0 is where this daemon runs: {kind.value} cannot be done to it",
            operation=kind.value,
            domain=info.name,
        )
    name = info.name or str(info.domid)
    return await work.manager.jobs.begin(
        kind, info.handle, name, what, user=work.caller.uid, deadline=_deadline(work)
    )


async def take_over(work: Work) -> None:
    await adopt(work.manager, work.ref)


async def _file(work: Work, operation: str, path: str) -> str:
    """A file on this host that the caller may name, as the daemon finds it."""
    root = work.manager.link.root
    if not path.startswith("/"):
        raise InvalidConfig(
            f"{operation}: {path!r} is no absolute path",
            problems=(f"path: {path!r} is not absolute",),
            operation=operation,
        )
    if work.caller.role < Role.ADMIN and not await asyncio.to_thread(
        descriptions.below, root, work.roots, path
    ):
        where = " or ".join(work.roots) or "any directory for that"
        raise Denied(
            f"{operation}: path {path!r}, which is not below {where}, takes the role admin, and the caller has only "
            f"{work.caller.role.name.lower()}",
            operation=operation,
            channel="daemon",
        )
    return path if path.startswith(f"{root}/") else root + path
