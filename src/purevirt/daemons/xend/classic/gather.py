"""What an answer shows, gathered from the supervisor with the caller's identity.

A listing with details is asked for again and again by old clients (they had no events). What the hypervisor says of
every domain in one hypercall is read for each: state, CPU time, memory. What takes requests for each domain (its
devices, scheduler parameters and pinning) is read again when it is older than `keep` seconds, when a domain is new, or
when this face changed something: so in a *listing*, and only there, those may lag by that time if somebody else changed
them. The expression of one domain is read whole, always.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import NamedTuple, cast

from purevirt.daemons.xend.contract import Calls
from purevirt.errors import NoSuchDomain, Unsupported
from purevirt.formats.xend_sxpr import Image, XendDomain, disk, nic
from purevirt.model import (
    BlockDevice,
    DomainInfo,
    DomainRef,
    DomainStats,
    DomainType,
    Interface,
    NodeInfo,
    Vcpu,
    VcpuState,
)
from purevirt.model.access import Caller
from purevirt.model.scheduling import CpuPool, SchedulerParameters

__all__ = ["Facts", "Reads", "Template"]


class Reads:
    """The supervisor's reads, typed, for one caller."""

    def __init__(self, calls: Calls, caller: Caller) -> None:
        self.calls = calls
        self.caller = caller

    async def call(
        self,
        operation: str,
        domain: DomainRef | None = None,
        arguments: Mapping[str, object] | None = None,
        timeout: float | None = None,
    ) -> object:
        """Any operation."""
        return await self.calls.call(self.caller, operation, domain, arguments or {}, timeout)

    async def domains(self) -> list[DomainInfo]:
        return cast(list[DomainInfo], await self.call("list_domains"))

    async def domain(self, ref: DomainRef) -> DomainInfo:
        return cast(DomainInfo, await self.call("domain_info", ref))

    async def stats(self) -> list[DomainStats]:
        groups = frozenset({"vcpu", "block", "interface"})
        return cast(list[DomainStats], await self.call("domain_stats", None, {"groups": groups}))

    async def vcpus(self, ref: DomainRef) -> tuple[Vcpu, ...]:
        return cast(tuple[Vcpu, ...], await self.call("vcpus", ref))

    async def disks(self, ref: DomainRef) -> tuple[BlockDevice, ...]:
        return cast(tuple[BlockDevice, ...], await self.call("block_devices", ref))

    async def nics(self, ref: DomainRef) -> tuple[Interface, ...]:
        return cast(tuple[Interface, ...], await self.call("interfaces", ref))

    async def scheduler(self, ref: DomainRef) -> SchedulerParameters | None:
        """None: the host's scheduler has no such parameters."""
        try:
            return cast(SchedulerParameters, await self.call("scheduler_parameters", ref))
        except Unsupported:
            return None

    async def pools(self) -> tuple[CpuPool, ...]:
        try:
            return cast(tuple[CpuPool, ...], await self.call("cpupools"))
        except Unsupported:
            return ()

    async def node(self) -> NodeInfo:
        return cast(NodeInfo, await self.call("node_info"))


class Template(NamedTuple):
    """What is shown of a domain beside its info."""

    scheduler: SchedulerParameters | None
    cpus: tuple[tuple[int, ...], ...] | None
    vcpu_avail: int | None
    disks: tuple[BlockDevice, ...]
    nics: tuple[Interface, ...]


_NOTHING = Template(None, None, None, (), ())
_Key = tuple[int | None, bytes]


class Facts:
    """What is shown of domains. `keep`: how long what costs a request per domain is kept, in seconds; 0: not at all.

    Whoever may list domains may see all of it: every read behind it takes the same role.
    """

    def __init__(self, calls: Calls, keep: float = 1.0) -> None:
        self._calls = calls
        self._keep = keep
        self._kept: dict[_Key, XendDomain] = {}
        self._read_at = float("-inf")
        self._reading: asyncio.Task[dict[_Key, XendDomain]] | None = None

    def forget(self) -> None:
        """Something was changed: read all of it again for the next listing."""
        self._read_at = float("-inf")
        self._reading = None  # what is being read now is for those who asked for it before

    async def one(self, caller: Caller, info: DomainInfo) -> XendDomain:
        """Everything of one domain, as it is now. NoSuchDomain if it is gone by now."""
        reads, ref = Reads(self._calls, caller), info.ref
        info = await reads.domain(ref)
        cpus = (await reads.node()).cpus
        vcpus = await reads.vcpus(ref)
        template = Template(
            await reads.scheduler(ref),
            _pinning(info, vcpus, cpus),
            _available(vcpus),
            await reads.disks(ref),
            await reads.nics(ref),
        )
        return _shown(info, template, await reads.pools())

    async def all(self, caller: Caller, infos: list[DomainInfo]) -> list[XendDomain]:
        """The same of many. Of one that went meanwhile, or is being torn down, what its info says."""
        now = asyncio.get_running_loop().time()
        kept = self._kept
        if now - self._read_at >= self._keep or any((info.domid, info.handle) not in kept for info in infos):
            kept = await self._read_once(Reads(self._calls, caller), infos, now)
        found: list[XendDomain] = []
        for info in infos:
            known = kept.get((info.domid, info.handle))
            if known is None:
                found.append(_shown(info, _NOTHING, ()))
            else:
                found.append(known._replace(info=_limited(info)))
        return found

    async def _read_once(self, reads: Reads, infos: list[DomainInfo], now: float) -> dict[_Key, XendDomain]:
        """Read all of it; who comes while somebody else is doing so waits for the same."""
        task = self._reading
        if task is None:
            task = self._reading = asyncio.ensure_future(self._read(reads, infos))

            def done(task: asyncio.Task[dict[_Key, XendDomain]]) -> None:
                good = not task.cancelled() and task.exception() is None
                if self._reading is task:
                    self._reading = None
                    if good:
                        self._kept, self._read_at = task.result(), now

            task.add_done_callback(done)
        return await asyncio.shield(task)

    async def _read(self, reads: Reads, infos: list[DomainInfo]) -> dict[_Key, XendDomain]:
        cpus, pools = (await reads.node()).cpus, await reads.pools()
        kept = {(info.domid, info.handle): _shown(info, _NOTHING, pools) for info in infos}
        for stats in await reads.stats():
            info, vcpus = stats.info, stats.vcpus
            try:
                scheduler = await reads.scheduler(info.ref)
            except NoSuchDomain:
                scheduler = None
            template = Template(
                scheduler,
                None if vcpus is None else _pinning(info, vcpus, cpus),
                None if vcpus is None else _available(vcpus),
                tuple(device for device, _ in stats.blocks or ()),
                tuple(device for device, _ in stats.interfaces or ()),
            )
            kept[info.domid, info.handle] = _shown(info, template, pools)
        return kept


def _pinning(info: DomainInfo, vcpus: tuple[Vcpu, ...], cpus: int | None) -> tuple[tuple[int, ...], ...]:
    """The CPUs of each vCPU. A vCPU that may run anywhere has none, but for Domain 0's, as in the old xend."""
    everywhere = frozenset(range(cpus or 0))
    pinned: list[tuple[int, ...]] = []
    for vcpu in vcpus:
        free = info.domid != 0 and bool(everywhere) and vcpu.hard_affinity >= everywhere
        pinned.append(() if free else tuple(sorted(vcpu.hard_affinity)))
    return tuple(pinned)


def _available(vcpus: tuple[Vcpu, ...]) -> int:
    return sum(1 << vcpu.number for vcpu in vcpus if vcpu.state is not VcpuState.OFFLINE)


_BUILT: tuple[tuple[str, str | int], ...] = (
    ("kernel", ""),
    ("superpages", 0),
    ("nomigrate", 0),
    ("tsc_mode", 0),
)


def _shown(info: DomainInfo, template: Template, pools: tuple[CpuPool, ...]) -> XendDomain:
    """Whoever made a domain took its kernel and its on_… actions along: such a domain is shown as the old xend showed
    those that it found and did not make. The actions are shown for Domain 0 only, for which they never mattered."""
    scheduler = template.scheduler
    pool = next((pool.name for pool in pools if pool.id == info.cpupool), None)
    host = info.domid == 0
    image = None
    if info.type is not None:
        image = Image("linux" if info.type is DomainType.PV else "hvm", _BUILT)
    return XendDomain(
        _limited(info),
        cpu_weight=None if scheduler is None else scheduler.weight,
        cpu_cap=None if scheduler is None else scheduler.cap or 0,
        pool_name=pool,
        cpus=template.cpus,
        on_poweroff="destroy" if host else None,
        on_reboot="restart" if host else None,
        on_crash="restart" if host else None,
        shadow_memory=0 if info.type is DomainType.PV else None,
        vcpu_avail=template.vcpu_avail,
        image=image,
        devices=(*map(nic, template.nics), *map(disk, template.disks)),
    )


def _limited(info: DomainInfo) -> DomainInfo:
    """Domain 0 may be without a limit, and xend always showed one: what it has."""
    if info.domid == 0 and info.max_memory_kib is None:
        return info._replace(max_memory_kib=info.memory_kib)
    return info
