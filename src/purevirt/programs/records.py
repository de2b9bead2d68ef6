"""libxl's records of a simulated host's domains, written as `xl` writes them, for whoever reads those of a real one.

`toolstack` keeps them; `formats.libxl_json` is their reader (and writes those of domains that xend makes: a host that
only starts needs no formats). They are as terse as libxl's: what is as by default is left out, and a zero byte ends the
file.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from purevirt.channels.files.libxl import record_path
from purevirt.wire.xenstore.domainnodes import Disk, Interface

__all__ = ["Records"]

_ACTIONS = ("on_poweroff", "on_reboot", "on_crash", "on_watchdog")


class Records:
    """The files, below the root of one host."""

    def __init__(self, root: str) -> None:
        self._root = root

    def write(self, domid: int, uuid: UUID, name: str, settings: Mapping[str, Any]) -> None:
        """The record of a domain, new or anew; `settings` is what the toolstack built it from. For root's eyes.

        A reader sees the old one or the new one, never half of one. OSError.
        """
        path = record_path(self._root, domid, str(uuid))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        fd = os.open(f"{path}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "w", encoding="utf-8", errors="surrogateescape") as file:
            json.dump(_record(uuid, name, settings), file, indent=4, ensure_ascii=False)
            file.write("\n\0")
        os.replace(f"{path}.new", path)

    def remove(self, domid: int, uuid: UUID) -> None:
        """The domain has ended; no error if there is no record."""
        with contextlib.suppress(OSError):
            os.unlink(record_path(self._root, domid, str(uuid)))


def _record(uuid: UUID, name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    kind, memory, most = settings["kind"], settings["memory_kib"], settings["max_memory_kib"]
    actions = {key: getattr(settings["actions"], key) for key in _ACTIONS}
    record: dict[str, Any] = {
        "c_info": {"type": kind, "name": name, "uuid": str(uuid), "run_hotplug_scripts": "True"},
        "b_info": {
            "max_vcpus": settings["vcpus"],
            "avail_vcpus": list(range(settings["vcpus"])),
            "max_memkb": memory if most is None else most,
            "target_memkb": memory,
            "video_memkb": 0,
            "sched_params": {},
            "claim_mode": "True",
            f"type.{kind}": {},
            "arch_arm": {},
            "arch_x86": {"msr_relaxed": "False"},
        },
        "disks": [_disk(disk) for disk in settings["disks"]],
        "nics": [_nic(kind, number, nic) for number, nic in enumerate(settings["interfaces"])],
        **{key: action for key, action in actions.items() if action != "destroy"},
        "on_soft_reset": "soft_reset",
    }
    return {key: value for key, value in record.items() if value != []}


def _disk(disk: Disk) -> dict[str, Any]:
    written = {"pdev_path": disk.source, "vdev": disk.target, "format": "raw"}
    return written if disk.read_only else {**written, "readwrite": 1}


def _nic(kind: str, number: int, nic: Interface) -> dict[str, Any]:
    usual = "vif_ioemu" if kind == "hvm" else "vif"
    return {"devid": number, "mac": nic.mac, "bridge": nic.bridge, "nictype": usual}
