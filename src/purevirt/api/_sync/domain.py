# Generated from _async/domain.py by tools/generate_sync.py: never edit this file, run `make generate`.
"""One domain, through the connection it was found on."""

from __future__ import annotations

from purevirt._run import run_blocking
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

    from purevirt.api._sync.connection import Connection
    from purevirt.drivers.base import Driver
__all__ = ["Domain"]


class Domain:
    """A domain. It is its UUID; the id it had when last seen is a hint that every call checks.

    A domain that has gone raises NoSuchDomain, one that shares its UUID with another active one (during a migration
    to the same host) DomainAmbiguous once its id is no longer the one first seen.
    """

    def __init__(self, connection: Connection, ref: DomainRef) -> None:
        self._connection = connection
        self._ref = ref

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__} {self._ref.name or '(no name)'} {self._ref.uuid} id={self._ref.domid}>"
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Domain):
            return NotImplemented
        return self._ref.handle == other._ref.handle and self._connection is other._connection

    def __hash__(self) -> int:
        return hash(self._ref.handle)

    @property
    def connection(self) -> Connection:
        """The connection it was found on."""
        return self._connection

    @property
    def uuid(self) -> UUID:
        """Its UUID: Xen's handle (`virDomainGetUUID`). Domain 0's is all zeros."""
        return self._ref.uuid

    @property
    def _driver(self) -> Driver:
        return self._connection._driver

    def id(self) -> int | None:
        """Its id now (`virDomainGetID`); None if it is not active."""
        domid = run_blocking(self._driver.domid(self._ref))
        if domid != self._ref.domid:
            self._ref = DomainRef(self._ref.handle, domid, self._ref.name)
        return domid

    def is_active(self) -> bool:
        """Whether it runs, in any state (`virDomainIsActive`)."""
        return self.id() is not None

    def name(self) -> str | None:
        """Its name now (`virDomainGetName`); None while it has none."""
        return run_blocking(self._driver.domain_name(self._ref))

    def type(self) -> DomainType:
        """How it is virtualised (`virDomainGetOSType`)."""
        return run_blocking(self._driver.domain_type(self._ref))

    def state(self) -> tuple[DomainState, StateReason]:
        """What it does, and why as far as Xen tells (`virDomainGetState`)."""
        return run_blocking(self._driver.domain_state(self._ref))

    def info(self) -> DomainInfo:
        """All figures of one moment (`virDomainGetInfo`)."""
        info = run_blocking(self._driver.domain_info(self._ref))
        self._ref = info.ref
        return info

    def max_memory(self) -> int | None:
        """KiB it may hold at most (`virDomainGetMaxMemory`); None: no limit is known."""
        return run_blocking(self._driver.max_memory(self._ref))

    def vcpus(self) -> tuple[Vcpu, ...]:
        """Its vCPUs, offline ones included (`virDomainGetVcpus`). Hypervisor."""
        return run_blocking(self._driver.vcpus(self._ref))

    def block_devices(self) -> tuple[BlockDevice, ...]:
        """Its disks, by number. Store."""
        return run_blocking(self._driver.block_devices(self._ref))

    def block_stats(self, target: str) -> BlockStats:
        """Counters of one disk (`virDomainBlockStats`), named by target, number or source. NoSuchDevice."""
        return run_blocking(self._driver.block_stats(self._ref, target))

    def interfaces(self) -> tuple[Interface, ...]:
        """Its network interfaces, by number. Store."""
        return run_blocking(self._driver.interfaces(self._ref))

    def interface_stats(self, device: str) -> InterfaceStats:
        """Counters of one interface (`virDomainInterfaceStats`), named by device, MAC or number. NoSuchDevice."""
        return run_blocking(self._driver.interface_stats(self._ref, device))
