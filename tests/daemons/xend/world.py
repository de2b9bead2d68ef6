"""A simulated host and its Xen daemon in the test's own event loop, so that each part can be killed by itself.

`purevirt.testing.Host` is the same on a thread of its own; here hypervisor, xenstored and toolstack are at hand.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from purevirt.channels.xenstore import aio
from purevirt.channels.xenstore.client import StoreClient
from purevirt.channels.xenstore.watches import Watcher
from purevirt.daemons.xend.service import Service
from purevirt.daemons.xend.settings import Settings
from purevirt.daemons.xenstored import Server, Shell
from purevirt.host.bus import Bus
from purevirt.host.bus_server import BusServer
from purevirt.host.dom0files import Dom0Files
from purevirt.host.guest.behaviour import Behaviour
from purevirt.host.guests import Guests
from purevirt.host.hypercall_server import HypercallServer
from purevirt.host.hypervisor import Hypervisor
from purevirt.model import Caller, DomainRef, Role
from purevirt.programs.toolstack import Actions, Resident, Toolstack
from purevirt.wire.xenstore.disknames import disk_number

ADMIN = Caller(0, 0, 1, Role.ADMIN)
OPERATOR = Caller(1001, 1001, 2, Role.OPERATOR)
READER = Caller(1002, 1002, 3, Role.READER)
NOBODY = Caller(1003, 1003, 4, Role.NONE)


class _Toolstack(Toolstack):
    """Builds domains in which there is no kernel: a test plays it. None of them has a waiter, either."""

    async def create(self, name: str, **how: Any) -> Resident:
        quiet = {"behaviour": Behaviour(pv_drivers=False), "actions": Actions(*["preserve"] * 4)}
        made = await super().create(name, **{**quiet, **how})
        home = f"/local/domain/{made.domid}"
        said = [(f"{home}/control/feature-{mode}", "1") for mode in ("poweroff", "reboot", "suspend")]
        fronts = [f"{home}/device/vbd/{disk_number(disk.target)}" for disk in made.disks]
        fronts += [f"{home}/device/vif/{number}" for number in range(len(made.interfaces))]
        for front in fronts:
            back = (await self._store.read(f"{front}/backend")).decode()
            said += [(f"{front}/state", "4"), (f"{back}/state", "4")]
        await self._store.write_many(said)
        return made


class World:
    """The host: `start`, `stop`; its parts are public."""

    def __init__(self, root: Path, *, xen: tuple[int, int] = (4, 17)) -> None:
        self.root = str(root)
        self.hypervisor = Hypervisor(xen=xen)
        self.xenstored = Server()
        self.shell: Shell | None = None
        self.bus: Bus
        self._bus_server: BusServer | None = None
        self.guests: Guests
        self._hypercalls = HypercallServer(self.hypervisor, f"{root}/dev/xen/privcmd")
        self._stores: list[StoreClient] = []
        self.toolstack: Toolstack
        self.store: StoreClient

    @property
    def store_path(self) -> str:
        return f"{self.root}/var/run/xenstored/socket"

    async def start(self) -> None:
        for path in ("dev/xen", "var/run/xenstored"):
            os.makedirs(f"{self.root}/{path}", exist_ok=True)
        self.start_xenstored()
        await self._hypercalls.start()
        self.bus = Bus(self.hypervisor, f"{self.root}/dev/xen/memory")
        self._bus_server = BusServer(self.bus, f"{self.root}/dev/xen/bus")
        await self._bus_server.start()
        self.guests = Guests(self.hypervisor, self.bus)
        Dom0Files(self.root, self.hypervisor).write()
        self.store = await self.connect()
        self.toolstack = _Toolstack(self, self.root)
        await self.toolstack.connect(self.store)
        await self.toolstack.boot()

    async def connect(self) -> StoreClient:
        """A store connection more, for a test to play a guest or a backend with."""
        store = await StoreClient.open(aio.Connector(self.store_path))
        self._stores.append(store)
        return store

    def start_xenstored(self) -> None:
        self.shell = Shell(self.xenstored)
        self.shell.listen(self.store_path)
        asyncio.get_running_loop().add_reader(self.shell.fileno(), self.shell.run_once)

    def kill_xenstored(self) -> None:
        """Its sockets go; the tree stays, as with a xenstored that is restarted in place."""
        assert self.shell is not None
        asyncio.get_running_loop().remove_reader(self.shell.fileno())
        self.shell.close()
        self.shell = None

    async def stop_hypervisor(self) -> None:
        await self._hypercalls.stop()

    async def start_hypervisor(self) -> None:
        await self._hypercalls.start()

    async def create(self, name: str, **how: Any) -> Resident:
        return await self.toolstack.create(name, **how)

    async def release(self, domid: int) -> None:
        """Let xenstored know that a domain is gone, as Xen's VIRQ_DOM_EXC does."""
        await self.store.release(domid)

    async def stop(self) -> None:
        for store in self._stores:
            await store.close()
        self.guests.stop()
        if self._bus_server is not None:
            await self._bus_server.stop()
        await self._hypercalls.stop()
        if self.shell is not None:
            self.kill_xenstored()


class Xend:
    """A daemon on a world, called past its sockets."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.supervisor = service.supervisor

    async def call(
        self,
        operation: str,
        domain: DomainRef | str | int | None = None,
        *,
        by: Caller = ADMIN,
        timeout: float | None = None,
        **arguments: Any,
    ) -> Any:
        if isinstance(domain, str):
            domain = DomainRef(b"", None, domain)
        elif isinstance(domain, int):
            domain = DomainRef(b"", domain, None)
        return await self.supervisor.call(by, operation, domain, arguments, timeout)

    def audit(self) -> list[dict[str, Any]]:
        try:
            text = Path(self.service.link.root, "var/log/purevirt/audit.log").read_text()
        except FileNotFoundError:
            return []
        return [json.loads(line) for line in text.splitlines()]

    def events(self) -> list[tuple[str, str, str | None, str | None]]:
        """What the journal has: source, kind, name, detail."""
        return [
            (event.source.value, event.kind.value, event.name, event.detail)
            for event in self.supervisor.journal.since(0)
        ]


@asynccontextmanager
async def world(root: Path, *, xen: tuple[int, int] = (4, 17)) -> AsyncIterator[World]:
    made = World(root, xen=xen)
    try:
        await made.start()
        yield made
    finally:
        await made.stop()


@asynccontextmanager
async def xend(host: World, **options: Any) -> AsyncIterator[Xend]:
    service = Service(
        Settings(host.root, **{"vcpu_wait": 0.0, "backend_wait": 0.0, "read_only_store": False, **options})
    )
    await service.start()
    try:
        yield Xend(service)
    finally:
        await service.stop()


@asynccontextmanager
async def both(root: Path, **options: Any) -> AsyncIterator[tuple[World, Xend]]:
    """A host with the domain "test", and its daemon."""
    async with world(root) as host:
        await host.toolstack.create_test()
        async with xend(host, **options) as daemon:
            yield host, daemon


async def until(what: Callable[[], object]) -> None:
    """Let the other tasks go on until it is so."""
    async with asyncio.timeout(20):
        while not what():  # noqa: ASYNC110 - what is waited for tells nobody
            await asyncio.sleep(0)


@asynccontextmanager
async def watching(store: StoreClient, path: str) -> AsyncIterator[Watcher]:
    async with asyncio.timeout(20):
        watcher = await store.open_watcher()
        try:
            await watcher.add(path)
            await watcher.next()
            yield watcher
        finally:
            await watcher.close()


async def answer_shutdown(store: StoreClient, domid: int, reply: str = "") -> str:
    """Be a guest's kernel: wait for a request in control/shutdown, and write `reply` there. The request."""
    node = f"/local/domain/{domid}/control/shutdown"
    async with watching(store, node) as watcher:
        while not (asked := await store.read(node)):
            await watcher.next()
        await store.write(node, reply)
        return asked.decode()
