"""The contract between the API and whatever answers it.

A driver's methods are coroutines that await nothing but the driver's transports, so that both halves of the API
can run them. Every method raises only `purevirt.errors`. `timeout` is in seconds and bounds the call; None means the
driver's default: 10 s for what only looks, 30 s for what changes something.

What changes something needs the Xen daemon: ReadOnly on a connection that was opened read-only, ChannelUnavailable
where no daemon answers.
"""

from __future__ import annotations

from collections.abc import Iterable

from purevirt._typing import TYPE_CHECKING, Protocol
from purevirt.model import (
    Access,
    AttachedDevice,
    BlockDevice,
    BlockStats,
    Caller,
    Capabilities,
    CpuPool,
    DomainCapabilities,
    DomainInfo,
    DomainRef,
    DomainState,
    DomainStats,
    DomainType,
    Event,
    EventKind,
    HypervisorVersion,
    Interface,
    InterfaceStats,
    NodeInfo,
    NumaCell,
    Route,
    Scheduler,
    SchedulerParameters,
    ShutdownMode,
    StateReason,
    Trigger,
    Vcpu,
    VcpuCount,
)

if TYPE_CHECKING:
    from purevirt.model.description import ActiveDescription

__all__ = ["Driver", "EventStream"]


class EventStream(Protocol):
    """A subscription. One consumer at a time takes events."""

    @property
    def closed(self) -> bool:
        """Whether `close()` was called."""

    async def next(self, timeout: float | None) -> Event | None:
        """The next event; None if none comes within `timeout` seconds (None: wait for ever). Closed after
        `close()`."""

    async def snapshot(self) -> list[DomainInfo]:
        """The domains, read now."""

    async def close(self) -> None:
        """End it. Closing twice is fine."""


class Driver(Protocol):
    """Everything a connection can be asked."""

    access: Access

    async def close(self) -> None: ...
    def explain(self) -> tuple[Route, ...]: ...

    # The host
    async def version(self) -> HypervisorVersion: ...
    async def hostname(self) -> str: ...
    async def node_info(self) -> NodeInfo: ...
    async def free_memory(self) -> int: ...
    async def numa_cells(self) -> tuple[NumaCell, ...]: ...
    async def scheduler(self) -> Scheduler: ...
    async def cpupools(self) -> tuple[CpuPool, ...]: ...
    async def dmesg(self) -> str: ...
    async def capabilities(self) -> Capabilities: ...
    async def domain_capabilities(
        self, kind: DomainType | None = None, arch: str | None = None
    ) -> DomainCapabilities: ...
    async def whoami(self) -> Caller: ...
    async def events(
        self, kinds: frozenset[EventKind] | None, ref: DomainRef | None, *, poll: float, queue: int
    ) -> EventStream: ...

    # Domains
    async def list_domains(self) -> list[DomainInfo]: ...
    async def count_domains(self) -> int: ...
    async def lookup_id(self, domid: int) -> DomainRef: ...
    async def lookup_name(self, name: str) -> DomainRef: ...
    async def lookup_uuid(self, handle: bytes) -> DomainRef: ...
    async def domain_stats(self, groups: frozenset[str]) -> list[DomainStats]: ...

    # One domain
    async def domid(self, ref: DomainRef) -> int | None: ...
    async def domain_name(self, ref: DomainRef) -> str | None: ...
    async def domain_type(self, ref: DomainRef) -> DomainType: ...
    async def domain_state(self, ref: DomainRef) -> tuple[DomainState, StateReason]: ...
    async def domain_info(self, ref: DomainRef) -> DomainInfo: ...
    async def max_memory(self, ref: DomainRef) -> int | None: ...
    async def vcpus(self, ref: DomainRef) -> tuple[Vcpu, ...]: ...
    async def scheduler_parameters(self, ref: DomainRef) -> SchedulerParameters: ...
    async def description(
        self, ref: DomainRef, live: bool = True, security_info: bool = False
    ) -> ActiveDescription: ...
    async def block_devices(self, ref: DomainRef) -> tuple[BlockDevice, ...]: ...
    async def block_stats(self, ref: DomainRef, target: str) -> BlockStats: ...
    async def interfaces(self, ref: DomainRef) -> tuple[Interface, ...]: ...
    async def interface_stats(self, ref: DomainRef, device: str) -> InterfaceStats: ...

    # What changes a domain
    async def suspend(self, ref: DomainRef, *, timeout: float | None = None) -> None: ...
    async def resume(self, ref: DomainRef, *, timeout: float | None = None) -> None: ...
    async def destroy(self, ref: DomainRef, *, timeout: float | None = None) -> None: ...
    async def shutdown(self, ref: DomainRef, mode: ShutdownMode, *, timeout: float | None = None) -> None: ...
    async def reboot(self, ref: DomainRef, *, timeout: float | None = None) -> None: ...
    async def set_memory(self, ref: DomainRef, kib: int, *, timeout: float | None = None) -> int: ...
    async def set_max_memory(self, ref: DomainRef, kib: int, *, timeout: float | None = None) -> None: ...
    async def set_vcpus(self, ref: DomainRef, count: int, *, timeout: float | None = None) -> VcpuCount: ...
    async def pin_vcpu(
        self,
        ref: DomainRef,
        vcpu: int,
        cpus: Iterable[int],
        *,
        soft: bool = False,
        timeout: float | None = None,
    ) -> None: ...
    async def set_scheduler_parameters(
        self,
        ref: DomainRef,
        *,
        weight: int | None = None,
        cap: int | None = None,
        timeout: float | None = None,
    ) -> None: ...
    async def rename(self, ref: DomainRef, name: str, *, timeout: float | None = None) -> None: ...
    async def attach_device(
        self, ref: DomainRef, device: str, *, form: str | None = None, timeout: float | None = None
    ) -> AttachedDevice: ...
    async def detach_device(
        self,
        ref: DomainRef,
        device: str,
        *,
        form: str | None = None,
        force: bool = False,
        timeout: float | None = None,
    ) -> AttachedDevice: ...
    async def update_device(
        self, ref: DomainRef, device: str, *, form: str | None = None, timeout: float | None = None
    ) -> AttachedDevice: ...
    async def send_sysrq(self, ref: DomainRef, key: str, *, timeout: float | None = None) -> None: ...
    async def inject_nmi(self, ref: DomainRef, *, timeout: float | None = None) -> None: ...
    async def send_trigger(
        self, ref: DomainRef, trigger: Trigger, vcpu: int = 0, *, timeout: float | None = None
    ) -> None: ...
