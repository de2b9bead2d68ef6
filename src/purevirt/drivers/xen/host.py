"""The host itself: which Xen, which machine, how much memory, which scheduler."""

from __future__ import annotations

from purevirt._typing import TYPE_CHECKING
from purevirt.drivers.xen import hypervisor, storeview
from purevirt.drivers.xen.connected import Connected, served
from purevirt.errors import Unsupported
from purevirt.model import Channel

if TYPE_CHECKING:
    from purevirt.model import Caller, CpuPool, HypervisorVersion, NodeInfo, NumaCell, Scheduler

__all__ = ["HostReads"]


class HostReads(Connected):
    """What can be asked about the host."""

    @served
    async def version(self) -> HypervisorVersion:
        from purevirt.model.node import HypervisorVersion

        if self._route("version") is Channel.HYPERVISOR:
            major, minor = self._hv.xen_version
            versions = self._hv.interface
            return HypervisorVersion(
                major,
                minor,
                await self._hv.extraversion(),
                versions.sysctl,
                versions.domctl,
                versions.verified,
            )
        version = self._files.hypervisor_version()
        if version is None:
            raise Unsupported(
                "the kernel shows no /sys/hypervisor/version", operation="version", channel="files"
            )
        return HypervisorVersion(version.major, version.minor, version.extra)

    @served
    async def hostname(self) -> str:
        return self._files.hostname()

    @served
    async def node_info(self) -> NodeInfo:
        from purevirt.drivers.xen import node
        from purevirt.model.node import NodeInfo

        machine, cpu = self._files.machine(), self._files.cpu()
        if self._route("node_info") is Channel.HYPERVISOR:
            return node.node_info(await self._hv.physinfo(), machine, cpu.model)
        mhz = None if cpu.mhz is None else int(cpu.mhz)
        return NodeInfo(machine, cpu.model, None, None, mhz, None, None, None, None)

    @served
    async def free_memory(self) -> int:
        self._route("free_memory")
        return (await self._hv.physinfo()).free_pages * hypervisor.KIB_PER_PAGE

    @served
    async def numa_cells(self) -> tuple[NumaCell, ...]:
        from purevirt.drivers.xen import node

        self._route("numa_cells")
        return node.numa_cells(await self._hv.numa_info(), await self._hv.cpu_topology())

    @served
    async def scheduler(self) -> Scheduler:
        from purevirt.model.node import Scheduler

        self._route("scheduler")
        number = await self._hv.sched_id()
        return Scheduler(number, self._hv.scheduler_name(number))

    @served
    async def cpupools(self) -> tuple[CpuPool, ...]:
        from purevirt.drivers.xen import storepaths
        from purevirt.model.scheduling import CpuPool

        self._route("cpupools")
        pools = await self._hv.cpupools()
        names = await self.store.read_many([storepaths.pool_name(pool.pool) for pool in pools])
        return tuple(
            CpuPool(
                pool.pool,
                storeview.decode_text(name),
                self._hv.scheduler_name(pool.sched_id),
                pool.domains,
                tuple(sorted(pool.cpus)),
            )
            for pool, name in zip(pools, names, strict=True)
        )

    @served
    async def dmesg(self) -> str:
        self._route("dmesg")
        return (await self._hv.read_console()).decode("utf-8", "replace")

    async def whoami(self) -> Caller:
        self._route("whoami")
        caller: Caller = await self.daemon.call("whoami")
        return caller
