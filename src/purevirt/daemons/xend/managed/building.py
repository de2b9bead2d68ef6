"""Domains are made, and let run: `start`, `create`, `restore`, and what a restart does.

building → made → running: the first is written before the builder begins, the second when the domain is complete and
before it runs. Of what was being built nothing is left when something goes wrong; what was made is let run, if need be
by the daemon's next life. A saved state that is gone on from is forgotten together with "made", since a domain that
runs changes its disks, and its old memory would not fit them any more.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Awaitable, Callable

from purevirt.daemons.xend.config_store import Supervised, rows
from purevirt.daemons.xend.managed.descriptions import Described
from purevirt.daemons.xend.managed.finishing import to_its_end
from purevirt.daemons.xend.managed.jobs import Step
from purevirt.daemons.xend.managed.manager import Manager, row_of
from purevirt.daemons.xend.toolstack.builder import Report
from purevirt.errors import NoSuchDomain, XenError
from purevirt.model import DomainInfo, EventKind
from purevirt.model.description import DomainDescription

__all__ = ["anew", "create", "let_run", "make", "restore", "start"]

PAUSED = "paused"
"""A row's action: it is not let run when it has been made."""


Build = Callable[[Report], Awaitable[int]]
"""Has a domain made, complete and paused; its id."""


def anew(manager: Manager, described: Described) -> Build:
    """Make it of a description, which this host can make."""

    async def build(report: Report) -> int:
        report("checking", 0.0)
        await manager.builder.check(described.description)
        return await manager.builder.create(described.description, report)

    return build


def from_state(manager: Manager, path: str, description: DomainDescription | None) -> Build:
    """Make it of a saved state, with the description in there (None) or another."""

    async def build(report: Report) -> int:
        return await manager.builder.restore(path, description, report)

    return build


async def create(manager: Manager, step: Step, described: Described, paused: bool) -> None:
    """The work of a job: make a domain of a description."""
    async with manager.hold(described.handle):
        row = row_of(described, manager.boot)
        await make(manager, step, row, anew(manager, described), paused, "booted")


async def start(manager: Manager, step: Step, handle: bytes, paused: bool, force_boot: bool) -> None:
    """The work of a job: make a defined domain, of its saved state if it has one."""
    async with manager.hold(handle):
        described, saved = await manager.defined(handle)
        if saved is not None and force_boot:
            await manager.catalogue.change(handle, saved=None)
            remove(saved)
            saved = None

        row = row_of(described, manager.boot)
        if saved is None:
            await make(manager, step, row, anew(manager, described), paused, "booted")
        else:
            again = from_state(manager, saved, None)
            await make(manager, step, row, again, paused, "restored", saved)


async def restore(
    manager: Manager, step: Step, path: str, described: Described, changed: bool, paused: bool
) -> None:
    """The work of a job: make a domain of a saved state. `changed`: with another description than the one in it."""
    async with manager.hold(described.handle):
        row = row_of(described, manager.boot)
        build = from_state(manager, path, described.description if changed else None)
        await make(manager, step, row, build, paused, "restored")


async def make(
    manager: Manager,
    step: Step,
    row: Supervised,
    build: Build,
    paused: bool,
    how: str,
    saved: str | None = None,
) -> None:
    """Make a domain, whose lock is held, and let it run unless it is to be `paused`. `how` is the journal's word.

    `saved` is the managed save that it is made of.
    """
    action = row.action or (PAUSED if paused else None)
    row = row._replace(phase="building", domid=None, boot=manager.boot, action=action)
    await manager.supervised.put(row, must=row.due is None)  # a restart is made whether it can be kept or not
    try:
        await manager.free(row.handle, row.name)
        domid = await build(step.report)
        step.made(domid)
    except BaseException:
        await to_its_end(_unmade(manager, row))
        raise
    await to_its_end(_made(manager, row, domid, how, saved))


async def _unmade(manager: Manager, row: Supervised) -> None:
    """A restart that the daemon's end has cut off is begun again by its next life."""
    if manager.stopping and row.due is not None:
        await manager.supervised.put(row._replace(phase="waiting"), must=False)
    else:
        await manager.supervised.forget(row.handle)


async def _made(manager: Manager, row: Supervised, domid: int, how: str, saved: str | None) -> None:
    row = row._replace(phase="made", domid=domid)
    if saved is None:
        await manager.supervised.put(row, must=row.due is None)
    else:
        await manager.supervised.put(row, lambda db: rows.set_saved(db, row.handle, None), durable=True)
        manager.catalogue.saved(row.handle, False)
        remove(saved)
    info = await manager.active(row.handle, domid)
    if info is None:
        await manager.supervised.forget(row.handle)
        raise NoSuchDomain(f"domain {row.name} was made, and is gone", domain=row.name)
    await let_run(manager, row, info, how)


async def let_run(manager: Manager, row: Supervised, info: DomainInfo, how: str) -> None:
    """Let a domain run that was made, unless it is to be paused."""
    manager.observer.made(info)
    manager.tell(EventKind.CREATED, info, None)
    try:
        if row.action != PAUSED and "p" in (info.flags or ""):
            await manager.toolstack.resume(info)
            manager.tell(EventKind.STARTED, info, how)
    except XenError as error:
        error.message = f"domain {row.name} was made, and could not be let run: {error.message}"
        raise
    finally:
        await manager.supervised.put(
            row._replace(phase="running", action=None, reason=None, due=None, started=manager.clock()),
            must=row.due is None,
        )


def remove(path: str) -> None:
    """Remove a state that is of no use any more."""
    with contextlib.suppress(OSError):
        os.unlink(path)
