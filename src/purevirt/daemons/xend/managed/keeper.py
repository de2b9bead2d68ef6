"""Follows the domains that the daemon answers for, and carries out their policies when one has stopped.

It is told of each look of the observer's. What is going to be done to a domain is written down before it is done, so it
is done once; a restart is a job. What keeps the database from being written does not keep a policy from being carried
out: then a daemon that ends in the middle of it would not know.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from uuid import uuid4

from purevirt.daemons.xend.config_store import Supervised
from purevirt.daemons.xend.managed.building import anew, make
from purevirt.daemons.xend.managed.finishing import to_its_end, uncut
from purevirt.daemons.xend.managed.jobs import Step
from purevirt.daemons.xend.managed.manager import Manager, parsed
from purevirt.daemons.xend.managed.policies import action, next_restart
from purevirt.daemons.xend.toolstack.builder import Dump
from purevirt.errors import WrongState, XenError
from purevirt.model import DomainInfo, DomainRef, EventKind, JobKind, StateReason
from purevirt.model.description import Action

__all__ = ["Keeper"]

_COREDUMPS = (Action.COREDUMP_DESTROY, Action.COREDUMP_RESTART)
_RESTARTS = (Action.RESTART, Action.RENAME_RESTART, Action.COREDUMP_RESTART)

_log = logging.getLogger(__name__)


class Keeper:
    """One per daemon."""

    def __init__(self, manager: Manager) -> None:
        self._manager = manager
        self._seeing: set[bytes] = set()
        manager.observer.on_look = self.looked
        manager.jobs.on_end = self.see

    def looked(self, infos: Iterable[DomainInfo]) -> None:
        """See to those that have stopped, or are gone."""
        rows = self._manager.supervised.all()
        if not rows:
            return
        there = {(info.domid, info.handle): info for info in infos}
        for row in rows:
            if row.phase not in ("running", "kept"):
                continue
            info = there.get((row.domid, row.handle))
            if info is not None and info.name is not None and info.name != row.name:
                self._rename(row.handle, info.name)
            stopped = info is None or "d" in (info.flags or "") or (row.phase == "running" and _stopped(info))
            if stopped and not self._manager.locks.held(row.handle):
                self.see(row.handle)

    def _rename(self, handle: bytes, name: str) -> None:
        """Somebody has renamed it without the daemon, or the daemon had ended before all of it was renamed."""
        if not self._manager.locks.held(handle):
            self._manager.spawn(self._manager.renamed(handle, name), f"xend: another name, {name}")

    def see(self, handle: bytes) -> None:
        """Look at one domain, and do what there is to do."""
        row = self._manager.supervised.get(handle)
        if row is None or handle in self._seeing or self._manager.stopping:
            return
        self._seeing.add(handle)
        self._manager.spawn(self._see(handle), f"xend: policy of {row.name}")

    async def _see(self, handle: bytes) -> None:
        manager = self._manager
        try:
            async with manager.hold(handle):
                row = manager.supervised.get(handle)
                if row is None or row.phase not in ("running", "kept") or manager.jobs.of(handle) is not None:
                    return  # a job that ends has it looked at again
                info = await manager.active(handle, row.domid)
                if info is None:
                    await manager.supervised.forget(handle)
                    return
                if row.phase == "kept" or not _stopped(info):
                    return
                manager.observer.noticed(info)
                row = await self._decided(row, info)
                if row.phase == "ending" and row.due is None:
                    await self.end(row, info, None)
                    await manager.supervised.forget(handle)
            if row.phase == "ending" and row.due is not None:
                await self.begin_restart(row)
        finally:
            self._seeing.discard(handle)

    async def _decided(self, row: Supervised, info: DomainInfo) -> Supervised:
        """What is to be done, written down. A row in phase "ending" with a `due` is a restart."""
        manager = self._manager
        chosen = action(parsed(row.text, row.format).lifecycle, info.reason)
        if chosen is None:
            return row
        row = row._replace(action=chosen.value, reason=info.reason.value)
        if chosen is Action.PRESERVE:
            row = row._replace(phase="kept", action=None)
        elif chosen in _RESTARTS:
            now = manager.clock()
            count, wait = next_restart(manager.slowing, row.restarts, now - (row.started or now))
            row = row._replace(phase="ending", restarts=count, due=now + wait)
        else:
            row = row._replace(phase="ending", due=None)
        _log.info("domain %s has stopped (%s): %s", row.name, info.reason.value, chosen.value)
        return await manager.supervised.put(row, must=False)

    async def end(self, row: Supervised, info: DomainInfo, step: Step | None) -> None:
        """The first half of a policy: the domain that has stopped goes, or is put aside."""
        manager = self._manager
        chosen = Action(row.action)
        if chosen in _COREDUMPS:
            name = row.name.replace("/", "_")  # one that was adopted may have any
            path = f"{manager.state}/dump/{name}-{_stamp(manager.clock())}.core"
            try:
                manager.prepare(path)
                report = step.report if step is not None else _nobody
                await manager.builder.dump(info, path, Dump(live=True), report)
                if step is not None:
                    step.note(f"its memory is in {path}")
            except XenError as error:  # it must go on, with or without
                _log.error("the memory of domain %s was not dumped: %s", row.name, error)
                if step is not None:
                    step.note(f"its memory was not dumped: {error}")
        if chosen is Action.RENAME_RESTART:
            await self._put_aside(row, info)
            return
        await uncut(manager.toolstack.destroy(info))
        manager.tell(EventKind.STOPPED, info, row.reason)

    async def _put_aside(self, row: Supervised, info: DomainInfo) -> None:
        stamp = _stamp(self._manager.clock())
        await uncut(self._manager.toolstack.set_aside(info, f"{row.name}-{stamp}", uuid4().bytes))

    async def _finish_putting_aside(self, row: Supervised) -> None:
        """An earlier life has given it another handle, and perhaps no other name yet."""
        for info in await self._manager.link.driver.list_domains():
            if info.domid == row.domid and info.name == row.name:
                stamp = _stamp(self._manager.clock())
                await self._manager.toolstack.set_aside(info, f"{row.name}-{stamp}", info.handle)

    # --- restarts

    async def begin_restart(self, row: Supervised) -> None:
        """Have a job carry it out. A name that somebody has taken meanwhile is the job's to say."""
        manager = self._manager
        try:
            await manager.jobs.begin(
                JobKind.RESTART,
                row.handle,
                row.name,
                lambda step: self._restart(step, row.handle),
                deadline=0.0,
                must=False,
            )
        except WrongState:
            return  # a job that was begun meanwhile has it looked at again when it ends

    async def _restart(self, step: Step, handle: bytes) -> None:
        try:
            await self._restarted(step, handle)
        except BaseException:
            await to_its_end(self._given_up(handle))
            raise

    async def _given_up(self, handle: bytes) -> None:
        """A restart failed, or was called off: what has stopped and is still there stays as it is."""
        manager = self._manager
        row = manager.supervised.get(handle)
        if row is None or row.phase not in ("ending", "waiting") or manager.stopping:
            return
        if row.phase == "ending" and await manager.active(handle, row.domid) is not None:
            await manager.supervised.put(row._replace(phase="kept", action=None, due=None), must=False)
        else:
            await manager.supervised.forget(handle)

    async def _restarted(self, step: Step, handle: bytes) -> None:
        manager = self._manager
        async with manager.hold(handle):
            row = self._row(handle)
            if row.phase == "ending":
                info = await manager.active(handle, row.domid)
                if info is not None:
                    step.report(f"ending it ({row.reason})", 0.0)
                    await self.end(row, info, step)
                elif Action(row.action) is Action.RENAME_RESTART:
                    await self._finish_putting_aside(row)
                row = await manager.supervised.put(row._replace(phase="waiting", domid=None), must=False)
        assert row.due is not None
        if (left := row.due - manager.clock()) > 0:
            step.report(f"waiting {left:.0f} s: it is restart {row.restarts} in quick succession", None)
            await manager.rest(left)
        async with manager.hold(handle):
            row = self._row(handle)
            described = await manager.described(row)
            again = row._replace(name=described.name, format=described.format, text=described.text)
            await make(manager, step, again, anew(manager, described), False, "booted")

    def _row(self, handle: bytes) -> Supervised:
        row = self._manager.supervised.get(handle)
        if row is None:
            name = str(DomainRef(handle).uuid)
            raise WrongState(f"domain {name} was ended by somebody else meanwhile", domain=name)
        return row


def _stamp(now: float) -> str:
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))


def _stopped(info: DomainInfo) -> bool:
    return "s" in (info.flags or "") and info.reason is not StateReason.SUSPEND


def _nobody(step: str | None, progress: float | None) -> None:
    """Nobody is told."""
