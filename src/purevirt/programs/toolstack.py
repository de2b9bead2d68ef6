"""What `xl` is on a real host: builds and ends the domains of a simulated one.

It asks the hypervisor, writes the store through an ordinary client, in one transaction per domain, and leaves the files
that the backends' drivers would. Runs on the host's own thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID, uuid4

from purevirt.channels.xenstore.client import StoreClient, Transaction
from purevirt.errors import DomainExists, NoSuchDomain
from purevirt.host.dom0files import Dom0Files
from purevirt.host.hypervisor import Hypervisor
from purevirt.host.storenodes import Disk, Interface, Node, disk_number, domain_0_nodes, domain_nodes

__all__ = ["Resident", "Toolstack"]


class Resident:
    """A domain of a simulated host, as the one who made it knows it."""

    __slots__ = ("disks", "domid", "interfaces", "name", "type", "uuid")

    def __init__(
        self,
        domid: int,
        uuid: UUID,
        name: str,
        kind: str,
        disks: tuple[Disk, ...],
        interfaces: tuple[Interface, ...],
    ) -> None:
        self.domid, self.uuid, self.name, self.type = domid, uuid, name, kind
        self.disks, self.interfaces = disks, interfaces

    def __repr__(self) -> str:
        return f"<Resident {self.domid} {self.name!r}>"


class Toolstack:
    """Builds, renames and ends domains."""

    def __init__(self, hypervisor: Hypervisor, store: StoreClient, files: Dom0Files) -> None:
        self._hypervisor = hypervisor
        self._store = store
        self._files = files
        self._residents: dict[int, Resident] = {}

    async def boot(self) -> None:
        """What is there before any guest: Domain 0, a little busy, and its own nodes."""
        self._hypervisor.set_load(0, 0.05)
        await self._write(list(domain_0_nodes()))

    def find(self, which: str | int) -> Resident:
        """By name or id. NoSuchDomain."""
        for resident in self._residents.values():
            if which in (resident.name, resident.domid):
                return resident
        raise NoSuchDomain(f"the simulated host has no domain {which!r}", domain=str(which))

    async def create(
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
    ) -> Resident:
        """Build a domain and let it run. DomainExists, NoMemory; ValueError for what no domain may be."""
        if any(resident.name == name for resident in self._residents.values()):
            raise DomainExists(f"the simulated host has a domain {name!r} already", domain=name)
        identity = uuid4() if uuid is None else UUID(str(uuid))
        for disk in disks:
            disk_number(disk.target)
        most = memory_kib if max_memory_kib is None else max_memory_kib
        domain = self._hypervisor.create_domain(
            handle=identity,
            kind=kind,
            memory_kib=memory_kib,
            max_memory_kib=most,
            vcpus=vcpus,
            load=load,
            paused=True,
        )
        resident = Resident(domain.domid, identity, name, kind, tuple(disks), tuple(interfaces))
        nodes = domain_nodes(
            domain.domid,
            identity,
            name,
            kind,
            memory_kib=memory_kib,
            max_memory_kib=most,
            vcpus=vcpus,
            disks=resident.disks,
            interfaces=resident.interfaces,
        )
        try:
            await self._write(list(nodes))
            await self._store.introduce(domain.domid, 1, 1)
        except BaseException:
            self._hypervisor.destroy(domain.domid)
            raise
        for disk in disks:
            self._files.add_vbd(domain.domid, disk_number(disk.target))
        for number in range(len(resident.interfaces)):
            self._files.add_vif(domain.domid, number)
        self._residents[domain.domid] = resident
        if not paused:
            self._hypervisor.unpause(domain.domid)
        return resident

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
        resident = self.find(which)
        domid = resident.domid
        del self._residents[domid]
        self._hypervisor.destroy(domid)
        await self._store.release(domid)
        gone = [f"/local/domain/{domid}", f"/vm/{resident.uuid}", f"/libxl/{domid}"]
        gone += [f"/local/domain/0/backend/vbd/{domid}"] if resident.disks else []
        gone += [f"/local/domain/0/backend/vif/{domid}"] if resident.interfaces else []
        for path in gone:
            await self._store.rm(path)
        for disk in resident.disks:
            self._files.remove_vbd(domid, disk_number(disk.target))
        for number in range(len(resident.interfaces)):
            self._files.remove_vif(domid, number)

    async def rename(self, which: str | int, name: str) -> None:
        """Give a domain another name."""
        resident = self.find(which)

        async def body(tx: Transaction) -> None:
            await tx.write_many(
                [(f"/local/domain/{resident.domid}/name", name), (f"/vm/{resident.uuid}/name", name)]
            )

        await self._store.transaction(body)
        resident.name = name

    async def _write(self, nodes: Sequence[Node]) -> None:
        """All of them at once, in one transaction: nobody sees half a domain."""

        async def body(tx: Transaction) -> None:
            await tx.write_many([(node.path, node.value) for node in nodes])
            for node in nodes:
                if node.permissions:
                    await tx.set_perms(node.path, node.permissions)

        await self._store.transaction(body)
