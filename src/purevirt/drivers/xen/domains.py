"""Domains: all of them in one look, or one of them. What a channel's answer means: `hypervisor`, `storeview`."""

from __future__ import annotations

from purevirt._typing import TYPE_CHECKING
from purevirt.drivers.xen import hypervisor, storeview
from purevirt.drivers.xen.connected import Connected, served, shown
from purevirt.errors import DomainAmbiguous, NoSuchDomain, Unsupported
from purevirt.model import Channel, DomainRef, DomainState, DomainStats, StateReason
from purevirt.wire.hypercall.messages import DomainInfo as WireInfo

if TYPE_CHECKING:
    from purevirt.model import DomainInfo, DomainType, SchedulerParameters, Vcpu

__all__ = ["DomainReads"]


class DomainReads(Connected):
    """What can be asked about domains."""

    # --- all of them

    @served
    async def list_domains(self) -> list[DomainInfo]:
        if self._route("list_domains") is Channel.HYPERVISOR:
            return await self._measured()
        return await storeview.domain_infos(self.store, await storeview.domain_ids(self.store))

    async def _measured(self) -> list[DomainInfo]:
        """Every domain, from one hypercall and the names."""
        infos = await self._hv.domain_infos()
        names = await self._name_cache.of([(info.domid, info.handle) for info in infos])
        listed = []
        for info, name in zip(infos, names, strict=True):
            if name is None and await self._same(info) is None:
                continue  # it vanished between the two steps
            listed.append(hypervisor.domain_info(info, name))
        return listed

    async def _same(self, info: WireInfo) -> WireInfo | None:
        now = await self._hv.domain_info(info.domid)
        return now if now is not None and now.handle == info.handle else None

    @served
    async def count_domains(self) -> int:
        if self._route("count_domains") is Channel.HYPERVISOR:
            return len(await self._hv.domain_infos())
        return len(await storeview.domain_ids(self.store))

    @served
    async def lookup_id(self, domid: int) -> DomainRef:
        if self._route("lookup_id") is Channel.HYPERVISOR:
            info = await self._hv.domain_info(domid)
            if info is not None:
                return DomainRef(info.handle, domid, await self._name_cache.one(domid))
        else:
            for known in await storeview.domain_infos(self.store, [domid]):
                return known.ref
        raise NoSuchDomain(f"no domain has the id {domid}", operation="lookup_id", domain=str(domid))

    @served
    async def lookup_name(self, name: str) -> DomainRef:
        self._route("lookup_name")
        found = [info.ref for info in await self.list_domains() if info.name == name]
        if not found:
            raise NoSuchDomain(f"no domain is named {name!r}", operation="lookup_name", domain=name)
        if len(found) > 1:
            ids = ", ".join(str(ref.domid) for ref in found)
            raise DomainAmbiguous(
                f"several domains are named {name!r}: ids {ids}", operation="lookup_name", domain=name
            )
        return found[0]

    @served
    async def lookup_uuid(self, handle: bytes) -> DomainRef:
        if self._route("lookup_uuid") is Channel.HYPERVISOR:
            info = await self._find(DomainRef(handle), "lookup_uuid")
            return DomainRef(handle, info.domid, await self._name_cache.one(info.domid))
        return (await self._find_in_store(DomainRef(handle), "lookup_uuid")).ref

    @served
    async def domain_stats(self, groups: frozenset[str]) -> list[DomainStats]:
        measured = self._route("domain_stats") is Channel.HYPERVISOR
        infos = await self.list_domains()
        domids = [info.domid for info in infos if info.domid is not None]
        blocks = await self._devices.blocks(domids) if "block" in groups else None
        nics = await self._devices.interfaces(domids) if "interface" in groups else None
        result: list[DomainStats] = []
        for info in infos:
            assert info.domid is not None
            try:
                cpus = await self._vcpus_of(info) if measured and "vcpu" in groups else None
            except NoSuchDomain:
                continue
            result.append(
                DomainStats(
                    info,
                    cpus,
                    None
                    if blocks is None
                    else tuple(
                        (disk, self._devices.block_counters(info.domid, disk)) for disk in blocks[info.domid]
                    ),
                    None
                    if nics is None
                    else tuple((nic, self._devices.interface_counters(nic)) for nic in nics[info.domid]),
                )
            )
        return result

    # --- one of them

    @served
    async def domid(self, ref: DomainRef) -> int | None:
        try:
            return await self._active_id(ref, "domid")
        except NoSuchDomain:
            return None

    @served
    async def domain_name(self, ref: DomainRef) -> str | None:
        return await self._name_cache.one(await self._active_id(ref, "domain_name"))

    @served
    async def domain_type(self, ref: DomainRef) -> DomainType:
        if self._route("domain_type") is Channel.HYPERVISOR:
            return hypervisor.domain_type(await self._find(ref, "domain_type"))
        kind = (await self._find_in_store(ref, "domain_type")).type
        if kind is None:
            raise Unsupported(
                f"nothing in the Xen Store says which type {shown(ref)} has",
                operation="domain_type",
                domain=shown(ref),
                channel="store",
            )
        return kind

    @served
    async def domain_state(self, ref: DomainRef) -> tuple[DomainState, StateReason]:
        if self._route("domain_state") is Channel.HYPERVISOR:
            return hypervisor.domain_state(await self._find(ref, "domain_state"))
        await self._find_in_store(ref, "domain_state")
        return DomainState.NOSTATE, StateReason.UNKNOWN

    @served
    async def domain_info(self, ref: DomainRef) -> DomainInfo:
        if self._route("domain_info") is Channel.HYPERVISOR:
            info = await self._find(ref, "domain_info")
            return hypervisor.domain_info(info, await self._name_cache.latest((info.domid, info.handle)))
        return await self._find_in_store(ref, "domain_info")

    @served
    async def max_memory(self, ref: DomainRef) -> int | None:
        if self._route("max_memory") is Channel.HYPERVISOR:
            return hypervisor.domain_info(await self._find(ref, "max_memory"), None).max_memory_kib
        return (await self._find_in_store(ref, "max_memory")).max_memory_kib

    @served
    async def vcpus(self, ref: DomainRef) -> tuple[Vcpu, ...]:
        self._route("vcpus")
        return await self._vcpus_of(hypervisor.domain_info(await self._find(ref, "vcpus"), None))

    @served
    async def scheduler_parameters(self, ref: DomainRef) -> SchedulerParameters:
        from purevirt.model.scheduling import SchedulerParameters

        domid = await self._active_id(ref, "scheduler_parameters")
        scheduler = self._hv.scheduler_name(await self._hv.domain_scheduler(domid))
        return SchedulerParameters(scheduler, *await self._hv.sched_parameters(domid))

    async def _vcpus_of(self, info: DomainInfo) -> tuple[Vcpu, ...]:
        assert info.domid is not None
        result: list[Vcpu] = []
        for number in range(info.max_vcpus or 0):
            seen = await self._hv.vcpu_info(info.domid, number)
            affinity = None if seen is None else await self._hv.vcpu_affinity(info.domid, number)
            if seen is not None and affinity is not None:
                result.append(hypervisor.vcpu(number, seen, affinity))
        return tuple(result)
