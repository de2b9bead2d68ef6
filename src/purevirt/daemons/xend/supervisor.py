"""The one place that every call of every face goes through: `Supervisor.call`.

    role → arguments → which domain → (a change: the domain's lock, and which domain again) → the handler → written down

Reads take no lock, and neither does waiting for a guest. A change goes on to its end, and into the audit log, even if
whoever asked for it has gone away meanwhile: half a change is worse than one that nobody waits for. Each call has a
deadline: what waits for a guest ends a little before it with words of its own; whatever else hangs is cut off at it.

Which domain is meant is settled by its handle (the UUID's bytes); the id is a hint. Between the look before the lock
and the change there is no gap in which the domain could be exchanged unless the lock had to be waited for; then it is
looked for again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Coroutine, Mapping
from typing import Any

from purevirt.daemons.xend.arguments import read_arguments
from purevirt.daemons.xend.audit import AuditLog
from purevirt.daemons.xend.deadlines import done_by
from purevirt.daemons.xend.journal import Journal
from purevirt.daemons.xend.link import Link
from purevirt.daemons.xend.locks import Locks
from purevirt.daemons.xend.managed.manager import Manager
from purevirt.daemons.xend.observer import Observer
from purevirt.daemons.xend.operations import OPERATIONS
from purevirt.daemons.xend.toolstack.base import Toolstack
from purevirt.daemons.xend.work import Later, Operation, Work
from purevirt.drivers.xen.driver import XenDriver
from purevirt.errors import (
    Closed,
    ConnectError,
    Denied,
    InvalidConfig,
    NoSuchDomain,
    Timeout,
    Unsupported,
    WrongState,
    XenError,
)
from purevirt.model import Caller, DomainInfo, DomainRef, EventSource, Role

__all__ = ["CHANGE_TIMEOUT", "READ_TIMEOUT", "Supervisor"]

READ_TIMEOUT = 10.0
CHANGE_TIMEOUT = 30.0
LONGEST_TIMEOUT = 3600.0

_GRACE = 1.0  # what a wait for a guest, which ends by itself, may be late before it is cut off
_STOP_TIMEOUT = 5.0

_log = logging.getLogger(__name__)


class Supervisor:
    """Carries out calls, for the tasks of one event loop."""

    def __init__(self, link: Link, toolstack: Toolstack, audit: AuditLog, journal: Journal) -> None:
        self.link = link
        self.journal = journal
        self.roots: tuple[str, ...] = ()
        """Directories below which operators may name files."""
        self.manager: Manager | None = None
        """Supervision, from when it has begun."""
        self.locks = Locks()
        self.observer = Observer(link, journal, self.locks)
        self._toolstack = toolstack
        self._audit = audit
        self._changes: set[asyncio.Task[object]] = set()
        self._loop = asyncio.get_running_loop()  # asked once: on Python 3.11 each time is a system call

    async def stop(self) -> None:
        """Let changes that are under way end, for a while; then cut them off."""
        await self.observer.stop()
        if self._changes:
            _, late = await asyncio.wait(self._changes, timeout=_STOP_TIMEOUT)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        await self._toolstack.close()
        self._audit.close()

    async def call(
        self,
        caller: Caller,
        operation: str,
        domain: DomainRef | None,
        arguments: Mapping[str, object],
        timeout: float | None,
        *,
        detached: bool = True,
    ) -> object:
        """Carry out one operation for somebody, and return its result. Raises only `purevirt.errors`.

        A `domain` whose handle is empty is found by its id, or else its name. `timeout` in seconds; None: the
        operation's own. `detached`: a change goes on if the task that calls is cancelled; whose task is not cancelled
        when a client goes away can do without, which saves three turns of the event loop.
        """
        found = OPERATIONS.get(operation)
        if found is None:
            raise Unsupported(
                f"the Xen daemon has no operation {operation[:40]!r}",
                operation=operation[:40],
                channel="daemon",
            )
        self._admit(caller, operation, found.role, domain, arguments)
        values = read_arguments(operation, found.arguments, arguments)
        if found.about_domain and domain is None:
            raise InvalidConfig(f"{operation} is about a domain, and none is named", operation=operation)
        driver = self._driver(operation) if found.needs_host else None
        limit = _limit(found, values, timeout)
        end = self._loop.time() + limit
        work = Work(
            caller, driver, self._toolstack, self.journal, values, end, domain, None, self.roots, self.manager
        )
        if not found.changes:
            return await self._within(self._look(found, work), operation, work, limit, 0.0)
        if not detached:
            return await self._recorded(found, operation, work, limit)
        task = self._loop.create_task(
            self._recorded(found, operation, work, limit), name=f"xend: {operation}"
        )
        self._changes.add(task)
        task.add_done_callback(self._changes.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if not task.done():
                task.add_done_callback(_looked_at)
            raise

    # --- who may

    def _admit(
        self,
        caller: Caller,
        operation: str,
        least: Role,
        domain: DomainRef | None,
        arguments: Mapping[str, object],
    ) -> None:
        if caller.role >= least:
            return
        self._audit.denied(caller, operation, domain, arguments)
        raise Denied(
            f"{operation} takes the role {least.name.lower()}, and {_whom(caller)} has "
            + (f"only {caller.role.name.lower()}" if caller.role else "none"),
            operation=operation,
            domain=None if domain is None else _shown(domain),
            channel="daemon",
        )

    def _driver(self, operation: str) -> XenDriver:
        try:
            return self.link.driver
        except XenError as error:
            error.operation = operation
            raise

    # --- reads

    async def _look(self, found: Operation, work: Work) -> object:
        if found.about_domain and work.domain is not None and not work.domain.handle:
            work = work._replace(domain=await self._resolve(work))
        try:
            return await found.handler(work)
        except NoSuchDomain as error:
            return await self._inactive(found, work, error)

    async def _inactive(self, found: Operation, work: Work, error: NoSuchDomain) -> object:
        """The domain is not there: it may be defined. The error, if it is not."""
        manager = self.manager
        if manager is None or not found.about_domain or work.domain is None:
            raise error
        known = manager.catalogue.get(work.domain.handle)
        if known is None:
            raise error
        if found.inactive is None:
            raise WrongState(
                f"domain {known.name} is not running", operation=error.operation, domain=known.name
            ) from None
        return await found.inactive(work._replace(domain=known.ref))

    async def _within(
        self, coro: Coroutine[Any, Any, object], operation: str, work: Work, limit: float, grace: float
    ) -> object:
        """Wait for it, but not longer than it may take; and say of a lost channel what it means."""
        try:
            return await done_by(self._loop, work.end + grace, coro)
        except Timeout as error:
            error.operation = error.operation or operation
            raise
        except TimeoutError:
            raise Timeout(
                f"{operation}{_of(work.domain)} was not done within {limit:g} s",
                operation=operation,
                domain=None if work.domain is None else _shown(work.domain),
                channel="daemon",
            ) from None
        except (Closed, ConnectError) as error:
            if work.channels is None:
                raise
            unavailable = self.link.failed(error, work.channels)
            unavailable.operation = operation
            raise unavailable from error

    # --- changes

    async def _recorded(self, found: Operation, operation: str, work: Work, limit: float) -> object:
        """A change, with its line in the audit log."""
        start = time.monotonic()
        about = [work.domain]
        result, message = "cancelled", None
        try:
            coro = (
                self._alone(found, work, about)
                if found.alone
                else self._change(found, operation, work, about)
            )
            value = await self._within(coro, operation, work, limit, _GRACE)
            result = "done"
            return value
        except XenError as error:
            result = "denied" if isinstance(error, Denied) and error.channel == "daemon" else error.kind
            message = None if result == "denied" else str(error)
            raise
        except Exception as error:
            result, message = "fault", f"{type(error).__name__}: {error}"
            raise
        finally:
            self._audit.record(
                work.caller,
                operation,
                about[0],
                work.arguments,
                result=result,
                error=message,
                seconds=time.monotonic() - start,
            )

    async def _alone(self, found: Operation, work: Work, about: list[DomainRef | None]) -> object:
        """What finds its locks itself. A domain that it is about is there, or defined."""
        if found.about_domain:
            ref = work.ref if work.ref.handle else await self._resolve(work)
            with contextlib.suppress(NoSuchDomain):
                ref = (await work.driver.domain_info(ref)).ref
            work = work._replace(domain=ref)
            about[0] = ref
        return await found.handler(work)

    async def _change(
        self, found: Operation, operation: str, work: Work, about: list[DomainRef | None]
    ) -> object:
        try:
            info = await self._identify(work)
        except NoSuchDomain as error:
            ref = work.ref if work.ref.handle else await self._resolve(work)
            return await self._inactive(found, work._replace(domain=ref), error)
        about[0] = info.ref
        if info.domid == 0 and work.caller.role < Role.ADMIN:
            raise Denied(
                f"{operation} of Domain 0 takes the role admin, and {_whom(work.caller)} has only "
                f"{work.caller.role.name.lower()}",
                operation=operation,
                domain=_shown(info.ref),
                channel="daemon",
            )
        try:
            async with self.locks.hold(info.handle) as waited:
                if waited:
                    info = await self._identify(work._replace(domain=info.ref))
                    about[0] = info.ref
                work = work._replace(domain=info.ref, changing=info)
                self.observer.touched(info.handle)
                value = await found.handler(work)
                if not isinstance(value, Later):
                    self._tell(found, work, info)
        finally:
            self.observer.settled(info.handle)
        if isinstance(value, Later):
            value = await value.wait()
            self._tell(found, work, info)
        return value

    async def _identify(self, work: Work) -> DomainInfo:
        domain = work.ref if work.ref.handle else await self._resolve(work)
        return await work.driver.domain_info(domain)

    async def _resolve(self, work: Work) -> DomainRef:
        """Whom a caller means that knows no UUID: an id counts before a name, and must not contradict it."""
        domain = work.ref
        if domain.domid is None:
            assert domain.name is not None
            try:
                return await work.driver.lookup_name(domain.name)
            except NoSuchDomain:
                known = None if self.manager is None else self.manager.catalogue.named(domain.name)
                if known is None:
                    raise
                return known.ref
        found = await work.driver.lookup_id(domain.domid)
        if domain.name is not None and domain.name != found.name:
            raise NoSuchDomain(
                f"domain {domain.domid} is named {found.name!r}, not {domain.name!r}", domain=domain.name
            )
        return found

    def _tell(self, found: Operation, work: Work, info: DomainInfo) -> None:
        assert found.done is not None
        kind, detail = found.done.kind, found.done.detail(work)
        name = work.arguments.get("name", info.name)
        self.journal.add(
            EventSource.XEND, kind, domid=info.domid, handle=info.handle, name=name, detail=detail
        )
        self.observer.did(kind, info, name)


def _limit(found: Operation, values: Mapping[str, Any], timeout: float | None) -> float:
    if timeout is not None:
        return min(timeout, LONGEST_TIMEOUT)
    if found.changes:
        return CHANGE_TIMEOUT
    return READ_TIMEOUT + float(values.get("wait", 0.0))


def _looked_at(task: asyncio.Task[object]) -> None:
    """Nobody waits for it any more: its error is in the audit log."""
    if not task.cancelled() and (error := task.exception()) is not None and not isinstance(error, XenError):
        _log.error("a change that nobody waited for failed", exc_info=error)


def _whom(caller: Caller) -> str:
    return "an anonymous caller" if caller.uid < 0 else f"user {caller.uid}"


def _shown(domain: DomainRef) -> str:
    if domain.name is not None:
        return domain.name
    return str(domain.uuid) if domain.domid is None else str(domain.domid)


def _of(domain: DomainRef | None) -> str:
    return "" if domain is None else f" of domain {_shown(domain)}"
