"""sysfs: the hypervisor's description, and the counters of the backends' devices.

Sources: Linux, Documentation/ABI/stable/sysfs-hypervisor-xen, stable/sysfs-bus-xen-backend and
testing/sysfs-class-net-statistics.
"""

from __future__ import annotations

from purevirt._typing import NamedTuple
from purevirt.channels.files.reading import read_number, read_text, unreadable

__all__ = [
    "BLOCK_FILES",
    "INTERFACE_FILES",
    "BlockCounters",
    "InterfaceCounters",
    "XenVersion",
    "block_counters",
    "block_statistics",
    "hypervisor_text",
    "hypervisor_version",
    "interface_counters",
    "interface_statistics",
    "is_interface_name",
]

SECTOR = 512


class XenVersion(NamedTuple):
    """/sys/hypervisor/version: `extra` is what follows, as ".4-pre"; empty if the kernel does not show it."""

    major: int
    minor: int
    extra: str


class BlockCounters(NamedTuple):
    """What a block backend has done since its device was connected, in the kernel's names.

    Requests read, written, flushed (`f_req`), discarded (`ds_req`), those that waited because the backend was
    busy (`oo_req`; they are no errors), and sectors of 512 bytes read and written. None: this kernel does not
    count it.
    """

    rd_req: int
    wr_req: int
    rd_sect: int
    wr_sect: int
    f_req: int | None
    ds_req: int | None
    oo_req: int | None

    @property
    def rd_bytes(self) -> int:
        return self.rd_sect * SECTOR

    @property
    def wr_bytes(self) -> int:
        return self.wr_sect * SECTOR


class InterfaceCounters(NamedTuple):
    """What a network interface has counted. Of a backend (vif1.0) this is Domain 0's side: its rx is what the guest
    sent; `swapped()` is the guest's side.
    """

    rx_bytes: int
    rx_packets: int
    rx_errors: int
    rx_dropped: int
    tx_bytes: int
    tx_packets: int
    tx_errors: int
    tx_dropped: int

    def swapped(self) -> InterfaceCounters:
        """The same, seen from the other end of the wire."""
        return InterfaceCounters(*self[4:], *self[:4])


BLOCK_FILES = BlockCounters._fields
INTERFACE_FILES = InterfaceCounters._fields

_MUST = 4  # the first four of BLOCK_FILES: without them there is nothing to tell


def hypervisor_text(root: str, name: str) -> str | None:
    """One file below /sys/hypervisor ("type", "properties/features" …)."""
    return read_text(f"{root}/sys/hypervisor/{name}")


def hypervisor_version(root: str) -> XenVersion | None:
    """None if this kernel does not run on Xen, or hides it."""
    major = read_number(f"{root}/sys/hypervisor/version/major")
    minor = read_number(f"{root}/sys/hypervisor/version/minor")
    if major is None or minor is None:
        return None
    return XenVersion(major, minor, hypervisor_text(root, "version/extra") or "")


def block_statistics(root: str, domid: int, number: int) -> str:
    """The directory of a block backend's counters; `number` is the vbd's (51712 is xvda)."""
    return f"{root}/sys/bus/xen-backend/devices/vbd-{domid}-{number}/statistics"


def block_counters(root: str, domid: int, number: int) -> BlockCounters | None:
    """None if no kernel backend of this domain serves that disk: it may be QEMU, or another domain's."""
    directory = block_statistics(root, domid, number)
    values = [read_number(f"{directory}/{name}") for name in BLOCK_FILES]
    if None in values[:_MUST]:
        return None
    return BlockCounters._make(values)


def is_interface_name(name: str) -> bool:
    """Whether the kernel would take it for a network interface's (dev_valid_name)."""
    return (
        0 < len(name.encode("utf-8", "surrogateescape")) < 16
        and name not in (".", "..")
        and not any(char in "/:" or char.isspace() for char in name)
    )


def interface_statistics(root: str, name: str) -> str:
    """The directory of an interface's counters."""
    return f"{root}/sys/class/net/{name}/statistics"


def interface_counters(root: str, name: str) -> InterfaceCounters | None:
    """None if there is no such interface. RemoteProtocolError if only some of the counters are there."""
    if not is_interface_name(name):
        return None
    directory = interface_statistics(root, name)
    values = [read_number(f"{directory}/{file}") for file in INTERFACE_FILES]
    found = [value for value in values if value is not None]
    if not found:
        return None
    if len(found) < len(values) and read_number(f"{directory}/rx_bytes") is not None:
        raise unreadable(directory, "some counters are missing")
    return InterfaceCounters(*found) if len(found) == len(values) else None
