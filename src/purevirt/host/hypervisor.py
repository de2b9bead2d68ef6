"""A hypervisor for simulated hosts: answers hypercalls from real bytes, and keeps domains.

It has two sides. `hypercall` is the one that clients see: a `Hypercall` in, an `Answer` out, with the structs
of the Xen release that it plays and with Xen's errnos. The methods below it are for whoever plays the
toolstack, the guests or fate: they take what a program knows (ids, KiB, loads) and are no part of any wire
format.

One thread only: its owner's event loop.
"""

from __future__ import annotations

import bisect
import errno
from collections.abc import Callable, Iterable, Iterator
from uuid import UUID

from purevirt.errors import InvalidConfig, NoMemory, NoSuchDomain
from purevirt.host.accounts import Accounts
from purevirt.host.boot import HostSpec
from purevirt.host.building import do_event_channel_op, do_memory_op
from purevirt.host.changes import Change, Listener
from purevirt.host.clock import Clock, RealClock
from purevirt.host.console import Console
from purevirt.host.domains import SimDomain, SimVcpu
from purevirt.host.domctl import do_domctl
from purevirt.host.guestops import do_hvm_op, do_sched_op
from purevirt.host.memory import CallerMemory, XenError
from purevirt.host.sysctl import do_sysctl
from purevirt.host.xenver import do_xen_version
from purevirt.wire.hypercall.numbers import DOMID_FIRST_RESERVED, Op
from purevirt.wire.hypercall.values import Answer, Hypercall

__all__ = ["Hypervisor"]

Handler = Callable[["Hypervisor", CallerMemory, tuple[int, ...]], int]

_HANDLERS: dict[int, Handler] = {
    Op.XEN_VERSION: do_xen_version,
    Op.SYSCTL: do_sysctl,
    Op.DOMCTL: do_domctl,
    Op.SCHED_OP: do_sched_op,
    Op.HVM_OP: do_hvm_op,
    Op.MEMORY_OP: do_memory_op,
    Op.EVENT_CHANNEL_OP: do_event_channel_op,
}

DOM0_MEMORY_KIB = 1 << 20


class Hypervisor:
    """A simulated Xen with its Domain 0.

    `xen` is the release it plays, (4, 14) to (4, 22); `spec` says the rest of what is fixed at boot (its own
    figures are then used instead of the arguments).
    """

    def __init__(
        self,
        clock: Clock | None = None,
        *,
        xen: tuple[int, int] = (4, 17),
        arch: str = "x86_64",
        cpus: int = 4,
        nodes: int = 1,
        memory_kib: int = 16 << 20,
        dom0_memory_kib: int = DOM0_MEMORY_KIB,
        spec: HostSpec | None = None,
    ) -> None:
        self.spec = spec or HostSpec(xen=xen, arch=arch, cpus=cpus, nodes=nodes, memory_kib=memory_kib)
        self.clock: Clock = clock or RealClock()
        self.interface = self.spec.interface
        self.privileged = True
        """Whether the caller is a privileged domain: False makes sysctl and domctl answer EPERM."""
        self.listeners: list[Listener] = []
        """Who hears of each change of a domain's state, after it has happened."""
        self._booted = self.clock.now()
        self._domains: dict[int, SimDomain] = {}
        self._ids: list[int] = []  # sorted
        self._next_id = 1
        self._used_pages = 0
        self._busy_before = 0  # CPU time of domains that are gone, ns
        self._idle = 0
        self.accounts = Accounts(self.clock, self._domains, self.spec.scheduler)
        self.console = Console.booted(self.spec)
        self.on_trigger: Callable[[SimDomain, int, int], object] | None = None
        """Called with domain, vCPU and `SendTrigger`, where one reaches a guest: set by whoever plays the guests."""
        self.alloc_unbound: Callable[[int, int], int] | None = None
        """Makes a port of a domain that another one may bind (XenError): set by the bus."""
        self._add(0, bytes(16), "pv", dom0_memory_kib // 4, dom0_memory_kib // 4, self._vcpus(self.spec.cpus))

    # --- what clients see

    def hypercall(self, call: Hypercall) -> Answer:
        """Carry out one hypercall. Never raises for what a caller may have put into it."""
        memory = CallerMemory(call.extents)
        handler = _HANDLERS.get(call.op)
        try:
            if handler is None:
                raise XenError(errno.ENOSYS)
            value = handler(self, memory, call.args + (0,) * (5 - len(call.args)))
        except XenError as error:
            value = -error.errno
        return Answer(value, memory.contents())

    # --- looking

    def __len__(self) -> int:
        return len(self._ids)

    def __iter__(self) -> Iterator[SimDomain]:
        return (self._domains[domid] for domid in list(self._ids))

    def find(self, domid: int) -> SimDomain | None:
        """The domain of that id."""
        return self._domains.get(domid)

    def domain(self, domid: int) -> SimDomain:
        """The domain of that id. NoSuchDomain."""
        domain = self._domains.get(domid)
        if domain is None:
            raise NoSuchDomain(f"there is no domain {domid}", domain=str(domid), channel="hypervisor")
        return domain

    def from_id(self, first: int) -> Iterator[SimDomain]:
        """Domains with that id or a higher one, by id."""
        for index in range(bisect.bisect_left(self._ids, first), len(self._ids)):
            yield self._domains[self._ids[index]]

    @property
    def free_pages(self) -> int:
        """Pages that belong to nobody."""
        return max(0, self.spec.total_pages - self.spec.xen_pages - self._used_pages)

    @property
    def outstanding_pages(self) -> int:
        """Pages that are claimed and not yet allocated."""
        return sum([domain.outstanding_pages for domain in self._domains.values()])

    def idle_time(self) -> int:
        """Of each physical CPU since boot, ns: what its share of all vCPUs did not use."""
        now = self.clock.now()
        passed = self.accounts.passed(now)
        busy = self._busy_before + sum([domain.cpu_time(passed) for domain in self._domains.values()])
        # What is divided is rounded: never back for that.
        self._idle = max(self._idle, now - self._booted - busy // self.spec.cpus)
        return self._idle

    # --- changing

    def create_domain(
        self,
        *,
        handle: UUID | bytes,
        kind: str = "pv",
        memory_kib: int = 131072,
        max_memory_kib: int | None = None,
        vcpus: int = 1,
        online_vcpus: int | None = None,
        load: float = 0.0,
        paused: bool = False,
    ) -> SimDomain:
        """A new domain, running at once unless `paused`. InvalidConfig, NoMemory.

        `kind` is "pv", "pvh" or "hvm"; `load` that of each vCPU. Ids count up to 0x7fef, then start again;
        one that was just freed is not given out again before all others.
        """
        raw = handle.bytes if isinstance(handle, UUID) else handle
        problems = []
        if kind not in ("pv", "pvh", "hvm") or (self.spec.arch == "arm64" and kind != "pvh"):
            problems.append(f"a domain of kind {kind!r} cannot run on {self.spec.arch}")
        if len(raw) != 16:
            problems.append("a handle has 16 bytes")
        if memory_kib < 0 or vcpus < 0 or not 0 <= load <= 1 or (max_memory_kib or memory_kib) < memory_kib:
            problems.append("memory, vCPUs or load are out of range")
        if problems:
            raise InvalidConfig("; ".join(problems), problems=tuple(problems))
        pages = memory_kib // 4
        if pages > self.free_pages:
            raise NoMemory(
                f"{memory_kib} KiB asked for, {self.free_pages * 4} KiB are free", operation="create_domain"
            )
        domid = self._new_id()
        limit = (memory_kib if max_memory_kib is None else max_memory_kib) // 4
        given = self._vcpus(vcpus, online_vcpus, load)
        domain = self._add(domid, raw, kind, pages, limit, given, paused=paused)
        self._tell(domid, Change.CREATED)
        return domain

    def destroy(self, domid: int, *, linger: bool = False) -> None:
        """Destroy it. `linger`: it stays, dying, until it is destroyed again, as if its memory were in use."""
        domain = self._changing(domid)
        if linger and not domain.dying:
            domain.dying = True
            self._tell(domid, Change.DYING)
            return
        self._used_pages -= domain.tot_pages
        self._busy_before += domain.cpu_time(0)  # all of it is booked
        del self._domains[domid]
        self._ids.remove(domid)
        self._tell(domid, Change.DESTROYED)

    def pause(self, domid: int) -> None:
        """Pause it once more."""
        self._changing(domid).paused += 1
        self._tell(domid, Change.PAUSED)

    def unpause(self, domid: int) -> None:
        """Take one pause back; no error if there is none."""
        domain = self._changing(domid)
        domain.paused = max(0, domain.paused - 1)
        self._tell(domid, Change.UNPAUSED)

    def shutdown(self, domid: int, reason: int) -> None:
        """Its kernel stops, for that reason (`ShutdownCode`). It stays until it is destroyed."""
        self._changing(domid).shutdown_code = int(reason)
        self._tell(domid, Change.STOPPED)

    def resume(self, domid: int) -> None:
        """Its kernel goes on, as after a suspend that was cancelled."""
        self._changing(domid).shutdown_code = None
        self._tell(domid, Change.RESUMED)

    def set_load(self, domid: int, load: float, vcpu: int | None = None) -> None:
        """How busy its guest is: 0 to 1, of one vCPU or of each."""
        if not 0 <= load <= 1:
            raise ValueError("a load is between 0 and 1")
        domain = self._changing(domid)
        for chosen in domain.vcpus if vcpu is None else [domain.vcpus[vcpu]]:
            chosen.load = load

    def set_online(self, domid: int, vcpu: int, online: bool) -> None:
        """Bring a vCPU up or down."""
        self._changing(domid).vcpus[vcpu].online = online

    def set_memory(self, domid: int, memory_kib: int, max_memory_kib: int | None = None) -> None:
        """What it has, and what it may have, as if its balloon were obeying. NoMemory; InvalidConfig."""
        domain = self._changing(domid)
        pages = memory_kib // 4
        limit = domain.max_pages if max_memory_kib is None else max_memory_kib // 4
        if not 0 <= pages <= limit:
            raise InvalidConfig(f"domain {domid} may have {limit * 4} KiB at most, not {memory_kib}")
        if pages - domain.tot_pages > self.free_pages:
            raise NoMemory(f"{self.free_pages * 4} KiB are free", operation="set_memory", domain=str(domid))
        self._used_pages += pages - domain.tot_pages
        domain.tot_pages, domain.max_pages = pages, limit

    def set_max_memory(self, domid: int, max_memory_kib: int) -> None:
        """What it may have. Less than it has is allowed, as on Xen: then it cannot grow."""
        self._changing(domid).max_pages = max_memory_kib // 4

    def set_scheduling(self, domid: int, *, weight: int | None = None, cap: int | None = None) -> None:
        """Its weight, 1 to 65535, and its cap in hundredths of a CPU, 0 for none. None leaves as it is."""
        if not 1 <= (weight or 1) <= 0xFFFF or not 0 <= (cap or 0) <= 0xFFFF or weight == 0:
            raise InvalidConfig("a weight is 1 to 65535, a cap 0 to 65535")
        domain = self._changing(domid)
        domain.weight = domain.weight if weight is None else weight
        domain.cap = domain.cap if cap is None else cap

    def trigger(self, domid: int, vcpu: int, trigger: int) -> None:
        """An NMI or the press of a button (`SendTrigger`) reaches a guest."""
        domain = self.domain(domid)
        if self.on_trigger is not None:
            self.on_trigger(domain, vcpu, trigger)

    def set_affinity(
        self, domid: int, vcpu: int, hard: Iterable[int] | None = None, soft: Iterable[int] | None = None
    ) -> None:
        """The physical CPUs a vCPU may, and should, run on. None leaves as it is."""
        self.put_affinity(
            domid,
            vcpu,
            None if hard is None else _bits(hard, self.spec.cpus),
            None if soft is None else _bits(soft, self.spec.cpus),
        )

    def put_affinity(self, domid: int, vcpu: int, hard: int | None, soft: int | None) -> None:
        """The same, as bits, which nobody checks."""
        chosen = self._changing(domid).vcpus[vcpu]
        if hard is not None:
            chosen.hard = hard
            if not hard >> chosen.cpu & 1:
                chosen.cpu = (hard & -hard).bit_length() - 1
        if soft is not None:
            chosen.soft = soft

    # --- building one, step by step

    def begin_domain(self, handle: bytes, kind: str, max_vcpus: int, domid: int | None = None) -> SimDomain:
        """A domain that is paused, and has neither memory nor vCPUs yet. NoMemory: no id is left.

        `domid`: the one it is to have, which is free.
        """
        domain = self._add(self._new_id() if domid is None else domid, handle, kind, 0, 0, [], paused=True)
        domain.max_vcpus = max_vcpus
        self._tell(domain.id, Change.CREATED)
        return domain

    def make_vcpus(self, domid: int) -> None:
        """Give it the vCPUs that it was made for, offline; no error if it has them."""
        domain = self._changing(domid)
        if not domain.vcpus:
            domain.vcpus = self._vcpus(domain.max_vcpus, 0)

    def populate(self, domid: int, frame: int, pages: int) -> bool:
        """Give it so many pages from this guest frame on. False: the host, or what it may have, has not as many."""
        domain = self.domain(domid)
        if pages > self.free_pages or domain.tot_pages + pages > domain.max_pages:
            return False
        self._used_pages += pages
        domain.tot_pages += pages
        runs = domain.populated
        if runs and runs[-1][1] == frame:
            runs[-1] = (runs[-1][0], frame + pages)
        else:
            runs.append((frame, frame + pages))
        return True

    # --- inside

    def _tell(self, domid: int, change: Change) -> None:
        for listener in self.listeners:
            listener(domid, change)

    def _changing(self, domid: int) -> SimDomain:
        domain = self.domain(domid)
        self.accounts.changing()
        return domain

    def _vcpus(self, count: int, online: int | None = None, load: float = 0.0) -> list[SimVcpu]:
        every = (1 << self.spec.cpus) - 1
        up = count if online is None else online
        return [SimVcpu(number % self.spec.cpus, number < up, load, every) for number in range(count)]

    def _add(
        self,
        domid: int,
        handle: bytes,
        kind: str,
        pages: int,
        limit: int,
        vcpus: list[SimVcpu],
        *,
        paused: bool = False,
    ) -> SimDomain:
        domain = SimDomain(domid, handle, kind, pages, limit, vcpus)
        domain.paused = int(paused)
        if not paused:  # else nobody's rate changes, and computing them all takes its time
            self.accounts.changing()
        self._domains[domid] = domain
        bisect.insort(self._ids, domid)
        self._used_pages += pages
        return domain

    def _new_id(self) -> int:
        if len(self._ids) >= DOMID_FIRST_RESERVED:
            raise NoMemory("every domain id is taken", operation="create_domain")
        while True:
            domid = self._next_id
            self._next_id = domid + 1 if domid + 1 < DOMID_FIRST_RESERVED else 1
            if domid not in self._domains:
                return domid


def _bits(cpus: Iterable[int], count: int) -> int:
    bits = 0
    for cpu in cpus:
        if not 0 <= cpu < count:
            raise InvalidConfig(f"there is no CPU {cpu}")
        bits |= 1 << cpu
    if not bits:
        raise InvalidConfig("no CPU is left to run on")
    return bits
