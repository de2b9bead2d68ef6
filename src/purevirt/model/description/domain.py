"""A domain as it is described, not as it runs: everything that libvirt's XML or an xl.cfg can say about one."""

from __future__ import annotations

from purevirt._typing import TYPE_CHECKING, NamedTuple
from purevirt.model.description.boot import Boot, Lifecycle
from purevirt.model.description.passthrough import PciDefaults
from purevirt.model.description.platform import Clock, DeviceModel, Features, ReservedMemory, Security
from purevirt.model.description.processors import Cpus, Memory, Scheduling
from purevirt.model.domain import DomainType

if TYPE_CHECKING:
    from uuid import UUID

    from purevirt.model.description.characters import Channel, Serial
    from purevirt.model.description.display import Display, Graphics, Input, Keyboard, SoundCard, Video
    from purevirt.model.description.network import Interface
    from purevirt.model.description.passthrough import (
        MemoryRange,
        PciDevice,
        PortRange,
        Pvcalls,
        UsbController,
        UsbDevice,
        Virtio,
        Vtpm,
    )
    from purevirt.model.description.storage import P9, Disk

__all__ = ["DomainDescription", "Unknown"]


class Unknown(NamedTuple):
    """Something a file says that the model has no field for: of which format ("xml", "xl"), where it stands there
    ("devices", "devices/disk[xvda]", or a setting's name), and its text."""

    format: str
    place: str
    text: str


class DomainDescription(NamedTuple):
    """A domain to be created.

    None, or nothing in a tuple, means "not said": the toolstack's default. Sizes are KiB. Of each kind of device there
    is a tuple, in the order in which the guest gets them; an item of a tuple is known by its `key` where it has one
    (a disk by its target), else by its index.

    `title`, `summary` (libvirt's description) and `metadata` (elements of other programs' namespaces, as XML text) are
    for people and programs, not for Xen. `generation_id` is a UUID or "generate". `usb`: whether there is an emulated
    controller, `usb_version` which; `usb_devices_emulated` are QEMU's words for what is plugged in beside `inputs`.
    """

    name: str
    type: DomainType = DomainType.PV
    uuid: UUID | None = None
    title: str | None = None
    summary: str | None = None
    metadata: tuple[str, ...] = ()
    generation_id: str | None = None
    memory: Memory = Memory()
    cpus: Cpus = Cpus()
    scheduling: Scheduling = Scheduling()
    boot: Boot = Boot()
    lifecycle: Lifecycle = Lifecycle()
    features: Features = Features()
    clock: Clock = Clock()
    device_model: DeviceModel = DeviceModel()
    security: Security = Security()
    block_device_start: str | None = None
    disks: tuple[Disk, ...] = ()
    directories: tuple[P9, ...] = ()
    interfaces: tuple[Interface, ...] = ()
    serials: tuple[Serial, ...] = ()
    channels: tuple[Channel, ...] = ()
    graphics: tuple[Graphics, ...] = ()
    no_graphics: bool | None = None
    video: Video | None = None
    inputs: tuple[Input, ...] = ()
    keyboards: tuple[Keyboard, ...] = ()
    emulated_keyboard: bool | None = None
    displays: tuple[Display, ...] = ()
    sound: tuple[str, ...] = ()
    sound_cards: tuple[SoundCard, ...] = ()
    usb: bool | None = None
    usb_version: int | None = None
    usb_devices_emulated: tuple[str, ...] = ()
    usb_controllers: tuple[UsbController, ...] = ()
    usb_devices: tuple[UsbDevice, ...] = ()
    pci_devices: tuple[PciDevice, ...] = ()
    pci_defaults: PciDefaults = PciDefaults()
    reserved_memory: ReservedMemory = ReservedMemory()
    device_tree_devices: tuple[str, ...] = ()
    io_ports: tuple[PortRange, ...] = ()
    interrupts: tuple[int, ...] = ()
    io_memory: tuple[MemoryRange, ...] = ()
    tpms: tuple[Vtpm, ...] = ()
    socket_calls: tuple[Pvcalls, ...] = ()
    virtio_devices: tuple[Virtio, ...] = ()
    unknown: tuple[Unknown, ...] = ()
