"""What the hypervisor tells, as values. Units: pages of 4096 bytes, nanoseconds, kHz, bytes.

Tuples, not dataclasses: a listing of a thousand domains makes a thousand of them, straight from
`struct.Struct.iter_unpack`. A number that Xen marks as invalid (~0U) is None here.
"""

from __future__ import annotations

from purevirt._typing import NamedTuple
from purevirt.wire.hypercall.numbers import (
    DomainFlag,
)

__all__ = [
    "CompileInfo",
    "CpuPoolInfo",
    "CpuTopology",
    "DomainInfo",
    "NumaNode",
    "PhysInfo",
    "VcpuAffinity",
    "VcpuInfo",
]

_DYING = int(DomainFlag.DYING)
_HVM = int(DomainFlag.HVM_GUEST)
_SHUTDOWN = int(DomainFlag.SHUTDOWN)
_PAUSED = int(DomainFlag.PAUSED)
_BLOCKED = int(DomainFlag.BLOCKED)
_RUNNING = int(DomainFlag.RUNNING)
# A PVH domain has at most these emulated (Domain 0 as PVH has all three, a guest the first).
_PVH_DEVICES = (
    1 << 0 | 1 << 4 | 1 << 10
)  # LAPIC, IOAPIC, VPCI of `subops.EmulationFlag`; a test compares them


class DomainInfo(NamedTuple):
    """A domain at one moment (xen_domctl_getdomaininfo).

    `tot_pages` is what it has, `max_pages` what it may have, `outstanding_pages` claimed and not yet
    allocated, `shr_pages` shared, `paged_pages` paged out. `cpu_time` is the sum over its vCPUs since its
    creation, in ns. `max_vcpu_id` is None for a domain without vCPUs. `handle` is its UUID, 16 bytes; all
    zero for Domain 0. `gpaddr_bits` is None before Xen 4.16. `emulation_flags` (EmulationFlag) is None on
    arm64.
    """

    domid: int
    flags: int
    tot_pages: int
    max_pages: int
    outstanding_pages: int
    shr_pages: int
    paged_pages: int
    shared_info_frame: int
    cpu_time: int
    nr_online_vcpus: int
    max_vcpu_id: int | None
    ssidref: int
    handle: bytes
    cpupool: int
    gpaddr_bits: int | None
    emulation_flags: int | None

    @property
    def dying(self) -> bool:
        """It is destroyed, and some of its memory is still in use."""
        return bool(self.flags & _DYING)

    @property
    def shutdown(self) -> bool:
        """Its kernel has stopped; `shutdown_code` says why."""
        return bool(self.flags & _SHUTDOWN)

    @property
    def paused(self) -> bool:
        """Paused by a tool."""
        return bool(self.flags & _PAUSED)

    @property
    def blocked(self) -> bool:
        """Every online vCPU waits for an event: an idle domain."""
        return bool(self.flags & _BLOCKED)

    @property
    def running(self) -> bool:
        """At least one vCPU was on a CPU at that moment."""
        return bool(self.flags & _RUNNING)

    @property
    def shutdown_code(self) -> int | None:
        """Why it stopped (`ShutdownCode`); None while it has not. Xen's field is meaningless until then."""
        return (self.flags >> 16) & 0xFF if self.flags & _SHUTDOWN else None

    @property
    def kind(self) -> str:
        """pv, pvh or hvm: on x86 told apart by which devices Xen emulates for it; on arm64 always pvh."""
        if self.emulation_flags is None:
            return "pvh"
        if not self.flags & _HVM:
            return "pv"
        return "hvm" if self.emulation_flags & ~_PVH_DEVICES else "pvh"


class PhysInfo(NamedTuple):
    """The host (xen_sysctl_physinfo). `capabilities`: PhysCap. `arch_capabilities`: None before 4.17."""

    threads_per_core: int
    cores_per_socket: int
    nr_cpus: int
    max_cpu_id: int
    nr_nodes: int
    max_node_id: int
    cpu_khz: int
    capabilities: int
    arch_capabilities: int | None
    total_pages: int
    free_pages: int
    scrub_pages: int
    outstanding_pages: int
    max_mfn: int
    hw_cap: tuple[int, ...]


class CpuTopology(NamedTuple):
    """Where a physical CPU sits; None where Xen does not know, as for a CPU that is not there."""

    cpu: int
    core: int | None
    socket: int | None
    node: int | None


class NumaNode(NamedTuple):
    """A NUMA node: bytes of memory and of free memory, and its distance to each node (10: itself)."""

    node: int
    memsize: int | None
    memfree: int | None
    distances: tuple[int | None, ...]


class CpuPoolInfo(NamedTuple):
    """A CPU pool: its id, its scheduler (a key of `numbers.SCHEDULERS`), how many domains it has, and its CPUs.

    Its name is the toolstack's, not the hypervisor's.
    """

    pool: int
    sched_id: int
    domains: int
    cpus: tuple[int, ...]


class VcpuInfo(NamedTuple):
    """A virtual CPU: `cpu_time` in ns, `cpu` the physical CPU it is or was on."""

    vcpu: int
    online: bool
    blocked: bool
    running: bool
    cpu_time: int
    cpu: int


class VcpuAffinity(NamedTuple):
    """Physical CPUs a virtual one may run on (`hard`), and should preferably (`soft`).

    Unlimited is every CPU the host has. `soft` is in force only within `hard`.
    """

    hard: frozenset[int]
    soft: frozenset[int]


class CompileInfo(NamedTuple):
    """Who built this Xen, when and with what."""

    compiler: str
    compile_by: str
    compile_domain: str
    compile_date: str
