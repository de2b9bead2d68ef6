"""One domain, through the connection it was found on."""

from __future__ import annotations

from purevirt._typing import TYPE_CHECKING
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
    from uuid import UUID

    from purevirt.api._async.connection import AsyncConnection
    from purevirt.drivers.base import Driver

__all__ = ["AsyncDomain"]


class AsyncDomain:
    """A domain. It is its UUID; the id it had when last seen is a hint that every call checks.

    A domain that has gone raises NoSuchDomain, one that shares its UUID with another active one (during a migration
    to the same host) DomainAmbiguous once its id is no longer the one first seen.
    """

    def __init__(self, connection: AsyncConnection, ref: DomainRef) -> None:
        self._connection = connection
        self._ref = ref

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__} {self._ref.name or '(no name)'} {self._ref.uuid} id={self._ref.domid}>"
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, AsyncDomain):
            return NotImplemented
        return self._ref.handle == other._ref.handle and self._connection is other._connection

    def __hash__(self) -> int:
        return hash(self._ref.handle)

    @property
    def connection(self) -> AsyncConnection:
        """The connection it was found on."""
        return self._connection

    @property
    def uuid(self) -> UUID:
        """Its UUID: Xen's handle (`virDomainGetUUID`). Domain 0's is all zeros."""
        return self._ref.uuid

    @property
    def _driver(self) -> Driver:
        return self._connection._driver

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
