"""A guest's disks and interfaces: the frontends' half of the xenbus states.

A frontend waits for its backend to be ready (InitWait), grants it a page for each of its rings and offers it a port,
says so, and is connected when its backend is. When the backend closes, so does it, and takes back what it gave.

Source: Linux' drivers/block/xen-blkfront.c and drivers/net/xen-netfront.c: a disk is Initialised until its backend is
Connected; an interface says Connected at once.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from purevirt.errors import Closed, XenError
from purevirt.host.grants import GrantRefused
from purevirt.host.memory import XenError as HypervisorError
from purevirt.host.xenbus import RINGS, State, state_of

if TYPE_CHECKING:
    from purevirt.host.guest.kernel import Guest

__all__ = ["Frontends"]


class _Frontend:
    __slots__ = ("backend", "kind", "pages", "path", "port", "state")

    def __init__(self, kind: str, path: str, backend: str) -> None:
        self.kind = kind
        self.path = path
        self.backend = backend
        self.state = State.INITIALISING
        self.port = 0
        self.pages: list[tuple[int, int]] = []  # grant reference, guest frame


class Frontends:
    """All of one guest's."""

    def __init__(self, guest: Guest) -> None:
        self._guest = guest
        self._devices: dict[str, _Frontend] = {}
        self._mapped: list[tuple[int, int]] = []  # closed here, and still mapped over there

    def __len__(self) -> int:
        return len(self._devices)

    async def look(self, guest: Guest, path: str) -> None:
        """Something below `device` changed: devices that came or went."""
        home = f"{guest.home}/device"
        if path.count("/") - home.count("/") > 2:
            return  # within a device: its state is its own affair, and the backend's
        kinds = [f"{home}/{kind}" for kind in RINGS]
        found = {}
        for kind, names in zip(kinds, await guest.store.directory_many(kinds), strict=True):
            found.update({f"{kind}/{name}": kind.rpartition("/")[2] for name in names or ()})
        for gone in [device for path, device in self._devices.items() if path not in found]:
            await self._remove(gone)
        for device, kind in found.items():
            if device not in self._devices:
                await self._add(kind, device)

    async def _add(self, kind: str, path: str) -> None:
        guest = self._guest
        backend = await _read(guest, f"{path}/backend")
        if not backend:
            return
        device = self._devices[path] = _Frontend(kind, path, backend)

        async def moved(guest: Guest, path: str) -> None:
            await self._follow(device)

        await guest.watch(f"{backend}/state", moved)

    async def _remove(self, device: _Frontend) -> None:
        del self._devices[device.path]
        self._take_back(device)
        await self._guest.unwatch(f"{device.backend}/state")

    async def _follow(self, device: _Frontend) -> None:
        """The backend's state changed: what is ours now?"""
        theirs = state_of(await _read(self._guest, f"{device.backend}/state"))
        if theirs is State.INIT_WAIT and device.state is State.INITIALISING:
            await self._connect(device)
        elif theirs is State.CONNECTED and device.state is State.INITIALISED:
            await self._enter(device, State.CONNECTED)
        elif theirs is State.CLOSING and device.state is State.CONNECTED and self._guest.behaviour.holds:
            await self._complain(device)
        elif theirs in (State.CLOSING, State.CLOSED) and device.state not in (
            State.CLOSED,
            State.INITIALISING,
        ):
            await self._enter(device, State.CLOSING)
            self._take_back(device)
            await self._enter(device, State.CLOSED)

    async def _connect(self, device: _Frontend) -> None:
        guest = self._guest
        bus = guest.bus
        values = []
        try:
            device.port = bus.channels.alloc_unbound(guest.domid, 0)
            for name in RINGS[device.kind]:
                gfn = bus.allocate(guest.domid)
                reference = bus.grants.grant(guest.domid, 0, bus.frame(guest.domid, gfn))
                device.pages.append((reference, gfn))
                values.append((f"{device.path}/{name}", str(reference)))
        except (HypervisorError, GrantRefused):
            self._take_back(device)
            await self._enter(device, State.CLOSED)
            return
        values.append((f"{device.path}/event-channel", str(device.port)))
        if device.kind == "vbd":
            values.append((f"{device.path}/protocol", "x86_64-abi"))
            device.state = State.INITIALISED
        else:
            values.append((f"{device.path}/request-rx-copy", "1"))
            device.state = State.CONNECTED
        values.append((f"{device.path}/state", str(int(device.state))))
        await guest.store.write_many(values)

    async def _enter(self, device: _Frontend, state: State) -> None:
        device.state = state
        # Its nodes may be gone: it was removed meanwhile.
        with contextlib.suppress(XenError):
            await self._guest.store.write(f"{device.path}/state", str(int(state)))

    async def _complain(self, device: _Frontend) -> None:
        """As Linux notes it of a disk that is open."""
        kind, number = device.path.split("/")[-2:]
        node = f"{self._guest.home}/error/device/{kind}/{number}/error"
        with contextlib.suppress(XenError):
            await self._guest.store.write(node, "16 Device in use; refusing to close")

    def _take_back(self, device: _Frontend) -> None:
        """End grants and port. A page that the backend still has mapped is ended when the next device closes."""
        guest = self._guest
        bus = guest.bus
        with contextlib.suppress(HypervisorError):
            bus.channels.close(guest.domid, device.port)
        pages, self._mapped = self._mapped + device.pages, []
        for reference, gfn in pages:
            if bus.grants.end(guest.domid, reference):
                bus.free(guest.domid, gfn)
            else:
                self._mapped.append((reference, gfn))
        device.port, device.pages = 0, []


async def _read(guest: Guest, path: str) -> str:
    """A node's value; nothing if it is not there, or not for us."""
    try:
        return (await guest.store.read(path)).decode("ascii", "replace")
    except Closed:
        raise
    except XenError:
        return ""
