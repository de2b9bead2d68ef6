"""The console daemon of a simulated host: takes what guests print out of their rings, and appends it to their logs.

It hears of domains from the store, finds their port there, maps the page that they grant to Domain 0, and writes to
DIRECTORY/guest-NAME.log, as the real daemon does with `--log=guest`. What was printed before it came is still in the
ring, and taken then. As the real one, it makes a terminal for each guest and puts its path into console/tty
(`terminal`), for the first TERMINALS of them; `type` types at any.

One event loop; `start` to `stop`. Domains that were there before are found at the start, so it can be killed and
started again alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from functools import partial

from purevirt.channels.bus import BusClient, SharedMemory
from purevirt.channels.xenstore import aio
from purevirt.channels.xenstore.client import StoreClient, Transaction
from purevirt.channels.xenstore.watches import Event, Watcher
from purevirt.daemons.xenconsoled.terminal import GuestTerminal
from purevirt.errors import Closed, ConnectError, NoSuchDomain, OperationError, Timeout
from purevirt.wire.bus import BusOp, ConsoleRing, Notice, ReservedGrant, RingBroken

__all__ = ["ConsoleDaemon", "log_name"]

INTRODUCED, RELEASED = "@introduceDomain", "@releaseDomain"
TIMEOUT = 10.0
TERMINALS = 100
"""How many guests have a terminal at the same time: each takes two descriptors of a process that has 1,024."""
_MAX_NAME = 200


def log_name(name: str) -> str:
    """The log's file name for a domain of that name: what no file can be called is replaced by "_"."""
    safe = "".join("_" if char == "/" or ord(char) < 32 else char for char in name)
    while len(os.fsencode(safe)) > _MAX_NAME:
        safe = safe[:-1]
    return f"guest-{safe}.log"


class _Console:
    __slots__ = ("broken", "handle", "path", "port", "ring", "terminal", "unsent")

    def __init__(self, path: str) -> None:
        self.path = path
        self.ring: ConsoleRing | None = None
        self.port = 0
        self.handle = 0
        self.broken = False
        self.unsent = bytearray()
        self.terminal: GuestTerminal | None = None

    def close(self) -> None:
        terminal, self.terminal = self.terminal, None
        if terminal is not None:
            terminal.close()


class ConsoleDaemon:
    """One host's. `store`: xenstored's socket; `bus`, `memory`: as for xenstored; `directory`: where logs go."""

    def __init__(self, store: str, bus: str, memory: str, directory: str) -> None:
        self._store_path = store
        self._bus_path = bus
        self._memory_path = memory
        self.directory = directory
        self._bus: BusClient | None = None
        self._store: StoreClient | None = None
        self._watcher: Watcher | None = None
        self._task: asyncio.Task[None] | None = None
        self._consoles: dict[int, _Console] = {}
        self._by_port: dict[int, _Console] = {}
        self._writing = False

    async def start(self) -> None:
        """Find the guests that there are, and those to come. ConnectError, OSError."""
        os.makedirs(self.directory, exist_ok=True)
        self._bus = BusClient.connect(self._bus_path, SharedMemory(self._memory_path))
        self._bus.on_event = self._event
        asyncio.get_running_loop().add_reader(self._bus.fileno(), self._readable)
        try:
            self._store = await StoreClient.open(aio.Connector(self._store_path), timeout=TIMEOUT)
            self._watcher = await self._store.open_watcher()
            await self._watcher.add(INTRODUCED, depth=1)
            await self._watcher.add(RELEASED, depth=1)
            await self._find_all()
        except BaseException:
            await self.stop()
            raise
        self._task = asyncio.get_running_loop().create_task(self._follow())

    async def stop(self) -> None:
        """Let all guests go; they keep in their rings what they print. Stopping twice is no error."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        for client in (self._watcher, self._store):
            if client is not None:
                await client.close()
        self._watcher = self._store = None
        self._close_bus()

    def type(self, domid: int, text: str) -> None:
        """Type at a guest's console. NoSuchDomain: it has none here."""
        console = self._consoles.get(domid)
        if console is None:
            raise NoSuchDomain(f"domain {domid} has no console here", domain=str(domid), channel="console")
        console.unsent += text.encode()
        self._pump(console)
        self._flush()

    # --- which guests there are

    async def _follow(self) -> None:
        while self._watcher is not None and self._store is not None:
            try:
                notice = await self._watcher.next()
            except (Closed, ConnectError, Timeout):
                return  # there is no store any more; whoever restarts it restarts us
            if not isinstance(notice, Event):
                if notice is not None:
                    await self._again()
                continue
            special, _, word = notice.path.partition("/")
            if not word.isdigit():
                continue
            if special == RELEASED:
                self._release(int(word))
            else:
                with contextlib.suppress(OperationError, Closed):
                    await self._find([int(word)])
            self._flush()

    async def _again(self) -> None:
        """Events were lost, or the store was: look at everything."""
        with contextlib.suppress(Closed, ConnectError, OperationError):
            if self._store is None or self._store.closed:
                self._store = await StoreClient.open(aio.Connector(self._store_path), timeout=TIMEOUT)
            await self._find_all()
            self._flush()

    async def _find_all(self) -> None:
        assert self._store is not None
        (names,) = await self._store.directory_many(["/local/domain"])
        domids = [int(name) for name in names or () if name.isdigit()]
        for gone in self._consoles.keys() - set(domids):
            self._release(gone)
        await self._find([domid for domid in domids if domid])
        self._flush()

    async def _find(self, domids: list[int]) -> None:
        assert self._store is not None
        paths = [f"/local/domain/{domid}/{name}" for domid in domids for name in ("name", "console/port")]
        values = await self._store.read_many(paths)
        for domid, name, port in zip(domids, values[::2], values[1::2], strict=True):
            if name is not None and port is not None and port.isdigit() and domid not in self._consoles:
                self._attach(domid, name.decode("utf-8", "replace"), int(port))
                await self._offer(domid, port)

    async def _offer(self, domid: int, port: bytes) -> None:
        """Make its terminal, and say where it is, unless it has gone meanwhile: nothing may be left of it."""
        console = self._consoles.get(domid)
        assert self._store is not None
        if (
            console is None
            or sum(found.terminal is not None for found in self._consoles.values()) >= TERMINALS
        ):
            return
        with contextlib.suppress(OSError):  # no more of them, or no descriptors: it is logged all the same
            terminal = console.terminal = GuestTerminal(partial(self._typed, console))
            home = f"/local/domain/{domid}/console"

            async def tell(view: Transaction) -> None:
                if await view.read_many([f"{home}/port"]) == [port]:
                    await view.write(f"{home}/tty", terminal.path)

            await self._store.transaction(tell)

    def _typed(self, console: _Console, data: bytes) -> None:
        console.unsent += data
        self._pump(console)
        self._flush()

    def _attach(self, domid: int, name: str, port: int) -> None:
        if self._bus is None:
            return
        console = self._consoles[domid] = _Console(os.path.join(self.directory, log_name(name)))
        self._bus.ask(partial(self._mapped, domid, console), BusOp.MAP_GRANT, domid, ReservedGrant.CONSOLE)
        self._bus.ask(partial(self._bound, domid, console), BusOp.BIND_INTERDOMAIN, domid, port)

    def _mapped(self, domid: int, console: _Console, notice: Notice) -> None:
        if notice.status or self._bus is None:
            return
        console.handle = notice.first
        with contextlib.suppress(OSError):
            console.ring = ConsoleRing(self._bus.memory.page(notice.second))

    def _bound(self, domid: int, console: _Console, notice: Notice) -> None:
        if notice.status or console.ring is None:
            console.close()
            self._consoles.pop(domid, None)  # it is gone already, or has no console
            return
        console.port = notice.first
        self._by_port[console.port] = console
        self._pump(console)

    def _release(self, domid: int) -> None:
        """A domain has stopped or is gone: take what it said last. A stopped one may go on, so its console stays."""
        console = self._consoles.get(domid)
        if console is not None:
            self._pump(console)
            if self._bus is not None:
                # Mapped pages outlive their domain: whether it is gone is asked by trying to map it again.
                self._bus.ask(
                    partial(self._tried, domid, console), BusOp.MAP_GRANT, domid, ReservedGrant.CONSOLE
                )

    def _tried(self, domid: int, console: _Console, notice: Notice) -> None:
        bus = self._bus
        if bus is None:
            return
        if not notice.status:
            bus.tell(BusOp.UNMAP_GRANT, notice.first)
            return
        if self._consoles.get(domid) is console:
            del self._consoles[domid]
            console.close()
            self._by_port.pop(console.port, None)
            bus.tell(BusOp.UNBIND, console.port)
            bus.tell(BusOp.UNMAP_GRANT, console.handle)

    # --- what they print

    def _event(self, port: int) -> None:
        console = self._by_port.get(port)
        if console is not None:
            self._pump(console)

    def _pump(self, console: _Console) -> None:
        ring = console.ring
        if ring is None or console.broken or self._bus is None:
            return
        try:
            text = ring.output.take()
            sent = ring.input.put(console.unsent)
        except RingBroken:
            console.broken = True
            return
        del console.unsent[:sent]
        if console.terminal is not None:
            console.terminal.listen(not console.unsent)
        if text:
            with contextlib.suppress(OSError), open(console.path, "ab") as file:
                file.write(text)
            if console.terminal is not None:
                console.terminal.show(text)
        if text or sent:
            self._bus.tell(BusOp.NOTIFY, console.port)

    # --- the bus

    def _readable(self) -> None:
        if self._bus is not None:
            loop, fd = asyncio.get_running_loop(), self._bus.fileno()
            if self._bus.receive():
                self._flush()
            else:
                loop.remove_reader(fd)
                loop.remove_writer(fd)
                self._bus = None
                self._forget()
                self._by_port.clear()

    def _flush(self) -> None:
        bus = self._bus
        if bus is None or bus.closed:
            return
        bus.flush()
        if bool(bus.unsent) != self._writing and not bus.closed:
            loop = asyncio.get_running_loop()
            self._writing = bus.unsent > 0
            if self._writing:
                loop.add_writer(bus.fileno(), self._flush)
            else:
                loop.remove_writer(bus.fileno())

    def _close_bus(self) -> None:
        bus, self._bus = self._bus, None
        if bus is not None:
            loop = asyncio.get_running_loop()
            if not bus.closed:
                loop.remove_reader(bus.fileno())
                loop.remove_writer(bus.fileno())
            bus.close()
        self._writing = False
        self._forget()
        self._by_port.clear()

    def _forget(self) -> None:
        for console in self._consoles.values():
            console.close()
        self._consoles.clear()
