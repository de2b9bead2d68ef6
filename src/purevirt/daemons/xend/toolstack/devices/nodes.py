"""What is written to the Xen Store for a new device: frontend, backend, and libxl's record of it. Pure.

The record, which no guest can write, has a copy of all that the backend is told: libxl believes nothing else.

Source: `xenstore-ls -fp` beside `xl block-attach` and `xl network-attach` on Xen 4.17.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from purevirt.model.description import Disk, DiskBackend, DiskDevice, DiskFormat, Interface
from purevirt.wire.xenstore.disknames import disk_number

__all__ = ["SCRIPTS", "Node", "Place", "disk_nodes", "interface_nodes", "script_path"]

SCRIPTS = "/etc/xen/scripts"
_INITIALISING = "1"


class Place(NamedTuple):
    """Where a device is: whose, of which kind at either end, and its number."""

    domid: int
    kind: str
    backend_kind: str
    number: int

    @property
    def frontend(self) -> str:
        """The guest's end."""
        return f"/local/domain/{self.domid}/device/{self.kind}/{self.number}"

    @property
    def backend(self) -> str:
        """Domain 0's end."""
        return f"/local/domain/0/backend/{self.backend_kind}/{self.domid}/{self.number}"

    @property
    def record(self) -> str:
        """libxl's record."""
        return f"/libxl/{self.domid}/device/{self.kind}/{self.number}"

    @property
    def errors(self) -> tuple[str, str]:
        """Where the backend's driver and the guest's note what went wrong, if they are Linux."""
        return (
            f"/local/domain/0/error/backend/{self.backend_kind}/{self.domid}/{self.number}",
            f"/local/domain/{self.domid}/error/device/{self.kind}/{self.number}",
        )


class Node(NamedTuple):
    """A node to write; without permissions it has its parent's."""

    path: str
    value: str
    permissions: tuple[str, ...] = ()


def script_path(script: str) -> str:
    """A hotplug script by its name, or where it is."""
    return script if script.startswith("/") else f"{SCRIPTS}/{script}"


def disk_nodes(place: Place, disk: Disk) -> Iterator[Node]:
    """A disk's; `place` says what serves it: the kernel ("vbd") or QEMU ("qdisk")."""
    number = str(disk_number(disk.target))
    cdrom = disk.device is DiskDevice.CDROM
    writable = not (disk.read_only or cdrom)
    kind = "cdrom" if cdrom else "disk"
    back = {
        "params": disk.source or "",
        "script": script_path(disk.script or "block"),
        "online": "1",
        "removable": "1" if cdrom or disk.removable else "0",
        "bootable": "1",
        "state": _INITIALISING,
        "dev": disk.target,
        "type": "phy",
        "mode": "w" if writable else "r",
        "device-type": kind,
        "discard-enable": "1" if (writable if disk.discard is None else disk.discard) else "0",
        "specification": "xen",
    }
    if disk.direct_io_safe:
        back["direct-io-safe"] = "1"
    if place.backend_kind == DiskBackend.QDISK.value:
        form = "aio" if disk.format in (None, DiskFormat.RAW, DiskFormat.EMPTY) else disk.format.value
        back.update(params=f"{form}:{disk.source or ''}", type="qdisk")
        del back["script"]
    front = {
        "backend-id": "0",
        "state": _INITIALISING,
        "virtual-device": number,
        "device-type": kind,
        "trusted": "0" if disk.trusted is False else "1",
        "protocol": "x86_64-abi",
    }
    return _all(place, front, back)


def interface_nodes(place: Place, nic: Interface) -> Iterator[Node]:
    """An interface's, which has a MAC address and a bridge by now."""
    assert nic.mac is not None
    number = str(place.number)
    back = {
        "online": "1",
        "state": _INITIALISING,
        "script": script_path(nic.script or "vif-bridge"),
        "mac": nic.mac,
        "bridge": nic.bridge or "",
        "handle": number,
        "type": "vif",
        "hotplug-status": "",
    }
    optional = {
        "vifname": nic.name,
        "ip": " ".join(nic.addresses) or None,
        "gatewaydev": nic.gateway_device,
        "mtu": None if nic.mtu is None else str(nic.mtu),
        "rate": None if nic.rate is None else f"{nic.rate.bytes},{nic.rate.interval_us}",
    }
    back.update({key: value for key, value in optional.items() if value is not None})
    front = {
        "backend-id": "0",
        "state": _INITIALISING,
        "handle": number,
        "mac": nic.mac,
        "trusted": "0" if nic.trusted is False else "1",
    }
    return _all(place, front, back)


def _all(place: Place, front: Mapping[str, str], back: Mapping[str, str]) -> Iterator[Node]:
    guest = f"{place.domid}"
    told = {"frontend": place.frontend, "frontend-id": guest, **back}
    yield Node(place.frontend, "", (f"n{guest}", "r0"))
    for key, value in {"backend": place.backend, **front}.items():
        yield Node(f"{place.frontend}/{key}", value)
    yield Node(place.backend, "", ("n0", f"r{guest}"))
    yield Node(place.record, "", ("n0",))
    yield Node(f"{place.record}/backend", place.backend)
    for key, value in told.items():
        yield Node(f"{place.backend}/{key}", value)
        yield Node(f"{place.record}/{key}", value)
