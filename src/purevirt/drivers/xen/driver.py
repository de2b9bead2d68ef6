"""The contract of `drivers.base`, operation by operation, for a Xen host.

Each operation asks `routes` which channel's answer counts, and takes that one. `_find` and `_find_in_store` find the
domain that is meant (identity: domid and handle); what a channel's answer means is in `hypervisor`, `storeview` and
`devices`.
"""

from __future__ import annotations

from purevirt._typing import TYPE_CHECKING, TypeVar
from purevirt.channels.files import HostFiles
from purevirt.channels.hypercall.client import HypercallClient
from purevirt.channels.xenstore.client import StoreClient
from purevirt.drivers.xen import hypervisor, routes, storeview
from purevirt.drivers.xen.names import NameCache
from purevirt.errors import DomainAmbiguous, NoSuchDevice, NoSuchDomain, Unsupported, XenError
from purevirt.model import Access, Channel, DomainRef, DomainState, DomainStats, StateReason
from purevirt.wire.hypercall.messages import DomainInfo as WireInfo

if TYPE_CHECKING:
    from purevirt.drivers.xen.devices import DeviceReader
    from purevirt.model import (
        BlockDevice,
        BlockStats,
        DomainInfo,
        DomainType,
        HypervisorVersion,
        Interface,
        InterfaceStats,
        NodeInfo,
        NumaCell,
        Route,
        Scheduler,
        Vcpu,
    )

__all__ = ["XenDriver"]

T = TypeVar("T")


class XenDriver:
    """A Xen host, through the channels that `open` found."""

    def __init__(
        self,
        access: Access,
        hypercalls: HypercallClient | None,
        store: StoreClient,
        files: HostFiles,
    ) -> None:
        self.access = access
        self.store = store
        self._hypercalls = hypercalls
        self._files = files
        self._device_reader: DeviceReader | None = None
        self._names = NameCache(store, store.open_watcher)

    async def close(self) -> None:
        """Close every channel."""
        await self._names.close()
        await self.store.close()
        if self._hypercalls is not None:
            await self._hypercalls.close()

    def explain(self) -> tuple[Route, ...]:
        return routes.explain(self.access)

    def _route(self, operation: str) -> Channel:
        return routes.route(operation, self.access)

    @property
    def _devices(self) -> DeviceReader:
        """Loaded when first needed: most programs list, and never ask."""
        if self._device_reader is None:
            from purevirt.drivers.xen.devices import DeviceReader

            self._device_reader = DeviceReader(self.store, self._files)
        return self._device_reader

    @property
    def hypercalls(self) -> HypercallClient:
        """The hypervisor itself, for the daemon's changes; only where the driver was opened with it."""
        return self._hv

    @property
    def _hv(self) -> HypercallClient:
        assert self._hypercalls is not None, "the routing table names a channel that was not opened"
        return self._hypercalls

    # --- the host

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

    # --- domains

    async def list_domains(self) -> list[DomainInfo]:
        if self._route("list_domains") is Channel.HYPERVISOR:
            return await self._measured()
        return await storeview.domain_infos(self.store, await storeview.domain_ids(self.store))

    async def _measured(self) -> list[DomainInfo]:
        """Every domain, from one hypercall and the names."""
        infos = await self._hv.domain_infos()
        names = await self._names.of([(info.domid, info.handle) for info in infos])
        listed = []
        for info, name in zip(infos, names, strict=True):
            if name is None and await self._same(info) is None:
                continue  # it vanished between the two steps
            listed.append(hypervisor.domain_info(info, name))
        return listed

    async def _same(self, info: WireInfo) -> WireInfo | None:
        now = await self._hv.domain_info(info.domid)
        return now if now is not None and now.handle == info.handle else None

    async def count_domains(self) -> int:
        if self._route("count_domains") is Channel.HYPERVISOR:
            return len(await self._hv.domain_infos())
        return len(await storeview.domain_ids(self.store))

    async def lookup_id(self, domid: int) -> DomainRef:
        if self._route("lookup_id") is Channel.HYPERVISOR:
            info = await self._hv.domain_info(domid)
            if info is not None:
                return DomainRef(info.handle, domid, await self._names.one(domid))
        else:
            for known in await storeview.domain_infos(self.store, [domid]):
                return known.ref
        raise NoSuchDomain(f"no domain has the id {domid}", operation="lookup_id", domain=str(domid))

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

    async def lookup_uuid(self, handle: bytes) -> DomainRef:
        if self._route("lookup_uuid") is Channel.HYPERVISOR:
            info = await self._find(DomainRef(handle), "lookup_uuid")
            return DomainRef(handle, info.domid, await self._names.one(info.domid))
        return (await self._find_in_store(DomainRef(handle), "lookup_uuid")).ref

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

    # --- one domain

    async def _find(self, ref: DomainRef, operation: str) -> WireInfo:
        """The active domain that is meant: by its last id if the handle is still the same, else by UUID."""
        handle = ref.handle
        if ref.domid is not None:
            info = await self._hv.domain_info(ref.domid)
            if info is not None and info.handle == handle:
                return info
        found = [info for info in await self._hv.domain_infos() if info.handle == handle]
        return _only(found, [info.domid for info in found], ref, operation)

    async def _find_in_store(self, ref: DomainRef, operation: str) -> DomainInfo:
        if ref.domid is not None:
            for info in await storeview.domain_infos(self.store, [ref.domid]):
                if info.handle == ref.handle:
                    return info
        domids = await storeview.domain_ids(self.store)
        found = [
            info for info in await storeview.domain_infos(self.store, domids) if info.handle == ref.handle
        ]
        return _only(found, [info.domid for info in found], ref, operation)

    async def _active_id(self, ref: DomainRef, operation: str) -> int:
        if self._route(operation) is Channel.STORE:
            domid = (await self._find_in_store(ref, operation)).domid
            assert domid is not None
            return domid
        return (await self._find(ref, operation)).domid

    async def domid(self, ref: DomainRef) -> int | None:
        try:
            return await self._active_id(ref, "domid")
        except NoSuchDomain:
            return None

    async def domain_name(self, ref: DomainRef) -> str | None:
        return await self._names.one(await self._active_id(ref, "domain_name"))

    async def domain_type(self, ref: DomainRef) -> DomainType:
        if self._route("domain_type") is Channel.HYPERVISOR:
            return hypervisor.domain_type(await self._find(ref, "domain_type"))
        kind = (await self._find_in_store(ref, "domain_type")).type
        if kind is None:
            raise Unsupported(
                f"nothing in the Xen Store says which type {_shown(ref)} has",
                operation="domain_type",
                domain=_shown(ref),
                channel="store",
            )
        return kind

    async def domain_state(self, ref: DomainRef) -> tuple[DomainState, StateReason]:
        if self._route("domain_state") is Channel.HYPERVISOR:
            return hypervisor.domain_state(await self._find(ref, "domain_state"))
        await self._find_in_store(ref, "domain_state")
        return DomainState.NOSTATE, StateReason.UNKNOWN

    async def domain_info(self, ref: DomainRef) -> DomainInfo:
        if self._route("domain_info") is Channel.HYPERVISOR:
            info = await self._find(ref, "domain_info")
            return hypervisor.domain_info(info, await self._names.one(info.domid))
        return await self._find_in_store(ref, "domain_info")

    async def max_memory(self, ref: DomainRef) -> int | None:
        if self._route("max_memory") is Channel.HYPERVISOR:
            return hypervisor.domain_info(await self._find(ref, "max_memory"), None).max_memory_kib
        return (await self._find_in_store(ref, "max_memory")).max_memory_kib

    async def vcpus(self, ref: DomainRef) -> tuple[Vcpu, ...]:
        self._route("vcpus")
        return await self._vcpus_of(hypervisor.domain_info(await self._find(ref, "vcpus"), None))

    async def _vcpus_of(self, info: DomainInfo) -> tuple[Vcpu, ...]:
        assert info.domid is not None
        result: list[Vcpu] = []
        for number in range(info.max_vcpus or 0):
            seen = await self._hv.vcpu_info(info.domid, number)
            affinity = None if seen is None else await self._hv.vcpu_affinity(info.domid, number)
            if seen is not None and affinity is not None:
                result.append(hypervisor.vcpu(number, seen, affinity))
        return tuple(result)

    async def block_devices(self, ref: DomainRef) -> tuple[BlockDevice, ...]:
        domid = await self._active_id(ref, "block_devices")
        return (await self._devices.blocks([domid]))[domid]

    async def block_stats(self, ref: DomainRef, target: str) -> BlockStats:
        domid = await self._active_id(ref, "block_stats")
        disk = self._devices.find_block((await self._devices.blocks([domid]))[domid], target)
        if disk is None:
            raise _no_device("disk", target, ref, "block_stats")
        counters = self._devices.block_counters(domid, disk)
        if counters is None:
            raise _no_counters(f"disk {disk.target}", disk.backend_domid, ref, "block_stats")
        return counters

    async def interfaces(self, ref: DomainRef) -> tuple[Interface, ...]:
        domid = await self._active_id(ref, "interfaces")
        return (await self._devices.interfaces([domid]))[domid]

    async def interface_stats(self, ref: DomainRef, device: str) -> InterfaceStats:
        domid = await self._active_id(ref, "interface_stats")
        nic = self._devices.find_interface((await self._devices.interfaces([domid]))[domid], device)
        if nic is None:
            raise _no_device("interface", device, ref, "interface_stats")
        counters = self._devices.interface_counters(nic)
        if counters is None:
            raise _no_counters(f"interface {nic.device}", nic.backend_domid, ref, "interface_stats")
        return counters


def _shown(ref: DomainRef) -> str:
    return ref.name or (str(ref.uuid) if ref.domid is None else str(ref.domid))


def _only(found: list[T], ids: list[int | None], ref: DomainRef, operation: str) -> T:
    if not found:
        raise NoSuchDomain(
            f"domain {_shown(ref)} is not active (any more)", operation=operation, domain=str(ref.uuid)
        )
    if len(found) > 1:
        listed = ", ".join(str(domid) for domid in ids)
        raise DomainAmbiguous(
            f"several active domains have the UUID {ref.uuid}: ids {listed}",
            operation=operation,
            domain=str(ref.uuid),
        )
    return found[0]


def _no_device(kind: str, wanted: str, ref: DomainRef, operation: str) -> XenError:
    return NoSuchDevice(
        f"domain {_shown(ref)} has no {kind} {wanted!r}",
        operation=operation,
        domain=_shown(ref),
        detail=wanted,
    )


def _no_counters(device: str, backend_domid: int, ref: DomainRef, operation: str) -> XenError:
    reason = (
        "its backend keeps none here"
        if backend_domid == 0
        else f"its backend runs in domain {backend_domid}, whose files cannot be read from here"
    )
    return Unsupported(
        f"no counters for {device} of domain {_shown(ref)}: {reason}",
        operation=operation,
        domain=_shown(ref),
        channel="files",
    )
