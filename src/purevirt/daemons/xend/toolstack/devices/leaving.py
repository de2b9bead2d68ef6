"""Taking a device away: the backend says that it is to go, the guest lets go, the script takes back, the nodes vanish.

The guest may not let go: it uses the disk, or runs no driver that listens. Then the device stays as it was, and the
error says how far it came. By force, or if its guest has never taken it up, the frontend's nodes go first, on which
the backend closes by itself.

Source: libxl__initiate_device_generic_remove of libxl, whose order this follows.
"""

from __future__ import annotations

import contextlib
import time

from purevirt.channels.xenstore.client import Transaction
from purevirt.daemons.xend.toolstack import hotplug
from purevirt.daemons.xend.toolstack.base import Attaching, Host, Keep, living, not_domain_0, shown
from purevirt.daemons.xend.toolstack.devices.existing import existing, find_interface
from purevirt.daemons.xend.toolstack.devices.nodes import Place
from purevirt.daemons.xend.toolstack.devices.planning import disk_place
from purevirt.daemons.xend.toolstack.devices.waiting import (
    CLOSED,
    CLOSING,
    CONNECTED,
    INITIALISED,
    Ends,
    Following,
)
from purevirt.errors import InvalidConfig, NoSuchDevice, NoSuchNode, Timeout, Unsupported, WrongState
from purevirt.model import AttachedDevice, DomainInfo
from purevirt.model.description import Disk, Interface

__all__ = ["detach", "found", "remove"]

OPERATION = "detach_device"
_FORCED = 5.0  # seconds that a backend is given whose frontend is gone


async def found(host: Host, domain: DomainInfo, device: Disk | Interface) -> tuple[Place, AttachedDevice]:
    """The device that a description means: a disk by its target, an interface by its number or address.

    NoSuchDevice; InvalidConfig if something else is behind that disk.
    """
    assert domain.domid is not None
    there = await existing(host.store, domain.domid)
    if isinstance(device, Disk):
        place = disk_place(domain, device.target)
        if place.number not in there.disks:
            raise NoSuchDevice(
                f"domain {shown(domain)} has no disk {device.target}",
                domain=shown(domain),
                detail=device.target,
            )
        place = there.place(domain.domid, "vbd", place.number)
        if place.backend_kind == "?":
            raise Unsupported(
                f"disk {device.target} of domain {shown(domain)} is served by another domain than 0",
                domain=shown(domain),
            )
        answer = await _disk(host, place, device)
        if device.source is not None and device.source != answer.source:
            problem = f"source: disk {device.target} is {answer.source}, not {device.source}"
            raise InvalidConfig(problem, domain=shown(domain), problems=(problem,))
        return place, answer
    number = find_interface(domain, there, device.mac, device.number)
    place = there.place(domain.domid, "vif", number)
    values = await host.store.read_many([f"{place.backend}/{key}" for key in ("vifname", "mac", "bridge")])
    name, mac, bridge = (None if value is None else value.decode("utf-8", "replace") for value in values)
    return place, AttachedDevice("interface", number, name or f"vif{domain.domid}.{number}", mac, bridge)


async def _disk(host: Host, place: Place, disk: Disk) -> AttachedDevice:
    (params,) = await host.store.read_many([f"{place.backend}/params"])
    source = (params or b"").decode("utf-8", "surrogateescape")
    if place.backend_kind == "qdisk":
        source = source.partition(":")[2]
    return AttachedDevice("disk", place.number, disk.target, None, source or None)


async def detach(
    host: Host, domain: DomainInfo, device: Disk | Interface, force: bool, timeout: float, keep: Keep
) -> Attaching:
    """Ask for it. What is returned waits for the guest, and clears away: Timeout, if it does not let go."""
    not_domain_0(domain, OPERATION, "deprived of devices: it has none")
    living(domain, OPERATION)
    place, answer = await found(host, domain, device)
    called = f"{answer.kind} {answer.mac or answer.name} of domain {shown(domain)}"
    following = Following(host.store, place)
    try:
        ends = await following.look()
        in_use = ends.frontend in (INITIALISED, CONNECTED, CLOSING)
        if in_use and not force and "p" in (domain.flags or ""):
            raise WrongState(
                f"{called}: the domain is paused, and its guest cannot let go: resume it first, or use force",
                operation=OPERATION,
                domain=shown(domain),
            )
        await _close(host, place, without_frontend=force or not in_use)
    except BaseException:
        await following.close()
        raise
    leaving = _Leaving(host, domain, place, called, following, ends)
    end = time.monotonic() + (min(timeout, _FORCED) if force or not in_use else timeout)

    async def finish() -> AttachedDevice:
        try:
            await leaving.closed(end, timeout, force or not in_use)
        except BaseException:
            await keep(leaving.restore())
            raise
        finally:
            await following.close()
        await keep(_clear(host, place))
        return answer

    return finish


async def remove(host: Host, place: Place) -> None:
    """Take a device away that its guest has not taken up, whatever becomes of it."""
    following = Following(host.store, place)
    try:
        await _close(host, place, without_frontend=True)
        await following.until(_gone, time.monotonic() + _FORCED)
    finally:
        await following.close()
    await _clear(host, place)


def _gone(ends: Ends) -> bool:
    return ends.backend in (None, CLOSED)


async def _close(host: Host, place: Place, *, without_frontend: bool) -> None:
    async def body(tx: Transaction) -> None:
        (state,) = await tx.read_many([f"{place.backend}/state"])
        if state is not None:
            await tx.write(f"{place.backend}/online", "0")
            if state != b"%d" % CLOSED:
                await tx.write(f"{place.backend}/state", str(CLOSING))
        if without_frontend:
            await _rm(tx, place.frontend)

    await host.store.transaction(body)


async def _clear(host: Host, place: Place) -> None:
    """The script, which reads the backend's nodes, and then the nodes."""
    await hotplug.tear_down(host, [place.backend])

    async def body(tx: Transaction) -> None:
        for path in (place.frontend, place.record, place.backend):
            await _rm(tx, path)
        # What either end has noted of it would be taken for the next device's of that number.
        for path, levels in zip(place.errors, (4, 2), strict=True):  # a guest's own directory for them stays
            await _rm(tx, path, levels)

    await host.store.transaction(body)


async def _rm(tx: Transaction, path: str, levels: int = 1) -> None:
    """A node, and the directories above it, so many at most, if it was the last one there."""
    with contextlib.suppress(NoSuchNode):  # its parent is gone, and so is it
        await tx.rm(path)
        for _ in range(levels):
            path = path.rpartition("/")[0]
            if await tx.directory_many([path]) != [[]]:
                return
            await tx.rm(path)


class _Leaving:
    """One device on its way out."""

    def __init__(
        self,
        host: Host,
        domain: DomainInfo,
        place: Place,
        called: str,
        following: Following,
        before: Ends,
    ) -> None:
        self._host = host
        self._domain = domain
        self._place = place
        self._called = called
        self._following = following
        self._before = before

    async def closed(self, end: float, timeout: float, whatever: bool) -> None:
        """Wait for the backend to close. `whatever`: its frontend is gone, and at `end` it is taken for closed."""
        ends = await self._following.until(_gone, end)
        if _gone(ends) or whatever:
            return
        said = await self._complaint()
        raise Timeout(
            f"{self._called}: its guest did not let go of it within {timeout:.2g} s: {ends}"
            + (f" ({said})" if said else "")
            + "; it is still attached",
            operation=OPERATION,
            domain=shown(self._domain),
            channel="store",
            path=self._place.backend,
        )

    async def _complaint(self) -> str | None:
        """What a Linux guest notes of a device that it will not let go: "16 Device in use; refusing to close"."""
        (value,) = await self._host.store.read_many([f"{self._place.errors[1]}/error"])
        return None if not value else " ".join(value[:200].decode("utf-8", "replace").split())

    async def restore(self) -> None:
        """As it was before, if its guest still uses it."""
        place, before = self._place, self._before

        async def body(tx: Transaction) -> None:
            mine, theirs = await tx.read_many([f"{place.backend}/state", f"{place.frontend}/state"])
            if mine == b"%d" % CLOSING and theirs in (b"%d" % CONNECTED, b"%d" % INITIALISED):
                await tx.write(f"{place.backend}/online", "1")
                await tx.write(f"{place.backend}/state", str(before.backend or CONNECTED))

        await self._host.store.transaction(body)
