"""What of the host's hardware a described guest is given: PCI and USB devices, ports, interrupts, memory."""

from __future__ import annotations

from purevirt._typing import NamedTuple

__all__ = [
    "MemoryRange",
    "PciDefaults",
    "PciDevice",
    "PortRange",
    "Pvcalls",
    "UsbController",
    "UsbDevice",
    "Virtio",
    "Vtpm",
]


class PciDevice(NamedTuple):
    """A device of the host: `address` is "domain:bus:device.function" in hexadecimal ("0000:03:00.0"; "*": all
    functions), or `name` what xl's assignable list calls it. `slot` is where the guest finds it."""

    address: str | None = None
    name: str | None = None
    slot: int | None = None
    permissive: bool | None = None
    msi_translate: bool | None = None
    seize: bool | None = None
    power_management: bool | None = None
    reserved_memory: str | None = None

    @property
    def key(self) -> str:
        return self.address or self.name or ""


class PciDefaults(NamedTuple):
    """What holds for each passed-through device that does not say itself."""

    permissive: bool | None = None
    msi_translate: bool | None = None
    seize: bool | None = None
    power_management: bool | None = None


class UsbController(NamedTuple):
    """A USB controller: `type` is "pv", "qusb", "devicemodel" or "auto", `version` 1, 2 or 3."""

    type: str | None = None
    version: int | None = None
    ports: int | None = None
    backend_domain: str | None = None


class UsbDevice(NamedTuple):
    """A USB device of the host, by bus and address, on a port of a controller."""

    host_bus: int
    host_address: int
    controller: int | None = None
    port: int | None = None
    type: str | None = None


class PortRange(NamedTuple):
    """I/O ports, both ends included."""

    first: int
    last: int


class MemoryRange(NamedTuple):
    """Pages of the host's memory, by frame number; `guest_frame` is where the guest sees them (None: the same)."""

    first_frame: int
    frames: int
    guest_frame: int | None = None


class Vtpm(NamedTuple):
    """A virtual TPM, served by a domain."""

    backend_domain: str
    uuid: str | None = None


class Pvcalls(NamedTuple):
    """Sockets of the backend's domain that the guest uses as its own."""

    backend_domain: str | None = None


class Virtio(NamedTuple):
    """A virtio device by its type in the device tree's words ("virtio,device22"), with `transport` "mmio"."""

    type: str | None = None
    transport: str | None = None
    backend_domain: str | None = None
    grant_usage: bool | None = None
