"""What the parts of supervision share: the host, the memory, and how a domain is held while something is done to it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any

from purevirt.daemons.xend.config_store import Database, Supervised
from purevirt.daemons.xend.journal import Journal
from purevirt.daemons.xend.link import Link
from purevirt.daemons.xend.locks import Locks
from purevirt.daemons.xend.managed.catalogue import Catalogue
from purevirt.daemons.xend.managed.descriptions import Described, renamed
from purevirt.daemons.xend.managed.jobs import Jobs
from purevirt.daemons.xend.managed.policies import Slowing
from purevirt.daemons.xend.managed.supervised import SupervisedDomains
from purevirt.daemons.xend.observer import Observer
from purevirt.daemons.xend.toolstack import naming
from purevirt.daemons.xend.toolstack.base import Toolstack
from purevirt.daemons.xend.toolstack.builder import Builder
from purevirt.errors import DomainExists, NoSuchDomain, OperationError, WrongState, XenError
from purevirt.formats import conversion
from purevirt.model import DomainInfo, DomainRef, EventKind, EventSource
from purevirt.model.description import Action, DomainDescription

__all__ = ["Manager", "nobodys", "row_of"]

_log = logging.getLogger(__name__)


class Manager:
    """One per daemon. `state` is the directory for saved domains and cores; `boot` says which life of the host this is.

    `clock` is Unix time, `rest` waits for so many seconds.
    """

    def __init__(
        self,
        link: Link,
        toolstack: Toolstack,
        builder: Builder,
        database: Database,
        locks: Locks,
        observer: Observer,
        journal: Journal,
        *,
        state: str,
        clock: Callable[[], float] = time.time,
        rest: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.link = link
        self.toolstack = toolstack
        self.builder = builder
        self.database = database
        self.locks = locks
        self.observer = observer
        self.journal = journal
        self.state = state
        self.clock = clock
        self.rest = rest
        self.boot = ""
        self.stopping = False
        self.slowing = Slowing(5, 60.0, 30.0)
        self.catalogue = Catalogue(database)
        self.supervised = SupervisedDomains(database)
        self.jobs = Jobs(database, clock=clock)
        self._tasks: set[asyncio.Task[None]] = set()

    async def stop(self, wait: float) -> None:
        """Let what is under way end, for a while; what is cut off then is found again by the next start."""
        self.stopping = True
        await self.jobs.stop(wait)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Do something on the side; what goes wrong with it is logged."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled() or (error := task.exception()) is None:
            return
        if isinstance(error, XenError):
            _log.error("%s: %s", task.get_name(), error)
        else:
            _log.error("%s met a fault", task.get_name(), exc_info=error)

    # --- the host

    @contextlib.asynccontextmanager
    async def hold(self, handle: bytes) -> AsyncIterator[None]:
        """Hold the domain's lock. The observer leaves the domain alone meanwhile, and looks at it afterwards."""
        try:
            async with self.locks.hold(handle):
                self.observer.touched(handle)
                yield
        finally:
            self.observer.settled(handle)

    async def active(self, handle: bytes, domid: int | None = None) -> DomainInfo | None:
        """The domain as it is now, if it is there (and has that id); one that is dying is not."""
        try:
            info = await self.link.driver.domain_info(DomainRef(handle, domid))
        except NoSuchDomain:
            return None
        if "d" in (info.flags or "") or (domid is not None and info.domid != domid):
            return None
        return info

    async def running(self, ref: DomainRef, operation: str) -> DomainInfo:
        """The same of a domain that must be there. WrongState: it is not."""
        info = await self.active(ref.handle, ref.domid)
        if info is None:
            name = ref.name or str(ref.uuid)
            raise WrongState(f"{operation}: domain {name} is not running", operation=operation, domain=name)
        return info

    async def free(self, handle: bytes, name: str) -> None:
        """Refuse a name or a UUID that a domain has which is there. WrongState, DomainExists."""
        for info in await self.link.driver.list_domains():
            if "d" in (info.flags or ""):
                continue
            if info.handle == handle:
                raise WrongState(
                    f"domain {info.name or name} is running already (id {info.domid})", domain=name
                )
            if info.name == name:
                raise DomainExists(
                    f"the name {name} is that of domain {info.domid}, whose UUID is {info.uuid}", domain=name
                )

    def prepare(self, path: str) -> None:
        """Make the directory that a file of the daemon's own will be in, and see that no such file is there: one that
        no definition knows is of no use. OperationError."""
        try:
            os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
            if os.path.lexists(path):
                os.unlink(path)
        except OSError as error:
            raise OperationError(
                f"{error.filename}: {(error.strerror or str(error)).lower()}",
                path=error.filename,
                errno=error.errno,
            ) from error

    async def destroy(self, info: DomainInfo) -> None:
        """End a domain, whose lock is held, since somebody says so: no policy is carried out any more. A daemon that
        is killed in the middle of it has its next life finish it; so it goes on if whoever waits is cut off."""
        task = asyncio.get_running_loop().create_task(
            self._destroyed(info), name=f"xend: end of {info.name or info.domid}"
        )
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            if not task.done():
                task.add_done_callback(self._ended)
            raise

    async def _destroyed(self, info: DomainInfo) -> None:
        old = self.supervised.get(info.handle)
        row = nobodys(info, self.boot) if old is None else old
        if info.domid:  # Domain 0 is refused
            ending = row._replace(
                phase="ending", domid=info.domid, action=Action.DESTROY.value, reason="destroyed", due=None
            )
            await self.supervised.put(ending, must=False)
        try:
            await self.toolstack.destroy(info)
        except Exception:
            if old is None:
                await self.supervised.forget(info.handle)
            else:
                await self.supervised.put(old, must=False)
            raise
        await self.supervised.forget(info.handle)

    async def renamed(self, handle: bytes, name: str) -> None:
        """A domain that is there has another name now: so have its definition, and what it is restarted as."""
        known = self.catalogue.get(handle)
        if known is not None and known.name != name:
            await self.catalogue.rename(handle, name)
        if (
            row := self.supervised.get(handle)
        ) is not None and row.text:  # last: until then it is seen to differ
            text = renamed(row.text, row.format, name)
            await self.supervised.put(row._replace(name=name, text=text))

    async def rename_inactive(self, handle: bytes, name: str) -> None:
        """Give a domain that is only defined another name. DomainExists, WrongState."""
        naming.check_name(name)
        async with self.hold(handle):
            known = self.catalogue.find(DomainRef(handle))
            if known.managed_save:
                raise WrongState(
                    f"rename: domain {known.name} has a saved state, which has its name", domain=known.name
                )
            with self.catalogue.claim(name, handle):
                await self.free(handle, name)
                found = await self.catalogue.rename(handle, name)
        self.journal.add(
            EventSource.XEND, EventKind.RENAMED, handle=handle, name=found.name, detail=known.name
        )

    def tell(self, kind: EventKind, info: DomainInfo, detail: str | None) -> None:
        """Note what was done to a domain that is, or was, there."""
        self.journal.add(
            EventSource.XEND, kind, domid=info.domid, handle=info.handle, name=info.name, detail=detail
        )
        self.observer.did(kind, info, info.name)

    # --- what domains are made of

    async def described(self, row: Supervised) -> Described:
        """What a supervised domain is made of when it is made again: its definition, or what it was made of."""
        if self.catalogue.get(row.handle) is not None:
            return (await self.defined(row.handle))[0]
        return Described(parsed(row.text, row.format), row.text, row.format)

    async def defined(self, handle: bytes) -> tuple[Described, str | None]:
        """A definition, and where its saved state is. NoSuchDomain."""
        stored = await self.catalogue.stored(handle)
        format_ = stored.definition.format
        return Described(parsed(stored.text, format_), stored.text, format_), stored.saved


def parsed(text: str, format_: str) -> DomainDescription:
    """A text that was read before."""
    return conversion.parse(text, format_, file="definition").description


def nobodys(info: DomainInfo, boot: str) -> Supervised:
    """A row for a domain that nobody answers for, while something is done to it."""
    return Supervised(info.handle, info.name or str(info.domid), info.domid, boot, "running")


def row_of(described: Described, boot: str) -> Supervised:
    """The row of a domain that is going to be made."""
    return Supervised(
        described.handle, described.name, None, boot, "building", format=described.format, text=described.text
    )
