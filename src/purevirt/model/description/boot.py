"""How a described domain starts, and what happens when it ends."""

from __future__ import annotations

import enum

from purevirt._typing import NamedTuple

__all__ = ["Action", "Boot", "BootDevice", "Firmware", "Lifecycle", "Shim"]


class BootDevice(enum.Enum):
    """What an HVM guest's firmware boots from."""

    DISK = "disk"
    CDROM = "cdrom"
    NETWORK = "network"
    FLOPPY = "floppy"


class Firmware(enum.Enum):
    """The firmware of an HVM guest that hvmloader starts."""

    ROMBIOS = "rombios"
    SEABIOS = "seabios"
    OVMF = "ovmf"


class Shim(NamedTuple):
    """A PVH domain that runs a PV guest inside a small Xen. `extra` is added to the default command line."""

    path: str | None = None
    command_line: str | None = None
    extra: str | None = None


class Boot(NamedTuple):
    """Either a kernel, or a boot loader that finds one (PV, PVH), or firmware and the order in which it looks (HVM).

    `loader` is another hvmloader, `firmware_path` the file of the firmware in it; `acpi_firmware` and
    `smbios_firmware` are tables to add. `bootloader_arguments` are its arguments, one by one.
    """

    kernel: str | None = None
    ramdisk: str | None = None
    command_line: str | None = None
    bootloader: str | None = None
    bootloader_arguments: tuple[str, ...] = ()
    order: tuple[BootDevice, ...] = ()
    firmware: Firmware | None = None
    firmware_path: str | None = None
    loader: str | None = None
    acpi_firmware: str | None = None
    smbios_firmware: str | None = None
    device_tree: str | None = None
    shim: Shim | None = None


class Action(enum.Enum):
    """What becomes of a domain that has stopped."""

    DESTROY = "destroy"
    RESTART = "restart"
    RENAME_RESTART = "rename-restart"
    PRESERVE = "preserve"
    COREDUMP_DESTROY = "coredump-destroy"
    COREDUMP_RESTART = "coredump-restart"
    SOFT_RESET = "soft-reset"


class Lifecycle(NamedTuple):
    """What is done when the guest powers off, reboots, crashes, is ended by its watchdog, or asks for a soft reset.

    None: the toolstack's default (destroy, restart, destroy, destroy, soft-reset).
    """

    on_poweroff: Action | None = None
    on_reboot: Action | None = None
    on_crash: Action | None = None
    on_watchdog: Action | None = None
    on_soft_reset: Action | None = None
