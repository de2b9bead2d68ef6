"""A running domain's description, from libxl's record and what is true now. Pure.

The record says more, and the facts are younger: where both speak, the facts count. vCPUs online are those that the
guest was asked to use, as `xl list -l` has it: a guest that has not booted yet has one, whatever it was made for.

A device that is plugged out stays in libxl's record: libxl itself takes it for gone if the store has none.
"""

from __future__ import annotations

from purevirt._typing import NamedTuple
from purevirt.model import BlockDevice, DomainInfo, DomainType, Interface
from purevirt.model import description as described
from purevirt.model.description import ActiveDescription, DomainDescription, LiveDescription

__all__ = ["Facts", "active", "description", "remaining"]

_FORMATS = {form.value: form for form in described.DiskFormat}
_BACKENDS = {backend.value: backend for backend in described.DiskBackend}
_DEVICES = {device.value: device for device in described.DiskDevice}


class Facts(NamedTuple):
    """What the store knows of a running domain. Sizes in KiB; None: nothing."""

    target_kib: int | None
    max_kib: int | None
    video_kib: int | None
    vcpus: int
    vcpus_wanted: int
    vnc_port: int | None
    console_tty: str | None
    disks: tuple[BlockDevice, ...]
    interfaces: tuple[Interface, ...]


def description(record: DomainDescription | None, info: DomainInfo, facts: Facts) -> DomainDescription:
    """The record with the facts in it; without one, the facts."""
    name = info.name if info.name is not None else ""
    base = record if record is not None else DomainDescription(name)
    return base._replace(
        name=info.name if info.name is not None else base.name,
        type=info.type if info.type is not None else base.type,
        uuid=info.uuid,
        memory=_memory(base.memory, info, facts),
        cpus=_cpus(base.cpus, info, facts),
        disks=_disks(base.disks, facts.disks),
        interfaces=_interfaces(base.interfaces, facts.interfaces),
    )


def remaining(record: DomainDescription, facts: Facts) -> DomainDescription:
    """The record as it is, without the devices that have been plugged out since."""
    disks = {disk.target for disk in record.disks}
    numbers = _numbers(record.interfaces)
    return record._replace(
        disks=_disks(record.disks, tuple(disk for disk in facts.disks if disk.target in disks)),
        interfaces=_interfaces(
            record.interfaces, tuple(nic for nic in facts.interfaces if nic.number in numbers)
        ),
    )


def active(description: DomainDescription, info: DomainInfo, facts: Facts) -> ActiveDescription:
    """With what is the running domain's alone."""
    assert info.domid is not None
    names = tuple(nic.device for nic in facts.interfaces)
    live = LiveDescription(info.domid, facts.console_tty, facts.vnc_port, names, info.vcpus)
    return ActiveDescription(description, live)


def _memory(said: described.Memory, info: DomainInfo, facts: Facts) -> described.Memory:
    """An HVM domain's graphics card has its memory beside the target."""
    target = facts.target_kib if facts.target_kib is not None else info.memory_kib
    if target is None:
        return said
    kib = target + (facts.video_kib or 0 if info.type is DomainType.HVM else 0)
    most = facts.max_kib if facts.max_kib is not None else said.max_kib
    return said._replace(kib=kib, max_kib=None if most is None or most <= kib else most)


def _cpus(said: described.Cpus, info: DomainInfo, facts: Facts) -> described.Cpus:
    most = info.max_vcpus or facts.vcpus
    if not most:
        return said
    online = max(1, min(facts.vcpus_wanted, most)) if facts.vcpus else info.vcpus or most
    return said._replace(online=online, maximum=None if most == online else most)


def _disks(said: tuple[described.Disk, ...], now: tuple[BlockDevice, ...]) -> tuple[described.Disk, ...]:
    """A virtio disk is none of those that are looked for."""
    there, known = {disk.target for disk in now}, {disk.target for disk in said}
    kept = [disk for disk in said if disk.target in there or disk.specification == "virtio"]
    return (*kept, *(_disk(disk) for disk in now if disk.target not in known))


def _disk(disk: BlockDevice) -> described.Disk:
    return described.Disk(
        disk.target,
        disk.source,
        _FORMATS.get(disk.format or ""),
        _BACKENDS.get(disk.backend or ""),
        _DEVICES.get(disk.device, described.DiskDevice.DISK),
        disk.read_only,
        backend_domain=str(disk.backend_domid) if disk.backend_domid else None,
    )


def _interfaces(
    said: tuple[described.Interface, ...], now: tuple[Interface, ...]
) -> tuple[described.Interface, ...]:
    """By their numbers: one that is plugged out and another in may have the same address."""
    numbers = _numbers(said)
    there = {nic.number for nic in now}
    kept = [
        (number, nic._replace(number=number))
        for number, nic in zip(numbers, said, strict=True)
        if number in there
    ]
    added = [(nic.number, _interface(nic)) for nic in now if nic.number not in numbers]
    return tuple(
        nic._replace(number=None if number == index else number)
        for index, (number, nic) in enumerate(sorted(kept + added, key=lambda item: item[0]))
    )


def _numbers(said: tuple[described.Interface, ...]) -> list[int]:
    return [nic.number if nic.number is not None else index for index, nic in enumerate(said)]


def _interface(nic: Interface) -> described.Interface:
    """Of the scripts, the usual one is not said."""
    script = nic.script.removeprefix("/etc/xen/scripts/") if nic.script else None
    return described.Interface(
        nic.mac,
        nic.source,
        script=None if script == "vif-bridge" else script,
        model=nic.model,
        backend_domain=str(nic.backend_domid) if nic.backend_domid else None,
    )
