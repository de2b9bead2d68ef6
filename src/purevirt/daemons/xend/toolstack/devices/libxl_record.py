"""libxl's record of a domain, kept in step when a device is added or changed, for `xl list -l` and `xl reboot`.

libxl takes a lock on a file beside the record, reads, changes and replaces the record, and unlinks the lock's file
when it lets go; who waited for that file looks whether it is still the one in the directory. A device that has been
taken away stays in the record: libxl takes it for gone when the store has none.

Source: libxl__lock_file, libxl__lock_domain_userdata and libxl__userdata_store of libxl.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import logging
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from purevirt.channels.files.libxl import record_path
from purevirt.daemons.xend.toolstack import records
from purevirt.daemons.xend.toolstack.base import Host, shown
from purevirt.errors import Timeout
from purevirt.model import DomainInfo
from purevirt.model.description import Disk, DiskBackend, DiskDevice, DiskFormat, Interface

__all__ = ["amend", "disk_entry", "enter", "interface_entry", "leave", "locked"]

_PAUSE = 0.005
_log = logging.getLogger(__name__)


@contextlib.asynccontextmanager
async def locked(host: Host, domain: DomainInfo, end: float) -> AsyncIterator[None]:
    """Hold libxl's lock of a domain: no other program of libxl's adds a device meanwhile. Timeout at `end`.

    Without a directory for records there is no libxl, and nothing to be held.
    """
    assert domain.domid is not None
    path = records.beside(record_path(host.root, domain.domid, str(domain.uuid)), "l", "domain-userdata-lock")
    try:
        fd = await _lock(path, domain, end)
    except FileNotFoundError:
        yield
        return
    try:
        yield
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        os.close(fd)


async def _lock(path: str, domain: DomainInfo, end: float) -> int:
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            while True:
                try:
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() >= end:
                        raise Timeout(
                            f"another program holds libxl's lock of domain {shown(domain)}",
                            domain=shown(domain),
                            channel="files",
                            path=path,
                        ) from None
                await asyncio.sleep(_PAUSE)
            mine = os.fstat(fd)
            with contextlib.suppress(FileNotFoundError):
                there = os.stat(path)
                if (there.st_dev, there.st_ino) == (mine.st_dev, mine.st_ino):
                    return fd
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)


def enter(host: Host, domain: DomainInfo, device: Disk | Interface) -> None:
    """Put a device into the record, in the place of one with the same target or number. Under the lock.

    A domain that libxl did not make has no record, and gets none. What cannot be done goes to the log: the device
    works without.
    """
    kind, key, wanted = _key(device)

    def change(devices: list[Any]) -> None:
        entry = disk_entry(device) if isinstance(device, Disk) else interface_entry(device)
        place = next((index for index, one in enumerate(devices) if one.get(key) == wanted), None)
        if place is None:
            devices.append(entry)
        else:
            devices[place] = entry

    _edit(host, domain, kind, change)


def leave(host: Host, domain: DomainInfo, device: Disk | Interface) -> None:
    """Take a device out of it that could not be added after all. Under the lock."""
    kind, key, wanted = _key(device)

    def change(devices: list[Any]) -> None:
        devices[:] = [one for one in devices if one.get(key) != wanted]

    _edit(host, domain, kind, change)


def amend(host: Host, domain: DomainInfo, number: int, values: Mapping[str, Any]) -> None:
    """Change values of an interface in it; None: it is not said any more. Under the lock."""

    def change(devices: list[Any]) -> None:
        for one in devices:
            if one.get("devid") == number:
                one.update(values)
                for key in [key for key, value in values.items() if value is None]:
                    del one[key]

    _edit(host, domain, "nics", change)


def _key(device: Disk | Interface) -> tuple[str, str, str | int | None]:
    if isinstance(device, Disk):
        return "disks", "vdev", device.target
    return "nics", "devid", device.number


def _edit(host: Host, domain: DomainInfo, kind: str, change: Callable[[list[Any]], None]) -> None:
    assert domain.domid is not None
    path = record_path(host.root, domain.domid, str(domain.uuid))
    try:
        with open(path, "rb") as file:
            text = file.read().decode("utf-8", "surrogateescape")
        record = json.loads(text.rstrip("\0"))
        change(record.setdefault(kind, []))
        if not record[kind]:
            del record[kind]
        # On one line: json indents in Python, which takes a third of the time of all else.
        records.replace(path, json.dumps(record, ensure_ascii=False) + "\n\0")
    except FileNotFoundError:
        return
    except (OSError, ValueError, AttributeError, TypeError, RecursionError) as error:
        _log.error("the record %s was not changed: %s", path, error)


def disk_entry(disk: Disk) -> dict[str, Any]:
    """A disk as libxl writes it: what is as by default is left out."""
    cdrom = disk.device is DiskDevice.CDROM
    entry: dict[str, Any] = {
        "pdev_path": disk.source or "",
        "vdev": disk.target,
        "format": (disk.format or DiskFormat.RAW).value,
    }
    if disk.backend is DiskBackend.STANDALONE:
        entry["backend"] = disk.backend.value
    if disk.script is not None:
        entry["script"] = disk.script
    if cdrom or disk.removable:
        entry["removable"] = 1
    if not (cdrom or disk.read_only):
        entry["readwrite"] = 1
    if cdrom:
        entry["is_cdrom"] = 1
    if disk.direct_io_safe:
        entry["direct_io_safe"] = True
    if disk.discard is not None:
        entry["discard_enable"] = str(disk.discard)
    if disk.trusted is not None:
        entry["trusted"] = str(disk.trusted)
    return entry


def interface_entry(nic: Interface) -> dict[str, Any]:
    """An interface as libxl writes it. Its number is the key by which it is found again, and is always there."""
    entry: dict[str, Any] = {"devid": nic.number}
    optional = {
        "mtu": nic.mtu,
        "model": nic.model,
        "mac": nic.mac,
        "ip": " ".join(nic.addresses) or None,
        "bridge": nic.bridge,
        "ifname": nic.name,
        "script": nic.script,
        "nictype": "vif",
        "rate_bytes_per_interval": None if nic.rate is None else nic.rate.bytes,
        "rate_interval_usecs": None if nic.rate is None else nic.rate.interval_us,
        "gatewaydev": nic.gateway_device,
        "trusted": None if nic.trusted is None else str(nic.trusted),
    }
    entry.update({key: value for key, value in optional.items() if value is not None})
    return entry
