"""Changing a device that a running domain has: an interface's bridge and rate. The rest takes another device.

The description is of the device as it is to be. What it does not say stays, but for the rate, which is then none. The
guest sees its interface go down and up again when it moves to another bridge; its rate the backend changes by itself,
when the node changes. A disk's medium cannot be exchanged: the kernel's backend opens what it serves once, and an
emulated drive is QEMU's, which would have to be told.
"""

from __future__ import annotations

import time

from purevirt.channels.xenstore.client import Transaction
from purevirt.daemons.xend.toolstack import hotplug
from purevirt.daemons.xend.toolstack.base import Host, living, not_domain_0, shown
from purevirt.daemons.xend.toolstack.devices import libxl_record
from purevirt.daemons.xend.toolstack.devices.leaving import found
from purevirt.daemons.xend.toolstack.devices.nodes import SCRIPTS, Place, script_path
from purevirt.daemons.xend.toolstack.devices.planning import bridge_exists, check_words
from purevirt.errors import Unsupported, XenError
from purevirt.model import AttachedDevice, DomainInfo, DomainType
from purevirt.model.description import Disk, DiskDevice, Interface

__all__ = ["update"]

OPERATION = "update_device"
_KEYS = ("bridge", "rate", "script", "vifname", "mtu", "ip", "gatewaydev", "mac")
_MOVING = (f"{SCRIPTS}/vif-bridge", f"{SCRIPTS}/vif-openvswitch")


async def update(host: Host, domain: DomainInfo, device: Disk | Interface, timeout: float) -> AttachedDevice:
    """Make it so. Unsupported names what cannot be changed; the device is as it was then."""
    not_domain_0(domain, OPERATION, "changed: it has no such devices")
    living(domain, OPERATION)
    if isinstance(device, Disk):
        return await _disk(host, domain, device)
    place, answer = await found(host, domain, device)
    return await _interface(host, domain, device, place, answer, time.monotonic() + timeout)


async def _disk(host: Host, domain: DomainInfo, disk: Disk) -> AttachedDevice:
    place, answer = await found(host, domain, disk._replace(source=None))
    (mode, kind) = await host.store.read_many([f"{place.backend}/{key}" for key in ("mode", "device-type")])
    if disk.source != answer.source:
        _unsupported(domain, answer, "source", _medium(domain))
    if (mode == b"r") is not (disk.read_only or disk.device is DiskDevice.CDROM):
        _unsupported(domain, answer, "readonly", "detach the disk, and attach it as it is to be")
    if (kind or b"disk").decode("ascii", "replace") != disk.device.value:
        _unsupported(domain, answer, "device", "detach the disk, and attach it as it is to be")
    return answer


def _medium(domain: DomainInfo) -> str:
    if domain.type is DomainType.HVM:
        return "an emulated drive's medium is QEMU's to exchange, which is not done here: use xl cd-insert"
    return "the kernel's backend opens what it serves once: detach the drive, and attach it with the other medium"


async def _interface(
    host: Host, domain: DomainInfo, nic: Interface, place: Place, answer: AttachedDevice, end: float
) -> AttachedDevice:
    check_words(domain, nic)
    values = await host.store.read_many([f"{place.backend}/{key}" for key in _KEYS])
    now = {
        key: None if value is None else value.decode("utf-8", "replace")
        for key, value in zip(_KEYS, values, strict=True)
    }
    bridge = nic.bridge if nic.vlan is None else f"{nic.bridge}.{nic.vlan}"
    wanted = {
        "mac": None if nic.mac is None else nic.mac.lower(),
        "vifname": None if nic.name == answer.name else nic.name,
        "script": None if nic.script is None else script_path(nic.script),
        "mtu": None if nic.mtu is None else str(nic.mtu),
        "ip": " ".join(nic.addresses) or None,
        "gatewaydev": nic.gateway_device,
    }
    words = {"vifname": "name", "ip": "addresses", "gatewaydev": "gateway_device"}
    for key, value in wanted.items():
        there = now[key]
        if value is not None and value != (there.lower() if key == "mac" and there else there):
            _unsupported(domain, answer, words.get(key, key), "detach the interface, and attach it again")
    for field in ("network", "backend_domain"):
        if getattr(nic, field) not in (None, "0", "Domain-0"):
            _unsupported(domain, answer, field, "detach the interface, and attach it again")
    rate = None if nic.rate is None else f"{nic.rate.bytes},{nic.rate.interval_us}"
    moves = bridge is not None and bridge != now["bridge"]
    if moves:
        assert bridge is not None
        if now["script"] not in _MOVING or now["vifname"]:
            _unsupported(
                domain,
                answer,
                "bridge",
                "only vif-bridge and vif-openvswitch can move an interface, and none with a name of its own",
            )
        if now["script"] == _MOVING[0]:
            bridge_exists(host, domain, bridge)
    if rate != now["rate"]:
        await _write(host, place, "rate", rate)
    if moves:
        assert bridge is not None
        await _move(host, domain, place, answer, now["bridge"], bridge, end)
        answer = answer._replace(source=bridge)
    async with libxl_record.locked(host, domain, end):
        changed = {
            "rate_bytes_per_interval": None if nic.rate is None else nic.rate.bytes,
            "rate_interval_usecs": None if nic.rate is None else nic.rate.interval_us,
        }
        libxl_record.amend(host, domain, place.number, {**changed, **({"bridge": bridge} if moves else {})})
    return answer


async def _move(
    host: Host,
    domain: DomainInfo,
    place: Place,
    answer: AttachedDevice,
    before: str | None,
    bridge: str,
    end: float,
) -> None:
    """Out of one bridge, into another; back into the first if the other will not have it."""
    called = f"interface {answer.mac} of domain {shown(domain)}"
    await hotplug.tear_down(host, [place.backend])
    try:
        await _write(host, place, "bridge", bridge)
        await hotplug.bring_up(host, place.backend, called, max(0.0, end - time.monotonic()))
    except XenError:
        await _write(host, place, "bridge", before)
        await hotplug.bring_up(host, place.backend, called, hotplug.TIMEOUT)
        raise


async def _write(host: Host, place: Place, key: str, value: str | None) -> None:
    """Where the backend reads it, and in libxl's copy."""

    async def body(tx: Transaction) -> None:
        for home in (place.backend, place.record):
            if value is not None:
                await tx.write(f"{home}/{key}", value)
            elif await tx.exists(f"{home}/{key}"):
                await tx.rm(f"{home}/{key}")

    await host.store.transaction(body)


def _unsupported(domain: DomainInfo, answer: AttachedDevice, field: str, instead: str) -> None:
    raise Unsupported(
        f"{answer.kind} {answer.mac or answer.name} of domain {shown(domain)}: "
        f"its {field} cannot be changed while it runs: {instead}",
        operation=OPERATION,
        domain=shown(domain),
        detail=field,
    )
