"""The para-virtual devices of a domain, and their counters."""

from __future__ import annotations

from purevirt._typing import NamedTuple

__all__ = ["AttachedDevice", "BlockDevice", "BlockStats", "Interface", "InterfaceStats"]


class AttachedDevice(NamedTuple):
    """A device that was added, taken away or changed.

    `kind` is "disk" or "interface", `number` its vbd number or its index in the guest, `name` what the guest calls a
    disk (xvdb) or Domain 0 an interface (vif3.1), `mac` an interface's address, `source` what is behind it: a file, a
    block device, a bridge.
    """

    kind: str
    number: int
    name: str
    mac: str | None = None
    source: str | None = None


class BlockDevice(NamedTuple):
    """A virtual disk.

    `target` is what the guest calls it (xvda), `number` its vbd number, `source` the file or device behind it
    (None: empty drive), `device` "disk" or "cdrom", `format` and `backend` as the toolstack recorded them
    ("raw", "phy" …), `backend_domid` the domain that serves it.
    """

    target: str
    number: int
    source: str | None
    device: str
    format: str | None
    backend: str | None
    read_only: bool
    backend_domid: int
    connected: bool


class BlockStats(NamedTuple):
    """What a block backend has counted since the device was connected: requests, and bytes. None: not counted."""

    rd_req: int
    rd_bytes: int
    wr_req: int
    wr_bytes: int
    flush_req: int | None = None
    discard_req: int | None = None


class Interface(NamedTuple):
    """A virtual network interface.

    `device` is the backend's name in its domain (vif3.0), `number` its index in the guest, `type` "bridge" or
    "ethernet", `source` the bridge, `model` what an emulating device model would show.
    """

    device: str
    number: int
    mac: str | None
    type: str
    source: str | None
    model: str | None
    script: str | None
    backend_domid: int
    connected: bool


class InterfaceStats(NamedTuple):
    """Counters of an interface, seen from the guest: rx is what the guest received."""

    rx_bytes: int
    rx_packets: int
    rx_errors: int
    rx_dropped: int
    tx_bytes: int
    tx_packets: int
    tx_errors: int
    tx_dropped: int
