"""A description -> the record that libxl would keep of the domain, for a simulated host, which has no libxl.

What `table` has, the basics, disks and interfaces: those are the devices that a simulated domain can have. As terse as
libxl's: what is as by default is left out, and a zero byte ends the file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from purevirt._typing import Any
from purevirt.formats.libxl_json.table import FLAG, INVERTED, TABLE
from purevirt.model.description import (
    Action,
    BootDevice,
    Disk,
    DiskDevice,
    DiskFormat,
    DomainDescription,
    Interface,
)
from purevirt.model.domain import DomainType

__all__ = ["written"]

_ACTIONS = {
    Action.RESTART: "restart",
    Action.RENAME_RESTART: "restart_rename",
    Action.PRESERVE: "preserve",
    Action.COREDUMP_DESTROY: "coredump_destroy",
    Action.COREDUMP_RESTART: "coredump_restart",
    Action.SOFT_RESET: "soft_reset",
}
_USUAL = {"on_reboot": Action.RESTART, "on_soft_reset": Action.SOFT_RESET}
_LETTERS = {BootDevice.FLOPPY: "a", BootDevice.DISK: "c", BootDevice.CDROM: "d", BootDevice.NETWORK: "n"}


def written(description: DomainDescription) -> str:
    """The record's text. What it has no place for is left out."""
    record: dict[str, Any] = {}
    _basics(description, record)
    for (owner, field), row in {(row.record, row.field): row for row in TABLE}.items():
        values = getattr(description, owner) if owner else description
        value = getattr(values, field)
        if value is None or value == () or (row.place, row.key) == ("c_info", "name"):
            continue
        put = _value(row.kind, value)
        if put is not None:
            _object(record, row.place)[row.key] = put
    disks = [_disk(disk) for disk in description.disks]
    nics = [
        _interface(description.type, number, interface)
        for number, interface in enumerate(description.interfaces)
    ]
    record |= {key: devices for key, devices in (("disks", disks), ("nics", nics)) if devices}
    for name in ("on_poweroff", "on_reboot", "on_crash", "on_watchdog", "on_soft_reset"):
        action = getattr(description.lifecycle, name) or _USUAL.get(name, Action.DESTROY)
        if action is not Action.DESTROY:
            record[name] = _ACTIONS[action]
    return json.dumps(record, indent=4, ensure_ascii=False) + "\n\0"


def _object(record: dict[str, Any], place: str) -> dict[str, Any]:
    """The object at a place of the table, made if there is none yet; the keys of libxl's unions have a dot in them."""
    if not place:
        return record
    parent, _, key = place.rpartition(".")
    if parent.endswith(".type"):
        parent, key = parent.removesuffix(".type"), f"type.{key}"
    found: dict[str, Any] = _object(record, parent).setdefault(key, {})
    return found


def _value(kind: str | Mapping[str, Any], value: Any) -> Any:
    if kind in (FLAG, INVERTED):
        return str(bool(value) is (kind == FLAG))
    if isinstance(kind, str):
        return list(value) if isinstance(value, tuple) else value
    return next((word for word, meant in kind.items() if meant == value), None)


def _basics(description: DomainDescription, record: dict[str, Any]) -> None:
    kind, memory, cpus = description.type, description.memory, description.cpus
    record["c_info"] = {"type": kind.value, "name": description.name, "run_hotplug_scripts": "True"}
    if description.uuid is not None:
        record["c_info"]["uuid"] = str(description.uuid)
    record["b_info"] = {
        "max_vcpus": cpus.online if cpus.maximum is None else cpus.maximum,
        "avail_vcpus": list(range(cpus.online)),
        "max_memkb": memory.kib if memory.max_kib is None else memory.max_kib,
        "target_memkb": memory.kib,
        "video_memkb": 0,
        "sched_params": {},
        "claim_mode": str(memory.claim is not False),
        f"type.{kind.value}": {},
        "arch_arm": {},
        "arch_x86": {"msr_relaxed": "False"},
    }
    if kind is DomainType.HVM:
        del record["b_info"]["video_memkb"]
        if description.boot.order:
            letters = "".join(_LETTERS[device] for device in description.boot.order)
            record["b_info"]["type.hvm"]["boot"] = letters


def _disk(disk: Disk) -> dict[str, Any]:
    cdrom = disk.device is DiskDevice.CDROM
    entry: dict[str, Any] = {"pdev_path": disk.source or "", "vdev": disk.target}
    empty = disk.source is None
    entry["format"] = (disk.format or (DiskFormat.EMPTY if empty else DiskFormat.RAW)).value
    optional = {
        "backend": None if disk.backend is None else disk.backend.value,
        "script": disk.script,
        "backend_domname": disk.backend_domain,
        "removable": 1 if cdrom or disk.removable else None,
        "readwrite": None if cdrom or disk.read_only else 1,
        "is_cdrom": 1 if cdrom else None,
        "direct_io_safe": True if disk.direct_io_safe else None,
        "discard_enable": None if disk.discard is None else str(disk.discard),
        "trusted": None if disk.trusted is None else str(disk.trusted),
    }
    return entry | {key: value for key, value in optional.items() if value is not None}


def _interface(kind: DomainType, number: int, nic: Interface) -> dict[str, Any]:
    emulated = kind is DomainType.HVM if nic.emulated is None else nic.emulated
    optional = {
        "mac": nic.mac,
        "bridge": nic.bridge,
        "script": nic.script,
        "model": nic.model,
        "ifname": nic.name,
        "ip": " ".join(nic.addresses) or None,
        "gatewaydev": nic.gateway_device,
        "mtu": nic.mtu,
        "rate_bytes_per_interval": None if nic.rate is None else nic.rate.bytes,
        "rate_interval_usecs": None if nic.rate is None else nic.rate.interval_us,
        "backend_domname": nic.backend_domain,
        "trusted": None if nic.trusted is None else str(nic.trusted),
        "nictype": "vif_ioemu" if emulated else "vif",
    }
    devid = number if nic.number is None else nic.number
    return {"devid": devid} | {key: value for key, value in optional.items() if value is not None}
