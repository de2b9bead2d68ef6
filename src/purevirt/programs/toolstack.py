"""What `xl` is on a real host: builds and ends the domains of a simulated one, and waits for their end.

It asks the hypervisor, gives each domain its rings and its kernel, and writes the store through an ordinary client, in
one transaction per domain. When a domain that it made shuts down, it does what the domain's `on_poweroff`, `on_reboot`
and so on say: destroys it, builds it anew under a new id, or leaves it as it is. Domains that somebody else made, as
xend does through the host's channels, are theirs to look after: they are only found here, and ended. Runs on the host's
own thread.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, Protocol
from uuid import UUID, uuid4

from purevirt.channels.xenstore.client import StoreClient, Transaction
from purevirt.errors import DomainExists, InvalidConfig, NoSuchDomain, OperationError, XenError
from purevirt.host.bus import Bus
from purevirt.host.changes import Change
from purevirt.host.guest.behaviour import Behaviour
from purevirt.host.guests import Guests
from purevirt.host.hypervisor import Hypervisor
from purevirt.programs.records import Records
from purevirt.wire.hypercall.subops import (
    ShutdownCode,
)
from purevirt.wire.xenstore.disknames import disk_number
from purevirt.wire.xenstore.domainnodes import (
    Disk,
    Interface,
    Node,
    domain_0_nodes,
    domain_nodes,
)

__all__ = ["ACTIONS", "Actions", "Machinery", "Resident", "Toolstack"]

ACTIONS = ("destroy", "restart", "preserve")


class Actions(NamedTuple):
    """What is done when a domain shuts down, as in xl.cfg; each one of `ACTIONS`."""

    on_poweroff: str = "destroy"
    on_reboot: str = "restart"
    on_crash: str = "preserve"
    on_watchdog: str = "destroy"

    def for_code(self, code: int) -> str:
        """What is done after a shutdown for that reason."""
        return {
            ShutdownCode.POWEROFF: self.on_poweroff,
            ShutdownCode.REBOOT: self.on_reboot,
            ShutdownCode.CRASH: self.on_crash,
            ShutdownCode.WATCHDOG: self.on_watchdog,
        }.get(ShutdownCode(code), "preserve")


DEFAULT_ACTIONS = Actions()


class Resident:
    """A domain of a simulated host, as the one who made it knows it."""

    __slots__ = ("actions", "disks", "domid", "interfaces", "name", "settings", "type", "uuid")

    def __init__(
        self,
        domid: int,
        uuid: UUID,
        name: str,
        kind: str,
        disks: tuple[Disk, ...],
        interfaces: tuple[Interface, ...],
        actions: Actions,
        settings: Mapping[str, Any],
    ) -> None:
        self.domid, self.uuid, self.name, self.type = domid, uuid, name, kind
        self.disks, self.interfaces = disks, interfaces
        self.actions = actions
        self.settings = settings
        """What it takes to build it once more."""

    def __repr__(self) -> str:
        return f"<Resident {self.domid} {self.name!r}>"


class Machinery(Protocol):
    """What domains are built from; after a restart of the hypervisor, other ones."""

    @property
    def hypervisor(self) -> Hypervisor: ...
    @property
    def bus(self) -> Bus: ...
    @property
    def guests(self) -> Guests: ...


class Toolstack:
    """Builds, renames and ends domains. `connect` it to the store first, and after each restart of xenstored."""

    def __init__(self, part: Machinery, root: str) -> None:
        """`root` is where the files of the host are."""
        self._part = part
        self._records = Records(root)
        self._client: StoreClient | None = None
        self._residents: dict[int, Resident] = {}
        self._lock = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def busy(self) -> bool:
        """Whether the end of some domain is being dealt with."""
        return bool(self._tasks)

    # --- what it stands on

    async def connect(self, client: StoreClient | None) -> None:
        """Use this connection to the store from now on; close the one before. None: there is no store."""
        before, self._client = self._client, client
        if before is not None:
            await before.close()
        if client is not None:
            for domid in self._residents:
                self._attend(domid)

    def follow(self) -> None:
        """Hear of the domains of the hypervisor that there is now; those of the one before are gone."""
        self._part.hypervisor.listeners.append(self._heard)
        for domid in self._residents:
            self._attend(domid)

    async def close(self) -> None:
        """Wait for nothing any more."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.connect(None)

    async def boot(self) -> None:
        """What is there before any guest: Domain 0, a little busy, and its own nodes."""
        self._part.hypervisor.set_load(0, 0.05)
        await self._write(list(domain_0_nodes()))

    async def look(self) -> bool:
        """Whether the store answers."""
        if self._client is None or self._client.closed:
            return False
        with contextlib.suppress(XenError):
            return await self._client.exists("/")
        return False

    # --- domains

    def find(self, which: str | int) -> Resident:
        """One that was made here, by name or id. NoSuchDomain."""
        for resident in self._residents.values():
            if which in (resident.name, resident.domid):
                return resident
        raise NoSuchDomain(f"the simulated host has no domain {which!r}", domain=str(which))

    async def locate(self, which: str | int) -> Resident:
        """One that anybody made, by the name that the store has, or by id. NoSuchDomain.

        Of a domain that was not made here nothing is known but what hypervisor and store say.
        """
        with contextlib.suppress(NoSuchDomain):
            return self.find(which)
        others = [each for each in self._part.hypervisor if each.domid and each.domid not in self._residents]
        names = await self._store.read_many([f"/local/domain/{each.domid}/name" for each in others])
        for each, raw in zip(others, names, strict=True):
            name = (raw or b"").decode("utf-8", "surrogateescape")
            if which == each.domid or (name and which == name):
                uuid = UUID(bytes=each.handle)
                return Resident(each.domid, uuid, name, each.kind, (), (), DEFAULT_ACTIONS, {})
        return self.find(which)

    async def create(self, name: str, **settings: Any) -> Resident:
        """Build a domain and let it run: see `_create`. DomainExists, NoMemory; ValueError for what cannot be."""
        async with self._lock:
            return await self._create(name, **settings)

    async def create_test(self) -> Resident:
        """The domain that `test:///default` and every host with something in it has: two vCPUs, disk, interface."""
        return await self.create(
            "test",
            uuid="6695eb01-f6a4-8304-79aa-97f2502e193f",
            memory_kib=262144,
            vcpus=2,
            disks=[Disk("xvda", "/var/lib/xen/images/test.img")],
            interfaces=[Interface("00:16:3e:7e:57:00")],
        )

    async def destroy(self, which: str | int) -> None:
        """End a domain at once, and clean up after it."""
        async with self._lock:
            await self._destroy(await self.locate(which))

    async def resume(self, which: str | int) -> None:
        """Let a suspended domain go on, and the store tell of its next end."""
        domid = (await self.locate(which)).domid
        self._part.hypervisor.resume(domid)
        with contextlib.suppress(OperationError):
            await self._store.resume(domid)

    async def rename(self, which: str | int, name: str) -> None:
        """Give a domain another name."""
        resident = await self.locate(which)

        async def body(tx: Transaction) -> None:
            await tx.write_many(
                [(f"/local/domain/{resident.domid}/name", name), (f"/vm/{resident.uuid}/name", name)]
            )

        await self._store.transaction(body)
        resident.name = name
        if resident.settings:  # else whoever made it keeps its record
            self._records.write(resident.domid, resident.uuid, name, resident.settings)

    async def _create(
        self,
        name: str,
        *,
        uuid: UUID | str | None = None,
        kind: str = "pv",
        memory_kib: int = 131072,
        max_memory_kib: int | None = None,
        vcpus: int = 1,
        disks: Sequence[Disk] = (),
        interfaces: Sequence[Interface] = (),
        load: float = 0.1,
        paused: bool = False,
        actions: Actions = DEFAULT_ACTIONS,
        behaviour: Behaviour | None = None,
    ) -> Resident:
        if any(resident.name == name for resident in self._residents.values()):
            raise DomainExists(f"the simulated host has a domain {name!r} already", domain=name)
        if any(action not in ACTIONS for action in actions):
            raise InvalidConfig(f"what is done when a domain shuts down is one of {', '.join(ACTIONS)}")
        identity = uuid4() if uuid is None else UUID(str(uuid))
        for disk in disks:
            disk_number(disk.target)
        part = self._part
        most = memory_kib if max_memory_kib is None else max_memory_kib
        settings = {
            "uuid": identity,
            "kind": kind,
            "memory_kib": memory_kib,
            "max_memory_kib": max_memory_kib,
            "vcpus": vcpus,
            "disks": tuple(disks),
            "interfaces": tuple(interfaces),
            "load": load,
            "actions": actions,
            "behaviour": behaviour,
        }
        domain = part.hypervisor.create_domain(
            handle=identity,
            kind=kind,
            memory_kib=memory_kib,
            max_memory_kib=most,
            vcpus=vcpus,
            load=load,
            paused=True,
        )
        domid = domain.domid
        resident = Resident(domid, identity, name, kind, tuple(disks), tuple(interfaces), actions, settings)
        try:
            seed = part.bus.seed(domid)
            part.guests.add(domid, seed, None if behaviour is None else replace(behaviour))
            nodes = domain_nodes(
                domid,
                identity,
                name,
                kind,
                memory_kib=memory_kib,
                max_memory_kib=most,
                vcpus=vcpus,
                disks=resident.disks,
                interfaces=resident.interfaces,
                store=(seed.store_gfn, seed.store_port),
                console=(seed.console_gfn, seed.console_port),
            )
            await self._write(list(nodes))
            self._records.write(domid, identity, name, settings)
            await self._store.introduce(domid, seed.store_gfn, seed.store_port)
        except BaseException:
            part.hypervisor.destroy(domid)
            with contextlib.suppress(XenError):
                await self._clean(resident)
            raise
        self._residents[domid] = resident
        if not paused:
            part.hypervisor.unpause(domid)
        return resident

    async def _destroy(self, resident: Resident) -> None:
        if self._part.hypervisor.find(resident.domid) is not None:
            self._part.hypervisor.destroy(resident.domid)
        await self._clean(
            resident
        )  # without a store it stays a resident, and this is done when there is one again
        self._residents.pop(resident.domid, None)

    async def _clean(self, resident: Resident) -> None:
        """Take its nodes out of the store, as after its end."""
        domid = resident.domid
        self._records.remove(domid, resident.uuid)
        with contextlib.suppress(OperationError):
            await self._store.release(domid)  # unless xenstored has seen its end already
        gone = [f"/local/domain/{domid}", f"/libxl/{domid}"]
        others = [other for other in self._residents.values() if other is not resident]
        if not any(other.uuid == resident.uuid for other in others):
            gone.append(f"/vm/{resident.uuid}")
        # Devices may have come since it was made.
        gone += [f"/local/domain/0/backend/{kind}/{domid}" for kind in ("vbd", "vif", "qdisk")]
        for path in gone:
            with contextlib.suppress(OperationError):
                await self._store.rm(path)

    # --- the end of domains

    def _heard(self, domid: int, change: Change) -> None:
        if change in (Change.STOPPED, Change.DESTROYED) and domid in self._residents:
            self._attend(domid)

    def _attend(self, domid: int) -> None:
        task = asyncio.get_running_loop().create_task(self._ended(domid))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _ended(self, domid: int) -> None:
        """A domain has stopped, or is gone, or may have while nobody looked."""
        async with self._lock:
            resident = self._residents.get(domid)
            if resident is None or self._client is None:
                return
            # Without a store, or a hypervisor: when it is there again, this is done again.
            with contextlib.suppress(XenError):
                domain = self._part.hypervisor.find(domid)
                if domain is None:
                    await self._clean(resident)
                    self._residents.pop(domid, None)
                elif domain.shutdown_code is not None:
                    action = resident.actions.for_code(domain.shutdown_code)
                    if action != "preserve":
                        await self._destroy(resident)
                    if action == "restart":
                        await self._create(resident.name, **resident.settings)

    # --- the store

    @property
    def _store(self) -> StoreClient:
        if self._client is None:
            raise XenError("the simulated host has no Xen Store", channel="store")
        return self._client

    async def _write(self, nodes: Sequence[Node]) -> None:
        """All of them at once, in one transaction: nobody sees half a domain."""

        own = [node for node in nodes if node.permissions]
        inherited = [(node.path, node.value) for node in nodes if not node.permissions]

        async def body(tx: Transaction) -> None:
            # In this order, since a node takes its permissions from its parent when it is made; pipelined.
            steps: list[Coroutine[Any, Any, None]] = []
            for node in own:
                steps += (tx.write(node.path, node.value), tx.set_perms(node.path, node.permissions))
            await asyncio.gather(*steps)
            await tx.write_many(inherited)

        await self._store.transaction(body)
