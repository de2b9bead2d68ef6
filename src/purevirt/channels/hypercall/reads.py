"""What a hypervisor can be asked: a method for each hypercall that looks.

A domain may vanish between any two calls. What asks about one domain says so with None (`domain_info`) or
NoSuchDomain (the others).

All methods raise Denied (EPERM, EACCES), Unsupported (ENOSYS, EOPNOTSUPP), NoMemory, HypercallError with its
errno for the rest, and what the transport raises. `timeout` is in seconds, for the whole method.

Neighbours: `probing` finds out how this Xen is spoken to; `client` adds what changes something; `wire.hypercall.calls`
knows the bytes.
"""

from __future__ import annotations

import errno

from purevirt import errors
from purevirt._typing import Self
from purevirt.channels.hypercall.probing import find_interface
from purevirt.channels.hypercall.transport import CHANNEL, Deadline, Transport, check, check_domid, checked
from purevirt.wire.hypercall import calls
from purevirt.wire.hypercall.errnos import exception_of
from purevirt.wire.hypercall.messages import (
    CompileInfo,
    CpuPoolInfo,
    CpuTopology,
    DomainInfo,
    NumaNode,
    PhysInfo,
    VcpuAffinity,
    VcpuInfo,
)
from purevirt.wire.hypercall.numbers import (
    DOMID_FIRST_RESERVED,
    INVALID_ID,
    SCHEDULERS,
    WEIGHING,
    Xenver,
)
from purevirt.wire.hypercall.structs import GETDOMAININFO
from purevirt.wire.hypercall.values import Answer, Hypercall, Layout
from purevirt.wire.hypercall.versions import Interface

__all__ = ["OPEN_TIMEOUT", "READ_TIMEOUT", "HypercallReads"]

OPEN_TIMEOUT = 5.0
READ_TIMEOUT = 10.0

_FIRST_ROOM = 256  # domains that a first listing has room for: one call on nearly every host, 28 KiB
_CONSOLE_ROOM = 1 << 15
MAX_VCPU = 0x7FFF  # more than any Xen has; what is beyond would not fit the field
_DENIED = "<denied>"  # what Xen puts in place of a text that its policy hides


class HypercallReads:
    """A hypervisor whose interface versions are known, to look at. Made by `open`.

    `client.HypercallClient` can change it as well.
    """

    __slots__ = ("_room", "_transport", "interface", "xen_version")

    def __init__(self, transport: Transport, interface: Interface) -> None:
        self._transport = transport
        self._room = _FIRST_ROOM
        self.interface = interface
        """The versions it answers to, and how far they are known (`Interface.verified`)."""
        self.xen_version: tuple[int, int] = interface.release
        """(major, minor), as XENVER_version says."""

    @classmethod
    async def open(cls, transport: Transport, *, timeout: float | None = OPEN_TIMEOUT) -> Self:
        """Find the interface versions. The transport is the caller's to close if this raises.

        Denied: this domain is not privileged. Unsupported: no known version is answered.
        """
        return cls(transport, await find_interface(transport, timeout))

    async def close(self) -> None:
        """Close the transport."""
        self._transport.close()

    def _space(self) -> Layout:
        return Layout(self._transport.base, self._transport.capacity)

    async def _call(
        self, hypercall: Hypercall, operation: str, timeout: float | None, domain: int | None = None
    ) -> Answer:
        return await checked(self._transport, hypercall, operation, timeout, domain)

    # --- what this Xen is

    async def version(self, *, timeout: float | None = READ_TIMEOUT) -> tuple[int, int]:
        """(major, minor)."""
        answer = await self._call(calls.version_number(Xenver.VERSION), "version", timeout)
        return answer.value >> 16, answer.value & 0xFFFF

    async def pagesize(self, *, timeout: float | None = READ_TIMEOUT) -> int:
        """Bytes."""
        return (await self._call(calls.version_number(Xenver.PAGESIZE), "pagesize", timeout)).value

    async def extraversion(self, *, timeout: float | None = READ_TIMEOUT) -> str:
        """What follows major and minor: ".4-pre". Denied if Xen's policy hides it, as for the next three."""
        return await self._text(Xenver.EXTRAVERSION, "extraversion", timeout)

    async def capabilities(self, *, timeout: float | None = READ_TIMEOUT) -> str:
        """Which guests it can run, as words: "xen-3.0-x86_64 hvm-3.0-x86_64 …"."""
        return await self._text(Xenver.CAPABILITIES, "capabilities", timeout)

    async def changeset(self, *, timeout: float | None = READ_TIMEOUT) -> str:
        """The commit it was built from, as its builder recorded it."""
        return await self._text(Xenver.CHANGESET, "changeset", timeout)

    async def commandline(self, *, timeout: float | None = READ_TIMEOUT) -> str:
        """What it was booted with."""
        return await self._text(Xenver.COMMANDLINE, "commandline", timeout)

    async def _text(self, which: Xenver, operation: str, timeout: float | None) -> str:
        text = calls.version_text_answer(
            await self._call(calls.version_text(self._space(), which), operation, timeout)
        )
        if text == _DENIED:
            raise errors.Denied(
                f"{operation}: the hypervisor's policy hides it", operation=operation, channel=CHANNEL
            )
        return text

    async def compile_info(self, *, timeout: float | None = READ_TIMEOUT) -> CompileInfo:
        """Who built it, when and with what."""
        call = calls.compile_info(self._space(), self.interface)
        return calls.compile_info_answer(await self._call(call, "compile_info", timeout), self.interface)

    async def platform_parameters(self, *, timeout: float | None = READ_TIMEOUT) -> int:
        """Where the hypervisor's own virtual addresses start (for PV guests)."""
        call = calls.platform_parameters(self._space(), self.interface)
        answer = await self._call(call, "platform_parameters", timeout)
        return calls.platform_parameters_answer(answer, self.interface)

    async def features(self, *, timeout: float | None = READ_TIMEOUT) -> int:
        """What this domain may use: a bit for each name in `wire.hypercall.numbers.FEATURES`."""
        call = calls.features(self._space(), self.interface)
        return calls.features_answer(await self._call(call, "features", timeout), self.interface)

    async def build_id(self, *, timeout: float | None = READ_TIMEOUT) -> bytes | None:
        """The linker's build id; None if this Xen was linked without one."""
        call = calls.build_id(self._space(), self.interface)
        answer = await self._transport.call(call, timeout)
        if answer.value == -errno.ENODATA:
            return None
        return calls.build_id_answer(check(answer, "build_id"), self.interface)

    # --- the host

    async def physinfo(self, *, timeout: float | None = READ_TIMEOUT) -> PhysInfo:
        """CPUs, NUMA nodes, memory."""
        call = calls.phys_info(self._space(), self.interface)
        return calls.phys_info_answer(await self._call(call, "physinfo", timeout), self.interface)

    async def sched_id(self, *, timeout: float | None = READ_TIMEOUT) -> int:
        """The scheduler of Domain 0's CPU pool, as a number."""
        call = calls.sched_id(self._space(), self.interface)
        return calls.sched_id_answer(await self._call(call, "sched_id", timeout), self.interface)

    @staticmethod
    def scheduler_name(number: int) -> str:
        """A scheduler's name by its number ("credit2"); the number as text if it is unknown."""
        return SCHEDULERS.get(number, str(number))

    async def avail_heap(
        self,
        node: int = -1,
        *,
        min_bitwidth: int = 0,
        max_bitwidth: int = 0,
        timeout: float | None = READ_TIMEOUT,
    ) -> int:
        """Free bytes of a NUMA node (-1: of all), of those with addresses of so many bits (0: any)."""
        call = calls.avail_heap(self._space(), self.interface, node, min_bitwidth, max_bitwidth)
        return calls.avail_heap_answer(await self._call(call, "avail_heap", timeout), self.interface)

    async def cpupools(self, *, timeout: float | None = READ_TIMEOUT) -> list[CpuPoolInfo]:
        """Every CPU pool, by id."""
        deadline, pools, first = Deadline(timeout), list[CpuPoolInfo](), 0
        while first <= INVALID_ID:
            call = calls.cpu_pool(self._space(), self.interface, first)
            answer = await self._transport.call(call, deadline.left())
            if answer.value == -errno.ENOENT:
                break
            pools.append(calls.cpu_pool_answer(check(answer, "cpupools"), self.interface))
            first = max(first, pools[-1].pool) + 1
        return pools

    async def cpu_info(self, *, timeout: float | None = READ_TIMEOUT) -> list[int]:
        """Idle time of each physical CPU since boot, in ns."""
        deadline, room = Deadline(timeout), 256
        while True:
            call = calls.cpu_info(self._space(), self.interface, room)
            answer = await self._call(call, "cpu_info", deadline.left())
            idle = calls.cpu_info_answer(answer, self.interface)
            if len(idle) < room:
                return idle
            room *= 8

    async def cpu_topology(self, *, timeout: float | None = READ_TIMEOUT) -> list[CpuTopology]:
        """Core, socket and NUMA node of each physical CPU."""
        deadline, room = Deadline(timeout), 256
        while True:
            call = calls.cpu_topology(self._space(), self.interface, room)
            answer = await self._call(call, "cpu_topology", deadline.left())
            count, cpus = calls.cpu_topology_answer(answer, self.interface)
            if len(cpus) == count:
                return cpus
            room = count

    async def numa_info(self, *, timeout: float | None = READ_TIMEOUT) -> list[NumaNode]:
        """Memory and distances of each NUMA node."""
        deadline, room = Deadline(timeout), 16
        while True:
            call = calls.numa_info(self._space(), self.interface, room)
            answer = await self._call(call, "numa_info", deadline.left())
            count, nodes = calls.numa_info_answer(answer, self.interface, room)
            if len(nodes) == count:
                return nodes
            room = count

    # --- domains

    async def domain_infos(self, *, timeout: float | None = READ_TIMEOUT) -> list[DomainInfo]:
        """Every domain, by id.

        One hypercall, with room for more than there were last time; more of them, each from the id after the
        last one seen, where that is not enough. So a domain that is created or destroyed meanwhile is there
        or is not, and no domain is there twice.
        """
        deadline = Deadline(timeout)
        most = (self._transport.capacity - 512) // GETDOMAININFO.at(self.interface).size
        infos: list[DomainInfo] = []
        first, room = 0, min(self._room, most)
        while True:
            call = calls.domain_infos(self._space(), self.interface, first, room)
            answer = await self._call(call, "domain_infos", deadline.left())
            batch = calls.domain_infos_answer(answer, self.interface)
            infos += batch
            if len(batch) < room or batch[-1].domid < first:
                break
            first, room = batch[-1].domid + 1, min(room * 4, most)
            if first >= DOMID_FIRST_RESERVED:
                break
        self._room = max(_FIRST_ROOM, len(infos) * 5 // 4)
        return infos

    async def domain_info(self, domid: int, *, timeout: float | None = READ_TIMEOUT) -> DomainInfo | None:
        """One domain; None if there is none of that id."""
        if not 0 <= domid < DOMID_FIRST_RESERVED:
            return None
        answer = await self._transport.call(calls.domain_info(self._space(), self.interface, domid), timeout)
        if answer.value == -errno.ESRCH:
            return None
        info = calls.domain_info_answer(check(answer, "domain_info", domid), self.interface)
        return info if info.domid == domid else None

    async def vcpu_info(
        self, domid: int, vcpu: int, *, timeout: float | None = READ_TIMEOUT
    ) -> VcpuInfo | None:
        """One virtual CPU; None if the domain has none of that number. NoSuchDomain."""
        check_domid(domid, "vcpu_info")
        if not 0 <= vcpu <= MAX_VCPU:
            return None
        deadline = Deadline(timeout)
        call = calls.vcpu_info(self._space(), self.interface, domid, vcpu)
        answer = await self._transport.call(call, deadline.left())
        if await self._has_no_vcpu(answer, domid, deadline):
            return None
        return calls.vcpu_info_answer(check(answer, "vcpu_info", domid), self.interface)

    async def vcpu_affinity(
        self, domid: int, vcpu: int, *, timeout: float | None = READ_TIMEOUT
    ) -> VcpuAffinity:
        """Where a virtual CPU may and should run. NoSuchDomain; HypercallError (EINVAL): it has no such vCPU."""
        check_domid(domid, "vcpu_affinity")
        if not 0 <= vcpu <= MAX_VCPU:
            raise exception_of(errno.EINVAL, operation="vcpu_affinity", domain=domid)
        call = calls.vcpu_affinity(self._space(), self.interface, domid, vcpu)
        return calls.vcpu_affinity_answer(await self._call(call, "vcpu_affinity", timeout, domid))

    async def sched_parameters(self, domid: int, *, timeout: float | None = READ_TIMEOUT) -> tuple[int, int]:
        """Weight, and cap in hundredths of a CPU (0: none), by credit or credit2.

        NoSuchDomain; Unsupported: its CPU pool has a scheduler without them.
        """
        deadline = Deadline(timeout)
        sched_id, _ = await self._weighing(domid, "sched_parameters", deadline)
        call = calls.sched_parameters(self._space(), self.interface, domid, sched_id)
        answer = await self._call(call, "sched_parameters", deadline.left(), domid)
        return calls.sched_parameters_answer(answer, self.interface)

    async def domain_scheduler(self, domid: int, *, timeout: float | None = READ_TIMEOUT) -> int:
        """The scheduler of the domain's CPU pool, as a number. NoSuchDomain."""
        deadline = Deadline(timeout)
        check_domid(domid, "domain_scheduler")
        info = await self.domain_info(domid, timeout=deadline.left())
        if info is None:
            raise exception_of(errno.ESRCH, operation="domain_scheduler", domain=domid)
        return await self._pool_scheduler(info.cpupool, "domain_scheduler", domid, deadline)

    async def _weighing(self, domid: int, operation: str, deadline: Deadline) -> tuple[int, DomainInfo]:
        """A scheduler with weights and caps, and what is known of its domain. Unsupported: it has another."""
        check_domid(domid, operation)
        info = await self.domain_info(domid, timeout=deadline.left())
        if info is None:
            raise exception_of(errno.ESRCH, operation=operation, domain=domid)
        sched_id = await self._pool_scheduler(info.cpupool, operation, domid, deadline)
        if sched_id not in WEIGHING:
            raise errors.Unsupported(
                f"{operation}: the scheduler {self.scheduler_name(sched_id)} knows no weights and caps",
                operation=operation,
                domain=str(domid),
                channel=CHANNEL,
            )
        return sched_id, info

    async def _pool_scheduler(self, pool: int, operation: str, domid: int, deadline: Deadline) -> int:
        call = calls.cpu_pool(self._space(), self.interface, pool)
        answer = await self._call(call, operation, deadline.left(), domid)
        return calls.cpu_pool_answer(answer, self.interface).sched_id

    async def hvm_param(self, domid: int, index: int, *, timeout: float | None = READ_TIMEOUT) -> int:
        """A parameter (`subops.HvmParam`) of a PVH or HVM domain.

        NoSuchDomain; HypercallError (EINVAL): it is a PV domain, or there is no such parameter.
        """
        check_domid(domid, "hvm_param")
        call = calls.hvm_param(self._space(), self.interface, domid, index)
        answer = await self._call(call, "hvm_param", timeout, domid)
        return calls.hvm_param_answer(answer, self.interface)

    async def _has_no_vcpu(self, answer: Answer, domid: int, deadline: Deadline) -> bool:
        """Xen answers EINVAL for a number past the end; ESRCH for a gap, but also for no such domain."""
        if answer.value == -errno.EINVAL:
            return True
        if answer.value == -errno.ESRCH:
            return await self.domain_info(domid, timeout=deadline.left()) is not None
        return False

    # --- its messages

    async def read_console(self, *, timeout: float | None = READ_TIMEOUT) -> bytes:
        """Xen's messages since boot, as far as they are kept."""
        return await self._console(False, timeout)

    async def _console(self, clear: bool, timeout: float | None) -> bytes:
        deadline, text, index = Deadline(timeout), list[bytes](), None
        while True:
            call = calls.console_ring(self._space(), self.interface, _CONSOLE_ROOM, index, clear=clear)
            answer = await self._call(call, "read_console", deadline.left())
            part, index = calls.console_ring_answer(answer, self.interface)
            text.append(part)
            if len(part) < _CONSOLE_ROOM:
                return b"".join(text)
