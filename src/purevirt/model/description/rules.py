"""What a described domain may be: what Xen or its tools would refuse, found before anything is touched.

A format's reader sees to it that each value is one; here is what values must be to each other.
"""

from __future__ import annotations

from collections.abc import Iterator

from purevirt._typing import NamedTuple
from purevirt.model.description.domain import DomainDescription
from purevirt.model.description.storage import DiskFormat
from purevirt.model.domain import DomainType

__all__ = ["Problem", "problems"]

_LONGEST_NAME = 255
_SMALLEST_KIB = 1024
_LARGEST_KIB = 1 << 54  # addresses have 64 bits
# MAX_VIRT_CPUS and HVM_MAX_VCPUS of the hypervisor.
_MOST_VCPUS = {DomainType.PV: 8192, DomainType.PVH: 128, DomainType.HVM: 128}


class Problem(NamedTuple):
    """What is wrong, and with which value (its path, as `comparing` writes it)."""

    path: str
    message: str


def problems(description: DomainDescription) -> list[Problem]:
    """Everything that cannot be; nothing in it if the domain could be created somewhere."""
    return [
        *_name(description),
        *_sizes(description),
        *_boot(description),
        *_devices(description),
    ]


def _name(description: DomainDescription) -> Iterator[Problem]:
    name = description.name
    if not name:
        yield Problem("name", "a domain needs a name")
    elif len(name) > _LONGEST_NAME:
        yield Problem("name", f"a name has at most {_LONGEST_NAME} letters, this one {len(name)}")
    elif "/" in name or not name.isprintable() or name.isdigit():
        yield Problem(
            "name", f"{name!r} cannot be a domain's name: no slash, nothing unprintable, not only digits"
        )


def _sizes(description: DomainDescription) -> Iterator[Problem]:
    memory, cpus = description.memory, description.cpus
    if memory.kib < _SMALLEST_KIB:
        yield Problem(
            "memory.kib", f"a domain needs at least {_SMALLEST_KIB} KiB of memory, not {memory.kib}"
        )
    for path, kib in (("memory.kib", memory.kib), ("memory.max_kib", memory.max_kib or 0)):
        if kib > _LARGEST_KIB:
            yield Problem(path, f"a domain has at most {_LARGEST_KIB} KiB of memory, not {kib}")
    if memory.max_kib is not None and memory.max_kib < memory.kib:
        yield Problem(
            "memory.max_kib",
            f"the maximum, {memory.max_kib} KiB, is below the {memory.kib} KiB it starts with",
        )
    most = _MOST_VCPUS[description.type]
    total = cpus.online if cpus.maximum is None else cpus.maximum
    if not cpus.online >= 1:
        yield Problem("cpus.online", f"a domain needs at least one virtual CPU, not {cpus.online}")
    if total > most:
        path = "cpus.online" if cpus.maximum is None else "cpus.maximum"
        yield Problem(path, f"{_kind(description)} domain has at most {most} virtual CPUs, not {total}")
    if total < cpus.online:
        yield Problem(
            "cpus.maximum", f"the maximum, {total} virtual CPUs, is below the {cpus.online} it starts with"
        )
    for field in ("affinity", "soft_affinity"):
        count = len(getattr(cpus, field))
        if count > max(total, 1):
            yield Problem(f"cpus.{field}", f"{count} lists of CPUs for {total} virtual CPUs")
    if cpus.numa and sum(node.kib for node in cpus.numa) != (memory.max_kib or memory.kib):
        yield Problem("cpus.numa", "the memory of the NUMA nodes is not the domain's")


def _boot(description: DomainDescription) -> Iterator[Problem]:
    boot = description.boot
    if description.type is DomainType.HVM:
        if boot.bootloader is not None:
            yield Problem("boot.bootloader", "an HVM domain has firmware, and no boot loader in Domain 0")
        return
    if boot.kernel is None and boot.bootloader is None:
        yield Problem("boot", f"{_kind(description)} domain needs a kernel, or a boot loader that finds one")
    if boot.kernel is not None and boot.bootloader is not None:
        yield Problem("boot.bootloader", "a boot loader beside a kernel: it would be for nothing")
    if boot.bootloader is not None and not description.disks:
        yield Problem("boot.bootloader", "a boot loader needs a disk to look at")
    for field, what in (("order", "a boot order"), ("firmware", "firmware")):
        if getattr(boot, field):
            yield Problem(f"boot.{field}", f"{what} is for HVM domains")
    if boot.shim is not None and description.type is not DomainType.PVH:
        yield Problem("boot.shim", "the PV shim is for PVH domains")


def _devices(description: DomainDescription) -> Iterator[Problem]:
    for kind, items in (
        ("disks", description.disks),
        ("directories", description.directories),
        ("channels", description.channels),
        ("pci_devices", description.pci_devices),
    ):
        seen = set()
        for item in items:
            if item.key in seen:
                yield Problem(f"{kind}[{item.key}]", f"two of the {kind.replace('_', ' ')} are {item.key!r}")
            seen.add(item.key)
    macs = set()
    for index, interface in enumerate(description.interfaces):
        if interface.mac is not None and interface.mac.lower() in macs:
            yield Problem(f"interfaces[{index}].mac", f"two interfaces have the address {interface.mac}")
        macs.add((interface.mac or "").lower())
        if interface.bridge is not None and interface.network is not None:
            yield Problem(
                f"interfaces[{index}].network", "an interface is on a bridge or on a network, not on both"
            )
    for disk in description.disks:
        if disk.source is None and disk.format not in (None, DiskFormat.EMPTY):
            yield Problem(
                f"disks[{disk.target}].source", f"the disk {disk.target} has a format, and no source"
            )
        if disk.source is None and disk.device.value == "disk":
            yield Problem(
                f"disks[{disk.target}].source",
                f"the disk {disk.target} has no source; only a drive may be empty",
            )
    if description.type is not DomainType.HVM:
        if description.serials:
            yield Problem("serials", "emulated serial ports are for HVM domains")
        if description.type is DomainType.PVH and description.graphics:
            yield Problem("graphics", "a PVH domain has no screen")


def _kind(description: DomainDescription) -> str:
    return {DomainType.PV: "a PV", DomainType.PVH: "a PVH", DomainType.HVM: "an HVM"}[description.type]
