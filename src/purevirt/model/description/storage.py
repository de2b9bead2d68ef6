"""A description's disks and shared directories."""

from __future__ import annotations

import enum

from purevirt._typing import NamedTuple

__all__ = ["P9", "Colo", "Disk", "DiskBackend", "DiskDevice", "DiskFormat"]


class DiskFormat(enum.Enum):
    RAW = "raw"
    QCOW = "qcow"
    QCOW2 = "qcow2"
    QED = "qed"
    VHD = "vhd"
    EMPTY = "empty"
    """A drive without a medium."""


class DiskBackend(enum.Enum):
    """What serves it: the kernel's blkback, tapdisk, QEMU, or a program that nobody starts."""

    PHY = "phy"
    TAP = "tap"
    QDISK = "qdisk"
    STANDALONE = "standalone"


class DiskDevice(enum.Enum):
    DISK = "disk"
    CDROM = "cdrom"
    FLOPPY = "floppy"
    LUN = "lun"


class Colo(NamedTuple):
    """A disk's part in COLO's lock-stepping: the other host, and the disks in between."""

    host: str | None = None
    port: int | None = None
    export: str | None = None
    active_disk: str | None = None
    hidden_disk: str | None = None


class Disk(NamedTuple):
    """A disk. `target` is what the guest calls it ("xvda", "hdc"), `source` a file, a block device, or what `script`
    makes of it; None: an empty drive.

    `bus` is None where it follows from the target (xvd: xen, hd: ide, sd: scsi). `from_device` says whether the source
    is a block device (True) or a file; None where it begins with /dev/ if and only if it is a device.
    `specification` is "xen" or "virtio", `transport` "mmio" or "grant" as virtio has it.
    """

    target: str
    source: str | None = None
    format: DiskFormat | None = None
    backend: DiskBackend | None = None
    device: DiskDevice = DiskDevice.DISK
    read_only: bool = False
    script: str | None = None
    backend_domain: str | None = None
    removable: bool | None = None
    discard: bool | None = None
    direct_io_safe: bool | None = None
    trusted: bool | None = None
    specification: str | None = None
    transport: str | None = None
    bus: str | None = None
    from_device: bool | None = None
    shareable: bool | None = None
    serial: str | None = None
    colo: Colo | None = None

    @property
    def key(self) -> str:
        return self.target


class P9(NamedTuple):
    """A directory of the backend's domain that the guest mounts over 9pfs, under `tag`. `backend_type` is what serves
    it (Xen 4.20: "qemu" or "xen9pfsd"), with the limits that the latter keeps."""

    tag: str
    path: str
    security_model: str = "none"
    backend_domain: str | None = None
    backend_type: str | None = None
    max_space_mib: int | None = None
    max_files: int | None = None
    max_open_files: int | None = None
    auto_delete: bool | None = None

    @property
    def key(self) -> str:
        return self.tag
