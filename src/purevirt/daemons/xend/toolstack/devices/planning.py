"""Whether this host can give a domain a device, and what exactly: defaults filled in, numbers and addresses chosen.

A description says what somebody wants; a plan is what will be written. Whatever cannot be is refused here, before
anything is touched: InvalidConfig with the field, Unsupported for what needs a program that does not run.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
import stat
from typing import NamedTuple, NoReturn

from purevirt.daemons.xend.toolstack.base import Host, shown
from purevirt.daemons.xend.toolstack.devices.existing import Existing
from purevirt.daemons.xend.toolstack.devices.nodes import Node, Place, disk_nodes, interface_nodes
from purevirt.errors import InvalidConfig, OperationError, Unsupported
from purevirt.model import AttachedDevice, DomainInfo
from purevirt.model.description import Disk, DiskBackend, DiskDevice, DiskFormat, Interface
from purevirt.wire.xenstore.disknames import disk_number

__all__ = ["Plan", "bridge_exists", "check_words", "disk_place", "plan"]

_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}", re.IGNORECASE)
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,15}")  # of an interface in Domain 0, as Linux allows it
_SWITCH = re.compile(r"[A-Za-z0-9_.:-]{1,255}")  # with VLANs, for Open vSwitch
_ADDRESS = re.compile(r"[0-9a-fA-F.:/]{1,64}")
_BRIDGE = "xenbr0"
_RAW = (None, DiskFormat.RAW)


class Plan(NamedTuple):
    """What is to be done: where, which nodes; what messages call the device, and what is answered when it is there."""

    place: Place
    nodes: tuple[Node, ...]
    device: Disk | Interface
    called: str
    answer: AttachedDevice


async def plan(host: Host, domain: DomainInfo, device: Disk | Interface, there: Existing) -> Plan:
    """For a device that is to be added to those that are there."""
    if isinstance(device, Disk):
        return await _disk(host, domain, device, there)
    return _interface(host, domain, device, there)


def _refuse(domain: DomainInfo, field: str, why: str) -> NoReturn:
    raise InvalidConfig(f"{field}: {why}", domain=shown(domain), problems=(f"{field}: {why}",))


# --- disks


def disk_place(domain: DomainInfo, target: str, backend_kind: str = "vbd") -> Place:
    """Where a disk is, by its target. InvalidConfig."""
    assert domain.domid is not None
    try:
        return Place(domain.domid, "vbd", backend_kind, disk_number(target))
    except ValueError as error:
        _refuse(domain, "target", str(error))


async def _disk(host: Host, domain: DomainInfo, disk: Disk, there: Existing) -> Plan:
    place = disk_place(domain, disk.target)
    called = f"disk {disk.target} of domain {shown(domain)}"
    if place.number in there.disks:
        raise OperationError(f"{called}: there is one already", domain=shown(domain))
    _local(domain, disk.backend_domain)
    if disk.specification == "virtio" or disk.bus == "virtio":
        raise Unsupported(f"{called}: virtio disks cannot be added to a running domain", domain=shown(domain))
    if disk.device not in (DiskDevice.DISK, DiskDevice.CDROM):
        raise Unsupported(
            f"{called}: a {disk.device.value} cannot be added to a running domain", domain=shown(domain)
        )
    if disk.source is None:
        _refuse(domain, "source", "a running domain gets no empty drive, expected a file or a block device")
    if any(ord(letter) < 32 for letter in disk.source):
        _refuse(domain, "source", "it holds what cannot be printed")
    if disk.backend in (DiskBackend.TAP, DiskBackend.STANDALONE):
        raise Unsupported(f"{called}: a backend {disk.backend.value} cannot be added", domain=shown(domain))
    if disk.backend is DiskBackend.QDISK or disk.format not in _RAW:
        if disk.script is not None:
            _refuse(domain, "script", "QEMU serves this disk, and runs no scripts")
        if disk.backend is DiskBackend.PHY:
            _refuse(domain, "format", "the kernel's backend knows raw disks only")
        await _needs_qemu(host, domain, called, disk)
        place = place._replace(backend_kind=DiskBackend.QDISK.value)
    if disk.script is None:
        await _check_source(host, domain, disk.source)
    nodes = tuple(disk_nodes(place, disk))
    answer = AttachedDevice("disk", place.number, disk.target, None, disk.source)
    return Plan(place, nodes, disk, called, answer)


def _local(domain: DomainInfo, backend: str | None) -> None:
    if backend not in (None, "0", "Domain-0"):
        raise Unsupported(
            f"a device that domain {backend!r} serves cannot be added to a running domain: only Domain 0's can",
            domain=shown(domain),
        )


async def _needs_qemu(host: Host, domain: DomainInfo, called: str, disk: Disk) -> None:
    """A QEMU serves the disks of one domain: xl starts it with the domain, if one of its disks or its kind need it."""
    (state,) = await host.store.read_many([f"/local/domain/0/device-model/{domain.domid}/state"])
    if state != b"running":
        form = (disk.format or DiskFormat.RAW).value
        raise Unsupported(
            f"{called}: a {form} disk is served by QEMU, and none runs for this domain: "
            "give it a raw disk, or create it with one that needs QEMU",
            domain=shown(domain),
        )


async def _check_source(host: Host, domain: DomainInfo, source: str) -> None:
    if not source.startswith("/"):
        _refuse(domain, "source", f"{source!r} is no absolute path")
    if host.root:
        return  # nothing is behind the disks of a simulated host
    try:
        # In a thread: a file server may have gone, and then this takes as long as the call's deadline.
        mode = (await asyncio.to_thread(os.stat, source)).st_mode
    except OSError as error:
        _refuse(domain, "source", f"{source}: {error.strerror}")
    if not (stat.S_ISBLK(mode) or stat.S_ISREG(mode)):
        _refuse(domain, "source", f"{source} is neither a file nor a block device")


# --- interfaces


def _interface(host: Host, domain: DomainInfo, nic: Interface, there: Existing) -> Plan:
    assert domain.domid is not None
    _local(domain, nic.backend_domain)
    if nic.network is not None:
        _refuse(domain, "network", f"{nic.network!r}: no networks are defined here, expected a bridge")
    if nic.emulated:
        raise Unsupported("an emulated card cannot be added to a running domain", domain=shown(domain))
    if nic.vlan is not None and nic.script != "vif-openvswitch":
        _refuse(domain, "vlan", "only Open vSwitch tags, expected <virtualport type='openvswitch'/>")
    mac = _new_mac(there) if nic.mac is None else nic.mac
    if _MAC.fullmatch(mac) is None or int(mac[:2], 16) & 1:
        _refuse(domain, "mac", f"{mac!r} is no address of a card, expected one like 00:16:3e:12:34:56")
    if mac.lower() in there.macs.values():
        raise OperationError(
            f"interface {mac} of domain {shown(domain)}: there is one already", domain=shown(domain)
        )
    if nic.mtu is not None and not 68 <= nic.mtu <= 65535:
        _refuse(domain, "mtu", f"{nic.mtu} is none, expected 68 to 65535")
    number = max(there.macs, default=-1) + 1 if nic.number is None else nic.number
    if number in there.macs:
        raise OperationError(
            f"interface {number} of domain {shown(domain)}: there is one already", domain=shown(domain)
        )
    if number >= 1 << 16:
        _refuse(domain, "number", f"{number} is too large")
    check_words(domain, nic)
    bridge = nic.bridge or _BRIDGE
    if nic.vlan is not None:
        bridge = f"{bridge}.{nic.vlan}"
    nic = nic._replace(mac=mac, bridge=bridge, number=number, vlan=None)
    if nic.script in (None, "vif-bridge"):
        bridge_exists(host, domain, bridge)
    place = Place(domain.domid, "vif", "vif", number)
    name = nic.name or f"vif{domain.domid}.{number}"
    answer = AttachedDevice("interface", number, name, mac, bridge)
    called = f"interface {mac} of domain {shown(domain)}"
    return Plan(place, tuple(interface_nodes(place, nic)), nic, called, answer)


def check_words(domain: DomainInfo, nic: Interface) -> None:
    """What scripts read, some of them carelessly, is nothing but names and addresses."""
    for field, value, form in (
        ("name", nic.name, _NAME),
        ("gateway_device", nic.gateway_device, _NAME),
        ("bridge", nic.bridge, _SWITCH),
        *(("addresses", address, _ADDRESS) for address in nic.addresses),
    ):
        if value is not None and form.fullmatch(value) is None:
            what = "address" if form is _ADDRESS else "name of an interface or a bridge"
            _refuse(domain, field, f"{value[:60]!r} is no {what}")


def bridge_exists(host: Host, domain: DomainInfo, bridge: str) -> None:
    """InvalidConfig, on a real host, if it has no such bridge."""
    if _SWITCH.fullmatch(bridge) is None:
        _refuse(domain, "bridge", f"{bridge!r} is no name of a bridge")
    if not host.root and not os.path.isdir(f"/sys/class/net/{bridge}/bridge"):
        what = "is no bridge" if os.path.exists(f"/sys/class/net/{bridge}") else "does not exist on this host"
        _refuse(domain, "bridge", f"{bridge} {what}")


def _new_mac(there: Existing) -> str:
    """One of Xen's own, that none of the domain's has."""
    while True:
        number = random.randrange(1 << 23)
        mac = f"00:16:3e:{number >> 16:02x}:{number >> 8 & 0xFF:02x}:{number & 0xFF:02x}"
        if mac not in there.macs.values():
            return mac
