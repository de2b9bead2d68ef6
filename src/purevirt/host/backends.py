"""What Domain 0's backend drivers do: the other half of each guest's disks and interfaces.

A backend appears when a toolstack has written its nodes. It gets ready (InitWait), and once its frontend says which
pages it has granted, maps them, binds the port, and is connected; it follows the frontend down again, and goes when
its nodes go. What cannot be mapped or bound is written to its `error` node, and it closes.

The drivers watch their part of the store and each frontend's state, and look at a device whenever anything about it
may have changed: `decide` says what then follows, from what is read and nothing else.

Source: Linux' drivers/block/xen-blkback/xenbus.c and drivers/net/xen-netback/xenbus.c.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import NamedTuple

from purevirt.channels.xenstore.client import StoreClient, Transaction
from purevirt.channels.xenstore.transport import Connector, Transport
from purevirt.errors import Closed, OperationError
from purevirt.host.bus import Bus
from purevirt.host.dom0files import Dom0Files
from purevirt.host.grants import GrantRefused
from purevirt.host.memory import XenError as HypervisorError
from purevirt.host.xenbus import RINGS, State, state_of
from purevirt.wire.xenstore import messages
from purevirt.wire.xenstore.packets import Op

__all__ = ["Backends", "Device", "decide"]

ROOT = "/local/domain/0/backend"


class Device(NamedTuple):
    """Which: its kind, its guest, its number."""

    kind: str
    domid: int
    number: int

    @property
    def path(self) -> str:
        """Its directory in the store."""
        return f"{ROOT}/{self.kind}/{self.domid}/{self.number}"

    @staticmethod
    def of(path: str) -> Device | None:
        """The device that a path is in."""
        kind, _, rest = path.removeprefix(f"{ROOT}/").partition("/")
        words = rest.split("/")
        if kind in RINGS and len(words) >= 2 and words[0].isdigit() and words[1].isdigit():
            return Device(kind, int(words[0]), int(words[1]))
        return None


def decide(mine: State, theirs: State, *, online: bool) -> State:
    """The state that a backend goes to next, given both states; the one it has if nothing follows."""
    if mine in (State.UNKNOWN, State.INITIALISING):
        return State.INIT_WAIT
    if theirs is State.CLOSING and mine in (State.INIT_WAIT, State.INITIALISED, State.CONNECTED):
        return State.CLOSING
    if theirs in (State.CLOSED, State.UNKNOWN) and mine in (State.CONNECTED, State.CLOSING):
        return State.CLOSED
    if theirs is State.INITIALISING and mine is State.CLOSED and online:
        return State.INIT_WAIT
    if theirs in (State.INITIALISED, State.CONNECTED) and mine is State.INIT_WAIT:
        return State.CONNECTED
    return mine


class _Backend:
    """A device's backend, and what it holds of its guest's."""

    __slots__ = ("frontend", "handles", "port")

    def __init__(self, frontend: str) -> None:
        self.frontend = frontend
        self.handles: list[int] = []
        self.port = 0


class Backends:
    """The drivers of one Domain 0. Lives in the host's event loop; `connect` before anything, and after a restart
    of xenstored again."""

    def __init__(self, bus: Bus, files: Dom0Files) -> None:
        self._bus = bus
        self._files = files
        self._devices: dict[Device, _Backend] = {}
        self._queue: dict[Device, None] = {}
        self._news: asyncio.Future[None] | None = None
        self._transport: Transport | None = None
        self._task: asyncio.Task[None] | None = None
        self.steps = 0
        """How often something was looked at, or said."""

    def __len__(self) -> int:
        return len(self._devices)

    async def connect(self, connector: Connector, timeout: float | None = None) -> None:
        """Listen to the store, and look at every device again. ConnectError, Timeout."""
        await self.close()
        transport = self._transport = await connector.connect(timeout)
        transport.on_event = self._heard
        await transport.exchange([(int(Op.WATCH), 0, messages.watch_request(ROOT, "b", None))], timeout)
        for device, backend in self._devices.items():
            self._queue[device] = None
            await self._watch(device, backend.frontend)
        for kind in RINGS:
            await self._find(kind)
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """Listen no more. What is connected stays connected."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        if self._transport is not None:
            await self._transport.close()
            self._transport = None

    def replace_bus(self, bus: Bus) -> None:
        """The hypervisor has started anew: nothing that was mapped or bound exists any more."""
        self._bus = bus
        for backend in self._devices.values():
            backend.port, backend.handles = 0, []

    # --- listening

    def _heard(self, payload: bytes) -> None:
        path, token = messages.parse_watch_event(payload)
        device = Device.of(path if token == "b" else token)
        if device is not None:
            self._queue[device] = None
        elif token == "b":
            # A whole guest's backends went at once: all that were below that path.
            self._queue.update(
                dict.fromkeys(each for each in self._devices if each.path.startswith(path + "/"))
            )
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

    async def _run(self) -> None:
        with contextlib.suppress(Closed):
            while True:
                while self._queue:
                    device = next(iter(self._queue))
                    del self._queue[device]
                    self.steps += 1
                    with contextlib.suppress(OperationError):  # of this one device; the others are looked at
                        await self._look(device)
                self._news = asyncio.get_running_loop().create_future()
                await self._news

    @property
    def _store(self) -> StoreClient:
        if self._transport is None:
            raise Closed("the backends have no connection to the Xen Store", channel="store")
        self.steps += 1
        return StoreClient(self._transport, timeout=None)

    async def _find(self, kind: str) -> None:
        """Devices that came while nobody listened."""
        base = f"{ROOT}/{kind}"
        (domids,) = await self._store.directory_many([base])
        guests = [f"{base}/{domid}" for domid in domids or ()]
        for guest, numbers in zip(guests, await self._store.directory_many(guests), strict=True):
            for number in numbers or ():
                device = Device.of(f"{guest}/{number}")
                if device is not None:
                    self._queue[device] = None

    async def _watch(self, device: Device, frontend: str) -> None:
        request = messages.watch_request(f"{frontend}/state", device.path, None)
        await self._exchange(Op.WATCH, request)

    async def _exchange(self, op: Op, payload: bytes) -> None:
        if self._transport is None:
            raise Closed("the backends have no connection to the Xen Store", channel="store")
        self.steps += 1
        await self._transport.exchange([(int(op), 0, payload)], None)

    # --- a device

    async def _look(self, device: Device) -> None:
        path = device.path
        backend = self._devices.get(device)
        wanted = [f"{path}/{name}" for name in ("state", "frontend", "online")]
        if backend is not None:
            wanted.append(f"{backend.frontend}/state")
        values = await self._store.read_many(wanted)
        state, frontend, online = values[:3]
        if state is None or not frontend:
            if backend is not None:
                await self._go(device, backend)
            return
        if backend is None:
            backend = self._come(device, frontend.decode("ascii", "replace"))
            await self._watch(
                device, backend.frontend
            )  # which fires at once, and then its state is looked at
            values += await self._store.read_many([f"{backend.frontend}/state"])
        mine = state_of(state)
        next_state = decide(mine, state_of(values[3]), online=online == b"1")
        if next_state is mine:
            return
        if next_state is State.CONNECTED:
            problem = await self._connect(device, backend)
            if problem is not None:
                await self._set(device, State.CLOSING, error=problem)
                return
        elif next_state in (State.CLOSING, State.CLOSED):
            self._let_go(backend)
        await self._set(device, next_state)

    async def _set(self, device: Device, state: State, error: str | None = None) -> None:
        nodes = [(f"{device.path}/state", str(int(state)))]
        if error is not None:
            nodes.insert(0, (f"{device.path}/error", error))
        if state is State.INIT_WAIT:
            nodes[:0] = [(f"{device.path}/{name}", "1") for name in _FEATURES[device.kind]]

        async def body(tx: Transaction) -> None:
            # Not if it has gone meanwhile: writing would bring back half of it.
            if await tx.exists(f"{device.path}/frontend"):
                await tx.write_many(nodes)

        await self._store.transaction(body)

    def _come(self, device: Device, frontend: str) -> _Backend:
        backend = self._devices[device] = _Backend(frontend)
        if device.kind == "vbd":
            self._files.add_vbd(device.domid, device.number)
        else:
            self._files.add_vif(device.domid, device.number)
        return backend

    async def _go(self, device: Device, backend: _Backend) -> None:
        del self._devices[device]
        self._let_go(backend)
        if device.kind == "vbd":
            self._files.remove_vbd(device.domid, device.number)
        else:
            self._files.remove_vif(device.domid, device.number)
        await self._exchange(Op.UNWATCH, messages.watch_request(f"{backend.frontend}/state", device.path))

    async def _connect(self, device: Device, backend: _Backend) -> str | None:
        """Map the frontend's rings and bind its port; else what is wrong."""
        names = [*RINGS[device.kind], "event-channel"]
        values = await self._store.read_many([f"{backend.frontend}/{name}" for name in names])
        numbers = [int(value) if value is not None and value.isdigit() else -1 for value in values]
        for name, number in zip(names, numbers, strict=True):
            if number < 0:
                return f"22 reading {backend.frontend}/{name}"
        bus = self._bus
        self._let_go(backend)
        try:
            for reference in numbers[:-1]:
                backend.handles.append(bus.grants.map(0, device.domid, reference).handle)
            backend.port = bus.channels.bind_interdomain(0, device.domid, numbers[-1])
        except GrantRefused as refused:
            self._let_go(backend)
            return f"{-refused.status} mapping in shared page from domain {device.domid}: {refused}"
        except HypervisorError as error:
            self._let_go(backend)
            return f"{error.errno} binding port {numbers[-1]} of domain {device.domid}: {error}"
        return None

    def _let_go(self, backend: _Backend) -> None:
        for handle in backend.handles:
            with contextlib.suppress(GrantRefused):
                self._bus.grants.unmap(0, handle)
        if backend.port:
            with contextlib.suppress(HypervisorError):
                self._bus.channels.close(0, backend.port)
        backend.handles, backend.port = [], 0


_FEATURES = {
    "vbd": ("feature-flush-cache", "feature-persistent"),
    "vif": ("feature-sg", "feature-rx-copy", "feature-ctrl-ring"),
}
