"""A domain's disks and interfaces, and their counters. How they stand in the store is in `devices`."""

from __future__ import annotations

from purevirt._typing import TYPE_CHECKING
from purevirt.drivers.xen.connected import Connected, served, shown
from purevirt.errors import NoSuchDevice, Unsupported, XenError
from purevirt.model import DomainRef

if TYPE_CHECKING:
    from purevirt.model import BlockDevice, BlockStats, Interface, InterfaceStats

__all__ = ["DeviceReads"]


class DeviceReads(Connected):
    """What can be asked about a domain's devices."""

    @served
    async def block_devices(self, ref: DomainRef) -> tuple[BlockDevice, ...]:
        domid = await self._active_id(ref, "block_devices")
        return (await self._devices.blocks([domid]))[domid]

    @served
    async def block_stats(self, ref: DomainRef, target: str) -> BlockStats:
        domid = await self._active_id(ref, "block_stats")
        disk = self._devices.find_block((await self._devices.blocks([domid]))[domid], target)
        if disk is None:
            raise _no_device("disk", target, ref, "block_stats")
        counters = self._devices.block_counters(domid, disk)
        if counters is None:
            raise _no_counters(f"disk {disk.target}", disk.backend_domid, ref, "block_stats")
        return counters

    @served
    async def interfaces(self, ref: DomainRef) -> tuple[Interface, ...]:
        domid = await self._active_id(ref, "interfaces")
        return (await self._devices.interfaces([domid]))[domid]

    @served
    async def interface_stats(self, ref: DomainRef, device: str) -> InterfaceStats:
        domid = await self._active_id(ref, "interface_stats")
        nic = self._devices.find_interface((await self._devices.interfaces([domid]))[domid], device)
        if nic is None:
            raise _no_device("interface", device, ref, "interface_stats")
        counters = self._devices.interface_counters(nic)
        if counters is None:
            raise _no_counters(f"interface {nic.device}", nic.backend_domid, ref, "interface_stats")
        return counters


def _no_device(kind: str, wanted: str, ref: DomainRef, operation: str) -> XenError:
    return NoSuchDevice(
        f"domain {shown(ref)} has no {kind} {wanted!r}",
        operation=operation,
        domain=shown(ref),
        detail=wanted,
    )


def _no_counters(device: str, backend_domid: int, ref: DomainRef, operation: str) -> XenError:
    reason = (
        "its backend keeps none here"
        if backend_domid == 0
        else f"its backend runs in domain {backend_domid}, whose files cannot be read from here"
    )
    return Unsupported(
        f"no counters for {device} of domain {shown(ref)}: {reason}",
        operation=operation,
        domain=shown(ref),
        channel="files",
    )
