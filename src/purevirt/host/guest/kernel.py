"""A guest's kernel: it boots when its domain first runs, then does what the store's events tell it to.

It acts only while its domain runs. What happens meanwhile, an event channel that rings or a delay that is over, is
put by and done when the domain runs again. All of it takes no simulated time, but for the delays of `Behaviour`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable

from purevirt.channels.xenstore.client import StoreClient
from purevirt.errors import Closed, XenError
from purevirt.host.bus import Bus, Seed
from purevirt.host.domains import SimDomain
from purevirt.host.guest import control, frontends, resources
from purevirt.host.guest.behaviour import Behaviour
from purevirt.host.guest.console import Console
from purevirt.host.guest.storering import RingTransport
from purevirt.host.hypervisor import Hypervisor
from purevirt.wire.bus.rings import ConsoleRing, StoreRing
from purevirt.wire.hypercall.subops import HvmParam
from purevirt.wire.xenstore import messages
from purevirt.wire.xenstore.packets import Op

__all__ = ["Guest"]

Handler = Callable[["Guest", str], Awaitable[None]]


_ANNOUNCE = "announce"
_CALLBACK_VECTOR = 2 << 56 | 0xF3  # Linux' HYPERVISOR_CALLBACK_VECTOR


async def _announce(guest: Guest, path: str) -> None:
    await control.announce(guest)


class Guest:
    """The kernel of one domain. `seed`: what its builder gave it."""

    def __init__(
        self, hypervisor: Hypervisor, bus: Bus, domain: SimDomain, seed: Seed, behaviour: Behaviour
    ) -> None:
        self.hypervisor = hypervisor
        self.bus = bus
        self.domain = domain
        self.seed = seed
        self.domid = domain.domid
        self.home = f"/local/domain/{domain.domid}"
        self.behaviour = behaviour
        self.steps = 0
        """How often it has done something."""
        self.failure: XenError | None = None
        """Why its kernel does nothing any more, if its connection to the store has ended."""
        self.transport = RingTransport(
            StoreRing(bus.page(self.domid, seed.store_gfn)), self._ring(seed.store_port)
        )
        self.store = StoreClient(self.transport, timeout=None)
        self.console = Console(
            ConsoleRing(bus.page(self.domid, seed.console_gfn)), self._ring(seed.console_port)
        )
        self.frontends = frontends.Frontends(self)
        self._handlers: dict[str, Handler] = {_ANNOUNCE: _announce}
        self._events: deque[tuple[str, str]] = deque()
        self._put_by: dict[Callable[[], None], None] = {}
        self._task: asyncio.Task[None] | None = None
        self._gone = False
        self._news: asyncio.Future[None] | None = None
        self.transport.on_event = self._heard
        if behaviour.pv_drivers:
            bus.channels.listen(self.domid, seed.store_port, lambda port: self.when_running(self._pump_store))
            bus.channels.listen(
                self.domid, seed.console_port, lambda port: self.when_running(self._pump_console)
            )

    # --- from outside

    def wake(self) -> None:
        """The domain may run now: boot, or go on."""
        if not self.domain.runs:
            return
        if self._task is None and self.behaviour.pv_drivers:
            self._task = asyncio.get_running_loop().create_task(self._run())
        waiting, self._put_by = list(self._put_by), {}
        for act in waiting:
            self.when_running(act)
        self._notice()

    def stop(self) -> None:
        """The domain is gone."""
        self._gone = True
        self._put_by.clear()
        self.transport.end("the domain is gone")
        if self._task is not None:
            self._task.cancel()

    def announce(self) -> None:
        """Its behaviour has changed: say anew which orders it takes."""
        if self._task is not None:
            self._events.append(("", _ANNOUNCE))
            self._notice()

    # --- for its parts

    def when_running(self, act: Callable[[], None]) -> None:
        """Do it now, or when the domain runs again; once, however often it was asked for meanwhile."""
        if self._gone:
            return
        if self.domain.runs:
            self.steps += 1
            act()
        else:
            self._put_by[act] = None

    def after(self, seconds: float, act: Callable[[], None]) -> None:
        """Do it after so much simulated time, or later if the domain does not run then."""
        self.hypervisor.clock.call_later(seconds, lambda: self.when_running(act))

    def halt(self, code: int) -> None:
        """Its last hypercall: SCHEDOP_shutdown."""
        if self.domain.runs:
            self.hypervisor.shutdown(self.domid, code)

    async def watch(self, path: str, handler: Handler) -> None:
        """Have `handler` called with the path of each change at or below `path`, and once at once."""
        self._handlers[path] = handler
        await self.transport.exchange([(int(Op.WATCH), 0, messages.watch_request(path, path, None))], None)

    async def unwatch(self, path: str) -> None:
        """No more of that."""
        if self._handlers.pop(path, None) is not None:
            await self.transport.exchange([(int(Op.UNWATCH), 0, messages.watch_request(path, path))], None)

    # --- inside

    async def _run(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            try:
                await self._boot()
                while True:
                    await self._serve(*await self._next())
            except Closed as error:
                self.failure = error

    async def _boot(self) -> None:
        if self.domain.kind != "pv":
            # How Xen is to tell it of events: by vector (2 in the highest byte), on all vCPUs.
            self.domain.hvm_params[HvmParam.CALLBACK_IRQ] = _CALLBACK_VECTOR
        vcpus, memory = self.domain.online_vcpus, self.domain.tot_pages * 4
        self.console.print(f"simulated kernel: booting with {vcpus} vCPUs and {memory} KiB")
        await self._attempt(control.announce(self))
        await self.watch(f"{self.home}/control/shutdown", control.shutdown)
        await self.watch(f"{self.home}/control/sysrq", control.sysrq)
        await self.watch(f"{self.home}/memory/target", resources.balloon)
        await self.watch(f"{self.home}/cpu", resources.hotplug)
        await self.watch(f"{self.home}/device", self.frontends.look)
        self.console.print("simulated kernel: up")

    async def _serve(self, path: str, token: str) -> None:
        self.steps += 1
        handler = self._handlers.get(token)
        if handler is not None:
            await self._attempt(handler(self, path))

    async def _attempt(self, work: Awaitable[None]) -> None:
        """What the store refuses is said on the console, and the kernel goes on."""
        try:
            await work
        except Closed:
            raise
        except XenError as error:
            self.console.print(f"simulated kernel: {error}")

    async def _next(self) -> tuple[str, str]:
        while not (self._events and self.domain.runs):
            self._news = asyncio.get_running_loop().create_future()
            await self._news
        return self._events.popleft()

    def _heard(self, payload: bytes) -> None:
        event = messages.parse_watch_event(payload)
        if event not in self._events:
            self._events.append(event)
        self._notice()

    def _notice(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

    def _pump_store(self) -> None:
        self.transport.pump()

    def _pump_console(self) -> None:
        self.console.pump()

    def _ring(self, port: int) -> Callable[[], None]:
        return lambda: self.bus.channels.send(self.domid, port)
