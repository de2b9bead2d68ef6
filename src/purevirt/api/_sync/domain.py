# Generated from _async/domain.py by tools/generate_sync.py: never edit this file, run `make generate`.
"""One domain, through the connection it was found on.

Its class has four halves: what is read is here; `changes`, `devices` and `lifecycle` have what is done to it.
"""

from __future__ import annotations

from purevirt._run import run_blocking
from purevirt._typing import TYPE_CHECKING
from purevirt.api._sync.changes import Changes
from purevirt.api._sync.devices import Devices
from purevirt.api._sync.lifecycle import Lifecycle
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
    from purevirt.api._sync.console import Console
    from purevirt.model import SchedulerParameters
    from purevirt.model.description import DomainDescription, LiveDescription
__all__ = ["Domain"]


class Domain(Lifecycle, Devices, Changes):
    """A domain. It is its UUID; the id it had when last seen is a hint that every call checks.

    A domain that has gone raises NoSuchDomain, one that shares its UUID with another active one (during a migration
    to the same host) DomainAmbiguous once its id is no longer the one first seen.
    """

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

    def description(self, *, live: bool = True, security_info: bool = False) -> DomainDescription:
        """What would make another domain like it: libxl's record, with what is true now. Hypervisor; read-only: store.

        With `live` False: its definition, which its next start goes by, if it has one; else the record alone, as it was
        made, if libxl made it. Of a domain that does not run it is its definition in any case. `security_info`: with
        passwords; Denied if this user may not see them. ConfigError if the record makes no sense. Without root and
        without the Xen daemon there is no record, and the store says nothing of how it boots.
        """
        if not live and self._connection.has_daemon:
            try:
                return self._described(security_info)
            except NoSuchDomain:
                pass
        found = run_blocking(self._driver.description(self._ref, live, security_info))
        return found.description

    def _described(self, security_info: bool) -> DomainDescription:
        from purevirt.formats import conversion

        known = run_blocking(self._driver.definition_text(self._ref, security_info))
        return conversion.parse(known.text, known.format, file="definition").description

    def live_description(self) -> LiveDescription:
        """What it was given when it started: its console's terminal, its screen's port, its interfaces' names here."""
        return run_blocking(self._driver.description(self._ref)).live

    def xml(self, *, inactive: bool = False, security_info: bool = False) -> str:
        """Its description as libvirt's XML (`virDomainGetXMLDesc`). As `description`.

        `inactive`: as its next start goes by, without what only the running domain has.
        """
        from purevirt.formats import domain_xml

        if inactive:
            described = self.description(live=False, security_info=security_info)
            return domain_xml.format(described, live=None, security_info=security_info).text()
        found = run_blocking(self._driver.description(self._ref, True, security_info))
        live = None if found.live.domid is None else found.live
        return domain_xml.format(found.description, live=live, security_info=security_info).text()

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

    def scheduler_parameters(self) -> SchedulerParameters:
        """Its weight and cap (`virDomainGetSchedulerParameters`). Hypervisor; read-only: Xen daemon.

        Unsupported where its CPU pool's scheduler is neither credit nor credit2.
        """
        return run_blocking(self._driver.scheduler_parameters(self._ref))

    def console(
        self, device: str | None = None, *, force: bool = False, timeout: float | None = None
    ) -> Console:
        """Its text console, opened (`virDomainOpenConsole`): the first, or `device`: "console1", "serial0".

        The first is the serial port where QEMU serves one, else the PV console ("console0").

        A domain that is new is given `timeout` seconds (None: 10) until its terminal is there. WrongState: another
        program reads it; with `force` it is taken from it, where Closed is then raised. NoSuchDevice: it has no
        such console. ReadOnly on a connection that was opened read-only.
        """
        from purevirt.api._sync.console import Console

        return Console(run_blocking(self._driver.console(self._ref, device, force, timeout=timeout)))
