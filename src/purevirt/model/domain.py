"""A domain as a connection sees it: who it is, what it is doing, what it has used.

The states are libvirt's, number for number (`virDomainState`), since tools know them.
"""

from __future__ import annotations

import enum
from functools import lru_cache

from purevirt._typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from uuid import UUID

    from purevirt.model.devices import BlockDevice, BlockStats, Interface, InterfaceStats

__all__ = [
    "STATS_GROUPS",
    "DomainInfo",
    "DomainRef",
    "DomainState",
    "DomainStats",
    "DomainType",
    "StateReason",
    "Vcpu",
    "VcpuState",
    "uuid_of",
]


@lru_cache(maxsize=4096)
def uuid_of(handle: bytes) -> UUID:
    """A handle, 16 bytes, as a UUID.

    Kept, since making one costs more than all else of a domain's share of a listing; and imported here, since `uuid`
    is slow to import and many programs never ask.
    """
    from uuid import UUID

    return UUID(bytes=handle)


class DomainType(enum.Enum):
    """How the guest is virtualised."""

    PV = "pv"
    PVH = "pvh"
    HVM = "hvm"


class DomainState(enum.IntEnum):
    """libvirt's `virDomainState`. NOSTATE: this connection cannot know."""

    NOSTATE = 0
    RUNNING = 1
    BLOCKED = 2
    PAUSED = 3
    SHUTDOWN = 4
    SHUTOFF = 5
    CRASHED = 6
    PMSUSPENDED = 7


class StateReason(enum.Enum):
    """Why a domain is in its state, as far as the hypervisor tells: Xen's shutdown codes, and dying."""

    UNKNOWN = "unknown"
    POWEROFF = "poweroff"
    REBOOT = "reboot"
    SUSPEND = "suspend"
    CRASH = "crash"
    WATCHDOG = "watchdog"
    SOFT_RESET = "soft_reset"
    DYING = "dying"


class VcpuState(enum.IntEnum):
    """libvirt's `virVcpuState`."""

    OFFLINE = 0
    RUNNING = 1
    BLOCKED = 2


class DomainRef(NamedTuple):
    """Which domain is meant: its handle (the UUID's 16 bytes), and the id it had when last seen (None: inactive)."""

    handle: bytes
    domid: int | None = None
    name: str | None = None

    @property
    def uuid(self) -> UUID:
        """The handle as a UUID."""
        return uuid_of(self.handle)


class DomainInfo(NamedTuple):
    """One look at one domain. All of it is of one moment where the hypervisor serves it.

    `handle` is the UUID's 16 bytes. `name` is None while a domain has none in the store (being built or torn down).
    `flags` are the six letters of `xl list` (running, blocked, paused, shut down, crashed, dying), None where only the
    store serves.
    """

    domid: int | None
    handle: bytes
    name: str | None
    type: DomainType | None
    state: DomainState
    reason: StateReason
    memory_kib: int | None
    """What the domain holds now (tot_pages)."""
    max_memory_kib: int | None
    """The most it may hold: max_pages from the hypervisor, memory/static-max from the store."""
    vcpus: int | None
    """vCPUs online now."""
    max_vcpus: int | None
    cpu_time_ns: int | None
    """CPU time of all vCPUs since the domain was created."""
    cpupool: int | None = None
    flags: str | None = None
    memory_target_kib: int | None = None
    """What it was asked to balloon to; only where the store serves the call."""
    outstanding_kib: int | None = None
    """Claimed, but not yet populated (`xl list` adds it to the memory)."""

    @property
    def uuid(self) -> UUID:
        """The handle as a UUID."""
        return uuid_of(self.handle)

    @property
    def ref(self) -> DomainRef:
        """The identity in it."""
        return DomainRef(self.handle, self.domid, self.name)


class Vcpu(NamedTuple):
    """One virtual CPU: what it does, where it runs, where it may run."""

    number: int
    state: VcpuState
    cpu_time_ns: int
    cpu: int | None
    """The physical CPU it last ran on; None if it is offline."""
    hard_affinity: frozenset[int]
    soft_affinity: frozenset[int]


STATS_GROUPS: frozenset[str] = frozenset({"vcpu", "block", "interface"})
"""What `domain_stats` can gather beside each domain's info."""


class DomainStats(NamedTuple):
    """Everything countable about one domain, of one pass over the host.

    `blocks` and `interfaces` pair a device with its counters (None: the backend keeps none, or is not in this
    domain). Groups that were not asked for are None.
    """

    info: DomainInfo
    vcpus: tuple[Vcpu, ...] | None = None
    blocks: tuple[tuple[BlockDevice, BlockStats | None], ...] | None = None
    interfaces: tuple[tuple[Interface, InterfaceStats | None], ...] | None = None
