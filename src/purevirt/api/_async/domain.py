"""One domain, through the connection it was found on.

Its class has four halves: what is read is here; `changes`, `devices` and `lifecycle` have what is done to it.
"""

from __future__ import annotations

from purevirt._typing import TYPE_CHECKING
from purevirt.api._async.changes import AsyncChanges
from purevirt.api._async.devices import AsyncDevices
from purevirt.api._async.lifecycle import AsyncLifecycle
from purevirt.errors import NoSuchDomain
from purevirt.model import (
    BlockDevice,
    BlockStats,
    DomainInfo,
    DomainRef,
    DomainState,
    DomainType,
    Interface,
    InterfaceStats,
    StateReason,
    Vcpu,
)

if TYPE_CHECKING:
    from purevirt.api._async.console import AsyncConsole
    from purevirt.model import SchedulerParameters
    from purevirt.model.description import DomainDescription, LiveDescription

__all__ = ["AsyncDomain"]


class AsyncDomain(AsyncLifecycle, AsyncDevices, AsyncChanges):
    """A domain. It is its UUID; the id it had when last seen is a hint that every call checks.

    A domain that has gone raises NoSuchDomain, one that shares its UUID with another active one (during a migration
    to the same host) DomainAmbiguous once its id is no longer the one first seen.
    """

    async def id(self) -> int | None:
        """Its id now (`virDomainGetID`); None if it is not active."""
        domid = await self._driver.domid(self._ref)
        if domid != self._ref.domid:
            self._ref = DomainRef(self._ref.handle, domid, self._ref.name)
        return domid

    async def is_active(self) -> bool:
        """Whether it runs, in any state (`virDomainIsActive`)."""
        return await self.id() is not None

    async def name(self) -> str | None:
        """Its name now (`virDomainGetName`); None while it has none."""
        return await self._driver.domain_name(self._ref)

    async def type(self) -> DomainType:
        """How it is virtualised (`virDomainGetOSType`)."""
        return await self._driver.domain_type(self._ref)

    async def state(self) -> tuple[DomainState, StateReason]:
        """What it does, and why as far as Xen tells (`virDomainGetState`)."""
        return await self._driver.domain_state(self._ref)

    async def info(self) -> DomainInfo:
        """All figures of one moment (`virDomainGetInfo`)."""
        info = await self._driver.domain_info(self._ref)
        self._ref = info.ref
        return info

    async def max_memory(self) -> int | None:
        """KiB it may hold at most (`virDomainGetMaxMemory`); None: no limit is known."""
        return await self._driver.max_memory(self._ref)

    async def vcpus(self) -> tuple[Vcpu, ...]:
        """Its vCPUs, offline ones included (`virDomainGetVcpus`). Hypervisor."""
        return await self._driver.vcpus(self._ref)

    async def description(self, *, live: bool = True, security_info: bool = False) -> DomainDescription:
        """What would make another domain like it: libxl's record, with what is true now. Hypervisor; read-only: store.

        With `live` False: its definition, which its next start goes by, if it has one; else the record alone, as it was
        made, if libxl made it. Of a domain that does not run it is its definition in any case. `security_info`: with
        passwords; Denied if this user may not see them. ConfigError if the record makes no sense. Without root and
        without the Xen daemon there is no record, and the store says nothing of how it boots.
        """
        if not live and self._connection.has_daemon:
            try:
                return await self._described(security_info)
            except NoSuchDomain:
                pass
        found = await self._driver.description(self._ref, live, security_info)
        return found.description

    async def _described(self, security_info: bool) -> DomainDescription:
        from purevirt.formats import conversion

        known = await self._driver.definition_text(self._ref, security_info)
        return conversion.parse(known.text, known.format, file="definition").description

    async def live_description(self) -> LiveDescription:
        """What it was given when it started: its console's terminal, its screen's port, its interfaces' names here."""
        return (await self._driver.description(self._ref)).live

    async def xml(self, *, inactive: bool = False, security_info: bool = False) -> str:
        """Its description as libvirt's XML (`virDomainGetXMLDesc`). As `description`.

        `inactive`: as its next start goes by, without what only the running domain has.
        """
        from purevirt.formats import domain_xml

        if inactive:
            described = await self.description(live=False, security_info=security_info)
            return domain_xml.format(described, live=None, security_info=security_info).text()
        found = await self._driver.description(self._ref, True, security_info)
        live = None if found.live.domid is None else found.live
        return domain_xml.format(found.description, live=live, security_info=security_info).text()

    async def block_devices(self) -> tuple[BlockDevice, ...]:
        """Its disks, by number. Store."""
        return await self._driver.block_devices(self._ref)

    async def block_stats(self, target: str) -> BlockStats:
        """Counters of one disk (`virDomainBlockStats`), named by target, number or source. NoSuchDevice."""
        return await self._driver.block_stats(self._ref, target)

    async def interfaces(self) -> tuple[Interface, ...]:
        """Its network interfaces, by number. Store."""
        return await self._driver.interfaces(self._ref)

    async def interface_stats(self, device: str) -> InterfaceStats:
        """Counters of one interface (`virDomainInterfaceStats`), named by device, MAC or number. NoSuchDevice."""
        return await self._driver.interface_stats(self._ref, device)

    async def scheduler_parameters(self) -> SchedulerParameters:
        """Its weight and cap (`virDomainGetSchedulerParameters`). Hypervisor; read-only: Xen daemon.

        Unsupported where its CPU pool's scheduler is neither credit nor credit2.
        """
        return await self._driver.scheduler_parameters(self._ref)

    async def console(
        self, device: str | None = None, *, force: bool = False, timeout: float | None = None
    ) -> AsyncConsole:
        """Its text console, opened (`virDomainOpenConsole`): the first, or `device`: "console1", "serial0".

        The first is the serial port where QEMU serves one, else the PV console ("console0").

        A domain that is new is given `timeout` seconds (None: 10) until its terminal is there. WrongState: another
        program reads it; with `force` it is taken from it, where Closed is then raised. NoSuchDevice: it has no
        such console. ReadOnly on a connection that was opened read-only.
        """
        from purevirt.api._async.console import AsyncConsole

        return AsyncConsole(await self._driver.console(self._ref, device, force, timeout=timeout))
