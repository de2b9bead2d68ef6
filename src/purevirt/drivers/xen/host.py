"""The host itself: which Xen, which machine, how much memory, which scheduler, and which guests it can run."""

from __future__ import annotations

from purevirt._typing import TYPE_CHECKING
from purevirt.drivers.xen import hypervisor, storeview
from purevirt.drivers.xen.connected import Connected, served
from purevirt.errors import Unsupported
from purevirt.model import Channel

if TYPE_CHECKING:
    from purevirt.drivers.xen.capabilities import Tools
    from purevirt.model import (
        Caller,
        Capabilities,
        CpuPool,
        DomainCapabilities,
        DomainType,
        HypervisorVersion,
        NodeInfo,
        NumaCell,
        Scheduler,
    )

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

    @served
    async def capabilities(self) -> Capabilities:
        from purevirt.drivers.xen import capabilities, node
        from purevirt.model.capabilities import Capabilities

        machine, vendor = self._files.machine(), self._files.cpu().vendor
        if self._route("capabilities") is not Channel.HYPERVISOR:
            version, words = self._files.hypervisor_version(), self._files.property("capabilities")
            if version is None or words is None:
                raise Unsupported(
                    "the kernel shows no /sys/hypervisor/properties/capabilities",
                    operation="capabilities",
                    channel="files",
                )
            tools = self._tools((version.major, version.minor))
            return Capabilities(
                capabilities.host_seen(machine, vendor), capabilities.guests(words, None, tools)
            )
        info, topology = await self._hv.physinfo(), await self._hv.cpu_topology()
        cells = node.numa_cells(await self._hv.numa_info(), topology)
        words = await self._hv.capabilities()
        return Capabilities(
            capabilities.host(info, cells, topology, machine, vendor),
            capabilities.guests(words, info.capabilities, self._tools(self._hv.xen_version)),
        )

    @served
    async def domain_capabilities(
        self, kind: DomainType | None = None, arch: str | None = None
    ) -> DomainCapabilities:
        from purevirt.channels.files.installed import DEVICE_MODELS
        from purevirt.drivers.xen import capabilities

        self._route("domain_capabilities")
        known = await self.capabilities()
        tools = self._tools(self._hv.xen_version)
        return capabilities.domain_capabilities(known, kind, arch, tools, DEVICE_MODELS[0])

    def _tools(self, version: tuple[int, int]) -> Tools:
        from purevirt.drivers.xen.capabilities import Tools

        files, release = self._files, f"{version[0]}.{version[1]}"
        return Tools(files.device_model(release), files.hvm_loader(release), files.ovmf(release))

    async def whoami(self) -> Caller:
        self._route("whoami")
        caller: Caller = await self.daemon.call("whoami")
        return caller
