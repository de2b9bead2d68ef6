"""What this host cannot make, found before anything is touched: files, bridges, scripts, programs that are not there.

All of this looks at Domain 0's files and at nothing else; `room` at what others have. What is in
another backend's domain cannot be seen from here and is not looked at. Settings that only a foreign format knows are
carried past `xl`, or given to it as they are, and are its to refuse.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator

from purevirt.channels.files import HostFiles, installed
from purevirt.model import DomainType
from purevirt.model.description import Disk, DiskBackend, DiskFormat, DomainDescription
from purevirt.model.description.rules import Problem
from purevirt.model.description.rules import problems as impossible

__all__ = ["problems", "served_by_qemu", "source_of"]

_SCRIPTS = "/etc/xen/scripts"
_BOOTLOADERS = ("/usr/lib/xen-{version}/bin/{name}", "/usr/lib/xen/bin/{name}", "/usr/libexec/xen/bin/{name}")
_DISK_NAME = re.compile(r"(?:xvd|vd|hd|sd)[a-z]+[0-9]*|d[0-9]+(?:p[0-9]+)?|0x[0-9a-f]+|[0-9]+")
_BRIDGED = (None, "vif-bridge", f"{_SCRIPTS}/vif-bridge")
_HERE = (None, "0", "Domain-0")
_KERNEL_HEAD = 8192  # where a multiboot header has to be
_COMPRESSED = (
    b"\x1f\x8b",
    b"BZh",
    b"\xfd7zXZ\0",
    b"\x5d\0\0",
    b"\x89LZO",
    b"\x02\x21\x4c\x18",
    b"\x28\xb5\x2f\xfd",
)


def problems(description: DomainDescription, files: HostFiles, version: str) -> list[Problem]:
    """Everything that is wrong with it for this host. `version` is Xen's, "4.17". Blocks: it looks at files."""
    return [
        *impossible(description),
        *_boot(description, files, version),
        *_disks(description),
        *_interfaces(description),
        *_model(description, files, version),
    ]


# --- files


def _file(path: str, what: str) -> str | None:
    """Why this is no file that can be read, or None."""
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        return f"{what} {path}: {_reason(error)}"
    if not stat.S_ISREG(mode):
        return f"{what} {path}: {'a directory' if stat.S_ISDIR(mode) else 'not a file'}"
    return None if os.access(path, os.R_OK) else f"{what} {path}: may not be read"


def _program(path: str, what: str) -> str | None:
    wrong = _file(path, what)
    return wrong or (None if os.access(path, os.X_OK) else f"{what} {path}: may not be run")


def _reason(error: OSError) -> str:
    text = error.strerror or str(error)
    return text[:1].lower() + text[1:]


# --- what it boots from


def _boot(description: DomainDescription, files: HostFiles, version: str) -> Iterator[Problem]:
    boot = description.boot
    shim = None if boot.shim is None else boot.shim.path
    for field, path, what in (
        ("kernel", boot.kernel, "kernel"),
        ("ramdisk", boot.ramdisk, "ramdisk"),
        ("device_tree", boot.device_tree, "device tree"),
        ("shim.path", shim, "PV shim"),
        ("loader", boot.loader, "loader"),
        ("firmware_path", boot.firmware_path, "firmware"),
        ("acpi_firmware", boot.acpi_firmware, "ACPI tables"),
        ("smbios_firmware", boot.smbios_firmware, "SMBIOS tables"),
    ):
        if path is None:
            continue
        wrong = _file(path, what)
        if wrong is None and field == "kernel":
            wrong = _no_kernel(path)
        if wrong is not None:
            yield Problem(f"boot.{field}", wrong)
    if boot.bootloader is not None:
        path = boot.bootloader
        if "/" not in path:
            named = tuple(each.replace("{name}", path) for each in _BOOTLOADERS)
            path = installed.find("", named, version) or f"/usr/bin/{path}"
        if (wrong := _program(path, "boot loader")) is not None:
            yield Problem("boot.bootloader", wrong)
    if description.type is DomainType.HVM and boot.loader is None and files.hvm_loader(version) is None:
        yield Problem("type", "an HVM domain needs hvmloader, which is not installed")


def _no_kernel(path: str) -> str | None:
    """Why this cannot be a kernel: it is none of what libxc's loaders look for. Nothing says that it would boot."""
    try:
        with open(path, "rb") as file:
            head = file.read(_KERNEL_HEAD)
    except OSError as error:
        return f"kernel {path}: {_reason(error)}"
    known = (
        head.startswith((b"\x7fELF", *_COMPRESSED))
        or head[0x202:0x206] == b"HdrS"  # bzImage
        or head[56:60] == b"ARMd"  # Image of Arm 64
        or any(head[at : at + 4] == b"\x02\xb0\xad\x1b" for at in range(0, len(head), 4))  # multiboot
    )
    return None if known else f"kernel {path}: not a kernel, neither ELF nor bzImage"


# --- disks


def served_by_qemu(disk: Disk) -> bool:
    """Whether QEMU has to serve it: said, or because the kernel's backend has no such format (libxl chooses so)."""
    if disk.backend is not None:
        return disk.backend is DiskBackend.QDISK
    return disk.script is None and disk.format not in (None, DiskFormat.RAW, DiskFormat.EMPTY)


def source_of(disk: Disk) -> str | None:
    """The file or block device in this domain behind it; None for what is elsewhere or made by a script of its own."""
    if disk.source is None or disk.backend_domain not in _HERE or disk.backend is DiskBackend.STANDALONE:
        return None
    if disk.script is not None and os.path.basename(disk.script) != "block":
        return None
    if os.path.isabs(disk.source):
        return disk.source
    if ":" in disk.source:  # what only QEMU understands: nbd:…
        return None
    return f"/dev/{disk.source}" if disk.from_device is not False else f"/{disk.source}"


def _disks(description: DomainDescription) -> Iterator[Problem]:
    for disk in description.disks:
        place = f"disks[{disk.target}]"
        if not _DISK_NAME.fullmatch(disk.target):
            yield Problem(f"{place}.target", f"{disk.target!r} is no name of a disk, such as xvda")
        path = source_of(disk)
        if path is not None and (wrong := _no_source(disk, path)) is not None:
            yield Problem(f"{place}.source", f"{path}: {wrong}")
        if disk.script is not None and disk.backend_domain in _HERE:
            script = os.path.join(_SCRIPTS, disk.script)
            if (wrong := _program(script, "hotplug script")) is not None:
                yield Problem(f"{place}.script", wrong)


def _no_source(disk: Disk, path: str) -> str | None:
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        return _reason(error)
    if stat.S_ISBLK(mode):
        return "a block device, not a file" if disk.from_device is False else None
    if not stat.S_ISREG(mode):
        return "a directory" if stat.S_ISDIR(mode) else "neither a file nor a block device"
    return "a file, not a block device" if disk.from_device else None


# --- interfaces


def _interfaces(description: DomainDescription) -> Iterator[Problem]:
    for index, interface in enumerate(description.interfaces):
        place = f"interfaces[{index}]"
        if interface.network is not None:
            yield Problem(
                f"{place}.network", f"{interface.network!r} is a network of libvirt's: name a bridge"
            )
        if interface.backend_domain not in _HERE:
            continue
        if interface.script is not None:
            script = os.path.join(_SCRIPTS, interface.script)
            if (wrong := _program(script, "hotplug script")) is not None:
                yield Problem(f"{place}.script", wrong)
        if interface.bridge is not None and interface.script in _BRIDGED:
            if not _plain(interface.bridge) or not os.path.exists(f"/sys/class/net/{interface.bridge}"):
                yield Problem(f"{place}.bridge", f"bridge {interface.bridge} does not exist")
            elif not os.path.exists(f"/sys/class/net/{interface.bridge}/bridge"):
                yield Problem(f"{place}.bridge", f"{interface.bridge} is no bridge")


def _plain(name: str) -> bool:
    return name not in ("", ".", "..") and "/" not in name and "\0" not in name


# --- the device model


def _model(description: DomainDescription, files: HostFiles, version: str) -> Iterator[Problem]:
    path = description.device_model.path
    if path is not None:
        if (wrong := _program(path, "device model")) is not None:
            yield Problem("device_model.path", wrong)
        return
    if files.device_model(version) is not None:
        return
    if description.type is DomainType.HVM:
        yield Problem("type", "an HVM domain needs a device model (qemu-system-i386), which is not installed")
        return
    for disk in description.disks:
        if served_by_qemu(disk):
            yield Problem(
                f"disks[{disk.target}]",
                "QEMU would have to serve it (qemu-system-i386), which is not installed: use a raw image",
            )
