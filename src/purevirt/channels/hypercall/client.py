"""The hypervisor's client: a method for each hypercall, over whichever transport.

Opening it finds out how this Xen wants to be spoken to. XENVER_version tells the release; then
getdomaininfolist is asked with the sysctl version that the release should have, and with every other one from
the newest to the oldest while Xen answers EACCES, and likewise the domctl version with getdomaininfo. The
release alone would do on a stock Xen; the answer counts because distributions patch.

A domain may vanish between any two calls. What asks about one domain says so with None (`domain_info`) or
NoSuchDomain (the others).

All methods raise Denied (EPERM, EACCES), Unsupported (ENOSYS, EOPNOTSUPP), NoMemory, HypercallError with its
errno for the rest, and what the transport raises. `timeout` is in seconds, for the whole method.
"""

from __future__ import annotations

import errno

from purevirt import errors
from purevirt.channels.hypercall.transport import CHANNEL, Deadline, Transport
from purevirt.wire.hypercall import calls
from purevirt.wire.hypercall.errnos import exception_of
from purevirt.wire.hypercall.messages import (
    CompileInfo,
    CpuTopology,
    DomainInfo,
    NumaNode,
    PhysInfo,
    VcpuAffinity,
    VcpuInfo,
)
from purevirt.wire.hypercall.numbers import DOMID_FIRST_RESERVED, SCHEDULERS, Xenver
from purevirt.wire.hypercall.structs import GETDOMAININFO
from purevirt.wire.hypercall.values import Answer, Hypercall, Layout
from purevirt.wire.hypercall.versions import RELEASES, Interface, interface_of, interfaces_to_probe

__all__ = ["HypercallClient"]

OPEN_TIMEOUT = 5.0
READ_TIMEOUT = 10.0

_FIRST_ROOM = 256  # domains that a first listing has room for: one call on nearly every host, 28 KiB
MAX_VCPU = 0x7FFF  # more than any Xen has; what is beyond would not fit the field
_DENIED = "<denied>"  # what Xen puts in place of a text that its policy hides


class HypercallClient:
    """A hypervisor whose interface versions are known. Made by `open`."""

    __slots__ = ("_room", "_transport", "interface", "xen_version")

    def __init__(self, transport: Transport, interface: Interface) -> None:
        self._transport = transport
        self._room = _FIRST_ROOM
        self.interface = interface
        """The versions it answers to, and how far they are known (`Interface.verified`)."""
        self.xen_version: tuple[int, int] = interface.release
        """(major, minor), as XENVER_version says."""

    @classmethod
    async def open(cls, transport: Transport, *, timeout: float | None = OPEN_TIMEOUT) -> HypercallClient:
        """Find the interface versions. The transport is the caller's to close if this raises.

        Denied: this domain is not privileged. Unsupported: no known version is answered.
        """
        deadline = Deadline(timeout)
        number = calls.version_number(Xenver.VERSION)
        value = (await _checked(transport, number, "open", deadline.left())).value
        release = (value >> 16, value & 0xFFFF)
        sysctl = await _probe(transport, "sysctl", release, deadline)
        domctl = await _probe(transport, "domctl", release, deadline)
        interface = interface_of(sysctl, domctl, release, transport.arch)
        if interface is None:
            raise errors.Unsupported(
                f"Xen {release[0]}.{release[1]} speaks sysctl {sysctl:#x} with domctl {domctl:#x}, "
                "a pair that this version of purevirt does not know",
                operation="open",
                channel=CHANNEL,
            )
        return cls(transport, interface)

    async def close(self) -> None:
        """Close the transport."""
        self._transport.close()

    def _space(self) -> Layout:
        return Layout(self._transport.base, self._transport.capacity)

    async def _call(
        self, hypercall: Hypercall, operation: str, timeout: float | None, domain: int | None = None
    ) -> Answer:
        return await _checked(self._transport, hypercall, operation, timeout, domain)

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
        return calls.build_id_answer(_check(answer, "build_id"), self.interface)

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
        info = calls.domain_info_answer(_check(answer, "domain_info", domid), self.interface)
        return info if info.domid == domid else None

    async def vcpu_info(
        self, domid: int, vcpu: int, *, timeout: float | None = READ_TIMEOUT
    ) -> VcpuInfo | None:
        """One virtual CPU; None if the domain has none of that number. NoSuchDomain."""
        _check_domid(domid, "vcpu_info")
        if not 0 <= vcpu <= MAX_VCPU:
            return None
        deadline = Deadline(timeout)
        call = calls.vcpu_info(self._space(), self.interface, domid, vcpu)
        answer = await self._transport.call(call, deadline.left())
        if await self._has_no_vcpu(answer, domid, deadline):
            return None
        return calls.vcpu_info_answer(_check(answer, "vcpu_info", domid), self.interface)

    async def vcpu_affinity(
        self, domid: int, vcpu: int, *, timeout: float | None = READ_TIMEOUT
    ) -> VcpuAffinity:
        """Where a virtual CPU may and should run. NoSuchDomain; HypercallError (EINVAL): it has no such vCPU."""
        _check_domid(domid, "vcpu_affinity")
        if not 0 <= vcpu <= MAX_VCPU:
            raise exception_of(errno.EINVAL, operation="vcpu_affinity", domain=domid)
        call = calls.vcpu_affinity(self._space(), self.interface, domid, vcpu)
        return calls.vcpu_affinity_answer(await self._call(call, "vcpu_affinity", timeout, domid))

    async def _has_no_vcpu(self, answer: Answer, domid: int, deadline: Deadline) -> bool:
        """Xen answers EINVAL for a number past the end; ESRCH for a gap, but also for no such domain."""
        if answer.value == -errno.EINVAL:
            return True
        if answer.value == -errno.ESRCH:
            return await self.domain_info(domid, timeout=deadline.left()) is not None
        return False


def _check_domid(domid: int, operation: str) -> None:
    if not 0 <= domid < DOMID_FIRST_RESERVED:
        raise exception_of(errno.ESRCH, operation=operation, domain=domid)


async def _checked(
    transport: Transport,
    hypercall: Hypercall,
    operation: str,
    timeout: float | None,
    domain: int | None = None,
) -> Answer:
    return _check(await transport.call(hypercall, timeout), operation, domain)


def _check(answer: Answer, operation: str, domain: int | None = None) -> Answer:
    if answer.value < 0:
        raise exception_of(-answer.value, operation=operation, domain=domain)
    return answer


async def _probe(transport: Transport, which: str, release: tuple[int, int], deadline: Deadline) -> int:
    """The interface version that Xen does not refuse."""
    tried: list[int] = []
    for candidate in interfaces_to_probe(release):
        version = candidate.sysctl if which == "sysctl" else candidate.domctl
        if version in tried:
            continue
        tried.append(version)
        space = Layout(transport.base, transport.capacity)
        if which == "sysctl":
            # Room for no domain: nothing is written by a Xen whose structs we do not know yet.
            call = calls.domain_infos(space, candidate, 0, 0)
        else:
            call = calls.domain_info(space, candidate, 0)
        answer = await transport.call(call, deadline.left())
        if answer.value == -errno.EACCES:
            continue
        if which == "domctl" and answer.value == -errno.ESRCH:
            return version  # the version is right, and Domain 0 is gone: a host of another design
        _check(answer, "open")
        return version
    known = ", ".join(f"{major}.{minor}" for major, minor in (row.release for row in RELEASES))
    raise errors.Unsupported(
        f"Xen {release[0]}.{release[1]} refuses every {which} version that this version of purevirt knows "
        f"(those of Xen {known}), or its security policy refuses the call",
        operation="open",
        channel=CHANNEL,
        errno=errno.EACCES,
    )
