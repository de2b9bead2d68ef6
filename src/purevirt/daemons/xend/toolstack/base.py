"""What the supervisor asks of a toolstack, and what a toolstack works with.

One implementation is there, `native`. Making domains is a Protocol of its own, in `builder`; what concerns a domain
that exists is asked here, whoever built it.

The supervisor has checked who asks and holds the domain's lock; `domain` is what the hypervisor said of it a moment
ago. Whether its state and the values asked for allow the change is the toolstack's to decide: WrongState,
InvalidConfig (the domain is then as it was), Unsupported. `timeout` is in seconds, for waits on a guest."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Protocol

from purevirt.channels.hypercall.client import HypercallClient
from purevirt.channels.xenstore.client import StoreClient
from purevirt.errors import Unsupported, WrongState
from purevirt.model import AttachedDevice, DomainInfo, ShutdownMode, Trigger, VcpuCount
from purevirt.model.description import Disk, Interface

__all__ = ["Answer", "Attaching", "Host", "Keep", "Toolstack", "living", "not_domain_0", "shown"]


Answer = Callable[[], Awaitable[None]]
"""Waits for a guest's answer, without the domain's lock. It must be called, since it holds something open."""

Attaching = Callable[[], Awaitable[AttachedDevice]]
"""The same for a device: waits for a guest to take it up or to let go of it, and says which it was."""

Keep = Callable[[Coroutine[Any, Any, None]], Awaitable[None]]
"""Waits for something that is carried out to its end, even if whoever waits is cut off."""


class Host(Protocol):
    """The host to work on. Each access may raise ChannelUnavailable: see `link`."""

    @property
    def root(self) -> str:
        """What is before every path; "" on a real host."""

    @property
    def store(self) -> StoreClient: ...

    @property
    def hypercalls(self) -> HypercallClient: ...


class Toolstack(Protocol):
    """Changes to a domain that exists."""

    async def close(self) -> None:
        """Finish what goes on in the background, for some seconds."""

    async def suspend(self, domain: DomainInfo) -> None: ...
    async def resume(self, domain: DomainInfo) -> None: ...
    async def destroy(self, domain: DomainInfo) -> None: ...
    async def shutdown(self, domain: DomainInfo, mode: ShutdownMode, timeout: float) -> Answer | None: ...

    async def set_memory(self, domain: DomainInfo, kib: int) -> int: ...
    async def set_max_memory(self, domain: DomainInfo, kib: int) -> None: ...
    async def set_vcpus(self, domain: DomainInfo, count: int, timeout: float) -> VcpuCount: ...
    async def pin_vcpu(self, domain: DomainInfo, vcpu: int, cpus: Sequence[int], soft: bool) -> None: ...
    async def set_scheduler_parameters(
        self, domain: DomainInfo, weight: int | None, cap: int | None
    ) -> None: ...

    async def rename(self, domain: DomainInfo, name: str) -> None: ...
    async def set_aside(self, domain: DomainInfo, name: str, handle: bytes) -> None: ...
    async def send_sysrq(self, domain: DomainInfo, key: str) -> None: ...
    async def send_trigger(self, domain: DomainInfo, trigger: Trigger, vcpu: int) -> None: ...

    async def attach_device(
        self, domain: DomainInfo, device: Disk | Interface, timeout: float
    ) -> Attaching: ...
    async def detach_device(
        self, domain: DomainInfo, device: Disk | Interface, force: bool, timeout: float
    ) -> Attaching: ...
    async def update_device(
        self, domain: DomainInfo, device: Disk | Interface, timeout: float
    ) -> AttachedDevice: ...


def shown(domain: DomainInfo) -> str:
    """The domain, for messages."""
    return domain.name or str(domain.domid)


def not_domain_0(domain: DomainInfo, operation: str, reason: str) -> None:
    """Refuse what cannot be done to the domain that this daemon runs in."""
    if domain.domid == 0:
        raise Unsupported(f"Domain 0 cannot be {reason}", operation=operation, domain=shown(domain))


def living(domain: DomainInfo, operation: str, *, paused_too: bool = True) -> None:
    """Refuse what needs a kernel that runs: the domain is dying, has shut down or crashed (or is paused)."""
    flags = domain.flags or ""
    if "d" in flags:
        state = "is dying"
    elif "c" in flags:
        state = "has crashed"
    elif "s" in flags:
        state = f"has shut down ({domain.reason.value})"
    elif "p" in flags and not paused_too:
        state = "is paused: resume it first"
    else:
        return
    raise WrongState(
        f"{operation}: domain {shown(domain)} {state}", operation=operation, domain=shown(domain)
    )
