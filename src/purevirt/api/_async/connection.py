"""A connection to a Xen host: the host itself, and the way to its domains."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from types import TracebackType

from purevirt import _version
from purevirt._typing import TYPE_CHECKING
from purevirt.api import uri as uris
from purevirt.drivers.xen.open import is_dom0, open_driver
from purevirt.errors import Closed, NoSuchDomain
from purevirt.model import STATS_GROUPS, Access, DomainRef

if TYPE_CHECKING:
    from uuid import UUID

    from purevirt.api._async.domain import AsyncDomain
    from purevirt.api._async.events import AsyncEvents
    from purevirt.api._async.store import AsyncStore
    from purevirt.api._hosts import Lease
    from purevirt.drivers.xen.driver import XenDriver
    from purevirt.model import (
        Caller,
        Capabilities,
        CpuPool,
        Definition,
        DefinitionText,
        DomainCapabilities,
        DomainInfo,
        DomainStats,
        DomainType,
        EventKind,
        HypervisorVersion,
        Job,
        NodeInfo,
        NumaCell,
        Route,
        Scheduler,
    )

    Progress = Callable[[Job], object]

__all__ = ["AsyncConnection", "open_async", "open_async_read_only"]


class AsyncConnection:
    """An open host. Made by `purevirt.open_async()`; closed by `close()` or at the end of `async with`.

    Every method raises `Closed` after that, and only classes of `purevirt.errors` at any time.
    """

    def __init__(self, location: uris.Location, driver: XenDriver, lease: Lease | None) -> None:
        self._location = location
        self._driver_or_none: XenDriver | None = driver
        self._lease = lease
        self._access = driver.access
        self._store: AsyncStore | None = None

    def __repr__(self) -> str:
        state = "closed" if self._driver_or_none is None else self._access.value
        return f"<{type(self).__name__} {self._location.uri} {state}>"

    async def __aenter__(self) -> AsyncConnection:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close every channel; closing twice is no error."""
        driver, self._driver_or_none = self._driver_or_none, None
        lease, self._lease = self._lease, None
        try:
            if driver is not None:
                await driver.close()
        finally:
            if lease is not None:
                await lease.release("aio")

    @property
    def _driver(self) -> XenDriver:
        if self._driver_or_none is None:
            raise Closed(f"the connection to {self._location.uri} is closed")
        return self._driver_or_none

    # --- the connection

    @property
    def uri(self) -> str:
        """The URI it was opened with (`virConnectGetURI`)."""
        return self._location.uri

    @property
    def read_only(self) -> bool:
        """Whether it was opened by `open_read_only()`."""
        return self._access.read_only

    @property
    def has_daemon(self) -> bool:
        """Whether the Xen daemon answered when it was opened: it serves every change, and most of what is
        read-only."""
        return self._access.daemon

    @property
    def is_open(self) -> bool:
        """Whether `close()` has not been called yet."""
        return self._driver_or_none is not None

    @property
    def store(self) -> AsyncStore:
        """This host's Xen Store, over the connection's own channel: read-only if the connection is.

        ChannelUnavailable on a read-only connection whose user may not even read it: the daemon alone serves that.
        """
        driver = self._driver
        if self._store is None:
            from purevirt.api._async.store import AsyncStore  # not before somebody asks

            self._store = AsyncStore(driver.store)
        return self._store

    def explain(self) -> tuple[Route, ...]:
        """Which channel serves which operation on this connection."""
        return self._driver.explain()

    # --- the host

    def type(self) -> str:
        """Always "Xen" (`virConnectGetType`)."""
        return "Xen"

    def library_version(self) -> str:
        """purevirt's own version (`virGetVersion`)."""
        return _version.__version__

    async def version(self) -> HypervisorVersion:
        """Which Xen runs (`virConnectGetVersion`). Hypervisor; read-only: /sys/hypervisor."""
        return await self._driver.version()

    async def hostname(self) -> str:
        """The host's name (`virConnectGetHostname`)."""
        return await self._driver.hostname()

    async def node_info(self) -> NodeInfo:
        """CPUs and memory of the machine (`virNodeGetInfo`). Read-only: only what Domain 0's kernel sees."""
        return await self._driver.node_info()

    async def free_memory(self) -> int:
        """KiB that no domain holds (`virNodeGetFreeMemory`). Hypervisor: physinfo's free_pages."""
        return await self._driver.free_memory()

    async def numa_cells(self) -> tuple[NumaCell, ...]:
        """The NUMA nodes with their free memory (`virNodeGetCellsFreeMemory`). Hypervisor."""
        return await self._driver.numa_cells()

    async def scheduler(self) -> Scheduler:
        """The hypervisor's default scheduler (`virDomainGetSchedulerType`). Hypervisor."""
        return await self._driver.scheduler()

    async def cpupools(self) -> tuple[CpuPool, ...]:
        """The groups of CPUs, each with its scheduler (libvirt has none). Hypervisor; read-only: Xen daemon."""
        return await self._driver.cpupools()

    async def dmesg(self) -> str:
        """Xen's own messages since boot, as far as it keeps them (`xl dmesg`). Hypervisor; read-only: Xen daemon."""
        return await self._driver.dmesg()

    async def capabilities(self) -> Capabilities:
        """The host's processors and topology, and which guests it runs (`virConnectGetCapabilities`).

        Hypervisor, and which of Xen's own files are installed; read-only: /sys/hypervisor, which tells the guests.
        """
        return await self._driver.capabilities()

    async def capabilities_xml(self) -> str:
        """The same as libvirt's XML."""
        found = await self._driver.capabilities()
        from purevirt.formats import capabilities_xml

        return capabilities_xml.format(found)

    async def domain_capabilities(
        self, kind: DomainType | str | None = None, arch: str | None = None, *, emulator: str | None = None
    ) -> DomainCapabilities:
        """What a guest can have on this host (`virConnectGetDomainCapabilities`).

        `kind` is a DomainType or one of "pv", "pvh", "hvm", "xenpv", "xenpvh", "xenfv"; None: PV, where it runs. `arch`
        None: the host's own, where such guests run. `emulator` stands in for the device model's path. ValueError for
        another word; Unsupported: the host runs no such guests. Hypervisor; read-only: Xen daemon.
        """
        from purevirt.model.capabilities import guest_type

        found = await self._driver.domain_capabilities(guest_type(kind), arch)
        return found if emulator is None else found._replace(emulator=emulator)

    async def domain_capabilities_xml(
        self, kind: DomainType | str | None = None, arch: str | None = None, *, emulator: str | None = None
    ) -> str:
        """The same as libvirt's XML."""
        found = await self.domain_capabilities(kind, arch, emulator=emulator)
        from purevirt.formats import capabilities_xml

        return capabilities_xml.format_domain(found)

    async def whoami(self) -> Caller:
        """Who the Xen daemon takes this process for, and its role. ChannelUnavailable without a daemon."""
        return await self._driver.whoami()

    async def events(
        self,
        kinds: Iterable[EventKind | str] | None = None,
        domain: AsyncDomain | str | int | UUID | None = None,
        *,
        poll: float = 0.25,
        queue: int = 4096,
    ) -> AsyncEvents:
        """What happens to the domains from now on (`virConnectDomainEventRegisterAny`). Close it.

        `kinds` and `domain` (by id, name or UUID) leave out everything else; ValueError for an unknown kind.
        What a connection can see depends on its channels: with hypercalls everything, looked at every `poll`
        seconds while somebody waits (so what is done and undone in between is not seen, and a reason nobody
        could see is "unknown"), and what the Xen daemon changed, from its journal; read-only, the daemon's
        journal, or without a daemon the Xen Store alone, which tells no states. More than `queue` events that nobody
        took become one LOST: look at everything again then, with `snapshot()`.
        """
        wanted = None
        if kinds is not None:
            from purevirt.model import EventKind

            wanted = frozenset(map(EventKind, kinds))
        if poll <= 0:
            raise ValueError(f"poll must be more than 0 seconds, not {poll}")
        ref = None
        if domain is not None:
            from purevirt.api._async.domain import AsyncDomain

            found = domain if isinstance(domain, AsyncDomain) else await self.lookup(domain)
            ref = found._ref
        from purevirt.api._async.events import AsyncEvents  # not before somebody asks

        return AsyncEvents(await self._driver.events(wanted, ref, poll=poll, queue=queue))

    # --- its domains

    def _domain(self, ref: DomainRef) -> AsyncDomain:
        from purevirt.api._async.domain import AsyncDomain  # a listing alone makes none

        return AsyncDomain(self, ref)

    async def domain_infos(self, *, inactive: bool = False) -> list[DomainInfo]:
        """Id, name, UUID, type, state, memory, vCPUs and CPU time of all active domains, by id; with `inactive`, then
        those that are defined and do not run, by name.

        One hypercall, plus one pipelined write for names that are not known yet. A name may lag a rename by the
        time a store event takes. Read-only: from the store, without state and CPU time.
        """
        infos = await self._driver.list_domains()
        if not inactive:
            return infos
        from purevirt.drivers.xen.inactive import info_of

        there = {info.handle for info in infos}
        defined = await self._driver.list_definitions()
        return infos + [info_of(known) for known in defined if known.handle not in there]

    async def domains(self, *, inactive: bool = False) -> list[AsyncDomain]:
        """All active domains, by id (`virConnectListAllDomains`); with `inactive`, then those that are defined and do
        not run, by name."""
        return [self._domain(info.ref) for info in await self.domain_infos(inactive=inactive)]

    async def definitions(self) -> list[Definition]:
        """What the Xen daemon remembers of domains, by name, whether they run or not. Xen daemon."""
        return await self._driver.list_definitions()

    async def define(
        self,
        text: str,
        *,
        format: str | None = None,  # noqa: A002 - as everywhere
        revision: int | None = None,
        timeout: float | None = None,
    ) -> AsyncDomain:
        """Have a domain remembered, or remembered otherwise than before (`virDomainDefineXML`). Xen daemon.

        `text` is a description in any format of `purevirt.formats` (None: the one it looks like). With a `revision`
        the definition must be of that one (Conflict: somebody else has changed it meanwhile). ConfigError,
        InvalidConfig (`problems`), DomainExists: the name or the UUID is another domain's; Denied names the field that
        this user may not set.
        """
        found = await self._driver.define(text, format, revision, timeout=timeout)
        return self._domain(found.ref)

    async def create(
        self,
        text: str,
        *,
        format: str | None = None,  # noqa: A002 - as everywhere
        paused: bool = False,
        progress: Progress | None = None,
        wait: bool = True,
        deadline: float | None = None,
    ) -> AsyncDomain:
        """Make a domain that is not remembered when it has ended (`virDomainCreateXML`). Xen daemon.

        As `define`, and as a domain's `start`.
        """
        return await self._made(await self._driver.create(text, format, paused, deadline), progress, wait)

    async def restore(
        self,
        path: str,
        *,
        text: str | None = None,
        format: str | None = None,  # noqa: A002 - as everywhere
        paused: bool = False,
        progress: Progress | None = None,
        wait: bool = True,
        deadline: float | None = None,
    ) -> AsyncDomain:
        """Let a domain go on from a file that its `save` has written (`virDomainRestoreFlags`). Xen daemon.

        `text` is another description than the one in the file, such as with disks at other places.
        """
        job = await self._driver.restore(path, text, format, paused, deadline)
        return await self._made(job, progress, wait)

    async def saved_description(self, path: str) -> DefinitionText:
        """The description in a file that `save` has written (`virDomainSaveImageGetXMLDesc`). Xen daemon."""
        return await self._driver.saved_description(path)

    async def _made(self, job: Job, progress: Progress | None, wait: bool) -> AsyncDomain:
        if wait:
            from purevirt.api import _waiting

            job = await _waiting.waited(self._driver, job, progress)
        return self._domain(DomainRef(job.uuid.bytes, job.domid, job.name))

    # --- jobs

    async def jobs(self, *, active: bool = False) -> list[Job]:
        """The Xen daemon's jobs that are kept, the oldest first; or only those that are under way."""
        return await self._driver.jobs(active)

    async def job(self, job: Job | int) -> Job:
        """A job as it is now. InvalidConfig: there is none with that number."""
        return await self._driver.job(_number(job))

    async def wait_for_job(self, job: Job | int, *, progress: Progress | None = None) -> Job:
        """Wait until a job has ended; what it met is raised. `progress` is called with each look at it."""
        from purevirt.api import _waiting

        return await _waiting.waited(self._driver, await self._driver.job(_number(job)), progress)

    async def cancel_job(self, job: Job | int) -> Job:
        """Have a job give up, and undo what it has begun (`virDomainAbortJob`). WrongState: it has ended."""
        return await self._driver.job_cancel(_number(job))

    async def job_log(self, job: Job | int) -> list[str]:
        """A job's log: a line for each step, with the time of day (UTC)."""
        return await self._driver.job_log(_number(job))

    # --- which domain

    async def count_domains(self) -> int:
        """How many domains are active, Domain 0 included (`virConnectNumOfDomains`)."""
        return await self._driver.count_domains()

    async def domain_stats(self, groups: Iterable[str] = STATS_GROUPS) -> list[DomainStats]:
        """Counters of all active domains in one call (`virConnectGetAllDomainStats`).

        `groups` are any of "vcpu", "block" and "interface"; each domain's info always comes. ValueError for
        another word. A device whose backend keeps no counters here has None.
        """
        wanted = frozenset(groups)
        if not wanted <= STATS_GROUPS:
            unknown = ", ".join(sorted(wanted - STATS_GROUPS))
            raise ValueError(f"unknown group {unknown}: known are {', '.join(sorted(STATS_GROUPS))}")
        return await self._driver.domain_stats(wanted)

    async def lookup_by_id(self, domid: int) -> AsyncDomain:
        """The active domain with this id (`virDomainLookupByID`). NoSuchDomain if there is none."""
        return self._domain(await self._driver.lookup_id(domid))

    async def lookup_by_name(self, name: str) -> AsyncDomain:
        """The domain with this name (`virDomainLookupByName`), active or defined. NoSuchDomain, DomainAmbiguous."""
        return self._domain(await self._driver.lookup_name(name))

    async def lookup_by_uuid(self, uuid: UUID | str) -> AsyncDomain:
        """The domain with this UUID (`virDomainLookupByUUID`), active or defined. NoSuchDomain, DomainAmbiguous."""
        if isinstance(uuid, str):
            from uuid import UUID

            text = uuid
            try:
                uuid = UUID(text)
            except ValueError:
                raise NoSuchDomain(f"{text!r} is no UUID", operation="lookup_uuid", domain=text) from None
        return self._domain(await self._driver.lookup_uuid(uuid.bytes))

    async def lookup(self, domain: str | int | UUID) -> AsyncDomain:
        """By id, UUID or name, as the command line takes it: digits are an id first, then perhaps a name."""
        if not isinstance(domain, (str, int)):
            return await self.lookup_by_uuid(domain)
        text = str(domain)
        if text.isascii() and text.isdigit() and len(text) <= 5:
            try:
                return await self.lookup_by_id(int(text))
            except NoSuchDomain:
                if isinstance(domain, int):
                    raise
        elif len(text) == 36 and text.count("-") == 4:
            try:
                return await self.lookup_by_uuid(text)
            except NoSuchDomain:
                pass
        try:
            return await self.lookup_by_name(text)
        except NoSuchDomain:
            raise NoSuchDomain(
                f"no domain has the id, name or UUID {text!r}", operation="lookup", domain=text
            ) from None


def _number(job: Job | int) -> int:
    return job if isinstance(job, int) else job.id


async def _open(uri: str | None, access: Access, timeout: float) -> AsyncConnection:
    location = uris.choose(uri, os.environ, on_dom0=uri is None and is_dom0(""))
    lease = None
    if location.simulated:
        from purevirt.api import _hosts

        lease = await _hosts.acquire("aio")
    try:
        root = location.root if lease is None else lease.root
        driver = await open_driver(root, access, "aio", timeout)
    except BaseException:
        if lease is not None:
            await lease.release("aio")
        raise
    return AsyncConnection(location, driver, lease)


async def open_async(uri: str | None = None, *, timeout: float = 5.0) -> AsyncConnection:
    """Open a host with every right (`virConnectOpen`): needs root in Domain 0, or a simulated host.

    What changes domains also needs the Xen daemon, which is looked for now; what only looks does not.
    `timeout`, in seconds, bounds the opening. ConnectError says which channel is missing, and what would help.
    """
    return await _open(uri, Access.RW, timeout)


async def open_async_read_only(uri: str | None = None, *, timeout: float = 5.0) -> AsyncConnection:
    """Open a host to look at (`virConnectOpenReadOnly`): no hypercalls, not even as root, and no writes.

    Needs no root where the Xen daemon runs: it answers members of its group (xen) what hypercalls would, and lets
    them read the store. Without it, what cannot be known is None, or NOSTATE. Every changing call raises ReadOnly
    before a byte is sent.
    """
    return await _open(uri, Access.RO, timeout)
