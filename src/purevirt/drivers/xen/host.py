"""The host itself: which Xen, which machine, how much memory, which scheduler."""

from __future__ import annotations

from purevirt._typing import TYPE_CHECKING
from purevirt.drivers.xen import hypervisor
from purevirt.drivers.xen.connected import Connected
from purevirt.errors import Unsupported
from purevirt.model import Channel

if TYPE_CHECKING:
    from purevirt.model import HypervisorVersion, NodeInfo, NumaCell, Scheduler

__all__ = ["HostReads"]


class HostReads(Connected):
    """What can be asked about the host."""

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

    async def hostname(self) -> str:
        return self._files.hostname()

    async def node_info(self) -> NodeInfo:
        from purevirt.drivers.xen import node
        from purevirt.model.node import NodeInfo

        machine, cpu = self._files.machine(), self._files.cpu()
        if self._route("node_info") is Channel.HYPERVISOR:
            return node.node_info(await self._hv.physinfo(), machine, cpu.model)
        mhz = None if cpu.mhz is None else int(cpu.mhz)
        return NodeInfo(machine, cpu.model, None, None, mhz, None, None, None, None)

    async def free_memory(self) -> int:
        self._route("free_memory")
        return (await self._hv.physinfo()).free_pages * hypervisor.KIB_PER_PAGE

    async def numa_cells(self) -> tuple[NumaCell, ...]:
        from purevirt.drivers.xen import node

        self._route("numa_cells")
        return node.numa_cells(await self._hv.numa_info(), await self._hv.cpu_topology())

    async def scheduler(self) -> Scheduler:
        from purevirt.model.node import Scheduler

        self._route("scheduler")
        number = await self._hv.sched_id()
        return Scheduler(number, self._hv.scheduler_name(number))
