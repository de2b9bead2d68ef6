"""One domain, through the connection it was found on."""

from __future__ import annotations

from collections.abc import Iterable

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
    from purevirt.model import AttachedDevice, SchedulerParameters, ShutdownMode, Trigger, VcpuCount
    from purevirt.model.description import DomainDescription, LiveDescription

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

    async def description(self, *, live: bool = True, security_info: bool = False) -> DomainDescription:
        """What would make another domain like it: libxl's record, with what is true now. Hypervisor; read-only: store.

        With `live` False: the record alone, as it was made, if libxl made it. `security_info`: with passwords; Denied
        if this user may not see them. ConfigError if the record makes no sense. Without root and without the Xen
        daemon there is no record, and the store says nothing of how it boots.
        """
        found = await self._driver.description(self._ref, live, security_info)
        return found.description

    async def live_description(self) -> LiveDescription:
        """What it was given when it started: its console's terminal, its screen's port, its interfaces' names here."""
        return (await self._driver.description(self._ref)).live

    async def xml(self, *, inactive: bool = False, security_info: bool = False) -> str:
        """Its description as libvirt's XML (`virDomainGetXMLDesc`). As `description`.

        `inactive`: without what only the running domain has.
        """
        from purevirt.formats import domain_xml

        found = await self._driver.description(self._ref, not inactive, security_info)
        live = None if inactive else found.live
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

    # --- changes: the Xen daemon's
    #
    # All of them raise ReadOnly on a read-only connection and ChannelUnavailable where no daemon answered, and then
    # nothing was sent; Denied if the daemon gives this user no such role; NoSuchDomain; Timeout after `timeout`
    # seconds (30 by default).

    async def suspend(self, *, timeout: float | None = None) -> None:
        """Take it off the CPUs; it keeps its memory (`virDomainSuspend`). Xen daemon. WrongState if it is paused."""
        await self._driver.suspend(self._ref, timeout=timeout)

    async def resume(self, *, timeout: float | None = None) -> None:
        """Let it run again (`virDomainResume`). Xen daemon. WrongState if it is not paused."""
        await self._driver.resume(self._ref, timeout=timeout)

    async def destroy(self, *, timeout: float | None = None) -> None:
        """End it at once, without asking its kernel, and clear away its devices (`virDomainDestroy`). Xen daemon."""
        await self._driver.destroy(self._ref, timeout=timeout)

    async def shutdown(self, mode: ShutdownMode | str = "poweroff", *, timeout: float | None = None) -> None:
        """Ask its kernel to shut down, and wait until it has taken note (`virDomainShutdownFlags`). Xen daemon.

        `mode`: "poweroff", "reboot", "halt", "suspend" or "crash"; ValueError for another. WrongState: the guest
        refuses. Timeout: it did not answer; whether it will shut down later is unknown. An HVM guest without PV
        drivers is shut down by the hypervisor.
        """
        from purevirt.model import ShutdownMode

        await self._driver.shutdown(self._ref, ShutdownMode(mode), timeout=timeout)

    async def reboot(self, *, timeout: float | None = None) -> None:
        """Ask its kernel to reboot, and wait until it has taken note (`virDomainReboot`). Xen daemon. As
        `shutdown`."""
        await self._driver.reboot(self._ref, timeout=timeout)

    async def set_memory(self, kib: int, *, timeout: float | None = None) -> int:
        """Ask it to balloon to so many KiB (`virDomainSetMemory`); returns the target set, in KiB. Xen daemon.

        It answers in its own time: `info().memory_kib` says what it holds. InvalidConfig: more than its maximum, or
        less than it can live with.
        """
        return await self._driver.set_memory(self._ref, kib, timeout=timeout)

    async def set_max_memory(self, kib: int, *, timeout: float | None = None) -> None:
        """Let it hold so many KiB at most (`virDomainSetMaxMemory`). Xen daemon."""
        await self._driver.set_max_memory(self._ref, kib, timeout=timeout)

    async def set_vcpus(self, count: int, *, timeout: float | None = None) -> VcpuCount:
        """Ask it to run on so many vCPUs (`virDomainSetVcpus`); returns what was asked, and how many are online now.

        Xen daemon. It answers in its own time. InvalidConfig: fewer than one, or more than it was built with.
        """
        return await self._driver.set_vcpus(self._ref, count, timeout=timeout)

    async def pin_vcpu(
        self, vcpu: int, cpus: Iterable[int], *, soft: bool = False, timeout: float | None = None
    ) -> None:
        """Where a vCPU may run, or, with `soft`, prefers to (`virDomainPinVcpu`). Xen daemon.

        InvalidConfig: no such vCPU, or none of the CPUs exists.
        """
        await self._driver.pin_vcpu(self._ref, vcpu, cpus, soft=soft, timeout=timeout)

    async def set_scheduler_parameters(
        self, *, weight: int | None = None, cap: int | None = None, timeout: float | None = None
    ) -> None:
        """Change its weight (1 to 65535), its cap (percent of a CPU; 0: none), or both
        (`virDomainSetSchedulerParameters`). Xen daemon. ValueError if neither is given."""
        if weight is None and cap is None:
            raise ValueError("give a weight, a cap, or both")
        await self._driver.set_scheduler_parameters(self._ref, weight=weight, cap=cap, timeout=timeout)

    async def rename(self, name: str, *, timeout: float | None = None) -> None:
        """Give it another name (`virDomainRename`). Xen daemon. DomainExists: the name is taken."""
        await self._driver.rename(self._ref, name, timeout=timeout)
        self._ref = DomainRef(self._ref.handle, self._ref.domid, name)

    async def send_sysrq(self, key: str, *, timeout: float | None = None) -> None:
        """Press a magic SysRq key, one character, in its Linux kernel (nearest: `virDomainSendKey`). Xen daemon."""
        await self._driver.send_sysrq(self._ref, key, timeout=timeout)

    async def inject_nmi(self, *, timeout: float | None = None) -> None:
        """Send its first vCPU a non-maskable interrupt (`virDomainInjectNMI`). Xen daemon."""
        await self._driver.inject_nmi(self._ref, timeout=timeout)

    async def send_trigger(
        self, trigger: Trigger | str, vcpu: int = 0, *, timeout: float | None = None
    ) -> None:
        """Press a button from outside: "nmi", "reset", "init", "power" or "sleep" (`xl trigger`). Xen daemon.

        ValueError for another word. Unsupported for what this kind of domain has not.
        """
        from purevirt.model import Trigger

        await self._driver.send_trigger(self._ref, Trigger(trigger), vcpu, timeout=timeout)

    # --- devices of a running domain: the Xen daemon's
    #
    # Beside what every change raises: ConfigError, InvalidConfig (what is asked for cannot be), Unsupported (not while
    # it runs), NoSuchDevice. OperationError: there is one already, or its hotplug script failed. Timeout: a guest that
    # does not take the device up, which is then taken away again, or does not let go of it, which then stays.

    async def attach_device(
        self,
        device: str,
        *,
        format: str | None = None,  # noqa: A002 - as everywhere
        timeout: float | None = None,
    ) -> AttachedDevice:
        """Add a disk or an interface, and wait until the guest has it (`virDomainAttachDeviceFlags`). Xen daemon.

        `device` is libvirt's XML, or, with `format` "xl-disk" or "xl-vif", a string as in an xl.cfg. A domain that is
        paused finds it when it runs.
        """
        return await self._driver.attach_device(self._ref, device, form=format, timeout=timeout)

    async def detach_device(
        self,
        device: str,
        *,
        format: str | None = None,  # noqa: A002 - as everywhere
        force: bool = False,
        timeout: float | None = None,
    ) -> AttachedDevice:
        """Take a disk (by its target) or an interface (by its address) away (`virDomainDetachDeviceFlags`). Xen daemon.

        `force`: without asking the guest, for which the device then breaks.
        """
        return await self._driver.detach_device(self._ref, device, form=format, force=force, timeout=timeout)

    async def update_device(
        self,
        device: str,
        *,
        format: str | None = None,  # noqa: A002 - as everywhere
        timeout: float | None = None,
    ) -> AttachedDevice:
        """Change an interface's bridge or rate (`virDomainUpdateDeviceFlags`). Xen daemon. Unsupported names what
        cannot be changed."""
        return await self._driver.update_device(self._ref, device, form=format, timeout=timeout)

    async def attach_disk(
        self,
        source: str,
        target: str,
        *,
        format: str = "raw",  # noqa: A002 - the field's word
        read_only: bool = False,
        device: str = "disk",
        backend: str | None = None,
        script: str | None = None,
        timeout: float | None = None,
    ) -> AttachedDevice:
        """Add a file or block device as a disk: `target` is what the guest calls it. Xen daemon. As `attach_device`.

        ValueError for an unknown `format` ("raw", "qcow2" …), `device` ("disk", "cdrom") or `backend`.
        """
        from purevirt.formats.device_text import written
        from purevirt.model.description import Disk, DiskBackend, DiskDevice, DiskFormat

        disk = Disk(
            target,
            source,
            DiskFormat(format),
            None if backend is None else DiskBackend(backend),
            DiskDevice(device),
            read_only or device == "cdrom",
            script,
        )
        text, form = written(disk)
        return await self._driver.attach_device(self._ref, text, form=form, timeout=timeout)

    async def attach_interface(
        self,
        bridge: str | None = None,
        *,
        mac: str | None = None,
        name: str | None = None,
        model: str | None = None,
        mtu: int | None = None,
        rate: str | None = None,
        script: str | None = None,
        timeout: float | None = None,
    ) -> AttachedDevice:
        """Add a network interface on a bridge (None: the toolstack's default). Xen daemon. As `attach_device`.

        `mac`: None for one of Xen's range; `name`: what Domain 0 calls its end; `rate`: as xl has it, "10Mb/s@50ms";
        ValueError for one that is none.
        """
        from purevirt.formats.device_text import written
        from purevirt.formats.xl_config.vif import read_rate
        from purevirt.model.description import Interface as Described

        nic = Described(mac=mac, bridge=bridge, name=name, model=model, mtu=mtu, script=script)
        if rate is not None:
            nic = nic._replace(rate=read_rate(rate))
        text, form = written(nic)
        return await self._driver.attach_device(self._ref, text, form=form, timeout=timeout)

    async def detach_disk(
        self, target: str, *, force: bool = False, timeout: float | None = None
    ) -> AttachedDevice:
        """Take a disk away. Xen daemon. As `detach_device`."""
        from purevirt.formats.device_text import named_disk

        text, form = named_disk(target)
        return await self._driver.detach_device(self._ref, text, form=form, force=force, timeout=timeout)

    async def detach_interface(
        self, which: str | int, *, force: bool = False, timeout: float | None = None
    ) -> AttachedDevice:
        """Take an interface away, by its address or its number in the guest. Xen daemon. As `detach_device`."""
        from purevirt.formats.device_text import named_interface

        text, form = named_interface(which)
        return await self._driver.detach_device(self._ref, text, form=form, force=force, timeout=timeout)

    async def change_media(
        self, target: str, source: str | None, *, timeout: float | None = None
    ) -> AttachedDevice:
        """Exchange the medium of a CD-ROM drive; None ejects it (`virDomainUpdateDeviceFlags`). Xen daemon.

        Unsupported while no kind of drive can do it: the message says what to do instead.
        """
        from purevirt.formats.device_text import written
        from purevirt.model.description import Disk, DiskDevice

        text, form = written(Disk(target, source, device=DiskDevice.CDROM, read_only=True))
        return await self._driver.update_device(self._ref, text, form=form, timeout=timeout)
