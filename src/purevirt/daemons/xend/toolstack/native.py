"""The toolstack that needs nothing but hypercalls and the Xen Store. What each change means is in its noun's module."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from typing import Any

from purevirt.daemons.xend.toolstack import destroy, handshake, memory, naming, power, scheduling, vcpus
from purevirt.daemons.xend.toolstack.base import Answer, Attaching, Host
from purevirt.daemons.xend.toolstack.devices import joining, leaving, updating
from purevirt.model import AttachedDevice, DomainInfo, ShutdownMode, Trigger, VcpuCount
from purevirt.model.description import Disk, Interface

__all__ = ["NativeToolstack"]

_CLOSE_TIMEOUT = 10.0

_log = logging.getLogger(__name__)


class NativeToolstack:
    """See `base.Toolstack`.

    `vcpu_wait`: how long a guest is given to bring vCPUs up or down before its answer is reported, in seconds;
    `backend_wait`: how long the backends of a destroyed domain are given to close. Both may change at any time.
    """

    def __init__(self, host: Host, *, vcpu_wait: float = 1.0, backend_wait: float = 5.0) -> None:
        self._host = host
        self.vcpu_wait = vcpu_wait
        self.backend_wait = backend_wait
        self._clearing: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        if self._clearing:
            _, late = await asyncio.wait(self._clearing, timeout=_CLOSE_TIMEOUT)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def suspend(self, domain: DomainInfo) -> None:
        await power.suspend(self._host, domain)

    async def resume(self, domain: DomainInfo) -> None:
        await power.resume(self._host, domain)

    async def destroy(self, domain: DomainInfo) -> None:
        await self._keep(destroy.destroy(self._host, domain, self.backend_wait))

    async def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        """Whoever waits may be cut off: what is left of a domain or a device must go, however long it takes."""
        task = asyncio.create_task(work)
        self._clearing.add(task)
        task.add_done_callback(self._clearing.discard)
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(_report)
            raise

    async def shutdown(self, domain: DomainInfo, mode: ShutdownMode, timeout: float) -> Answer | None:
        return await handshake.shutdown(self._host, domain, mode, timeout)

    async def set_memory(self, domain: DomainInfo, kib: int) -> int:
        return await memory.set_memory(self._host, domain, kib)

    async def set_max_memory(self, domain: DomainInfo, kib: int) -> None:
        await memory.set_max_memory(self._host, domain, kib)

    async def set_vcpus(self, domain: DomainInfo, count: int, timeout: float) -> VcpuCount:
        return await vcpus.set_vcpus(self._host, domain, count, min(self.vcpu_wait, timeout))

    async def pin_vcpu(self, domain: DomainInfo, vcpu: int, cpus: Sequence[int], soft: bool) -> None:
        await vcpus.pin_vcpu(self._host, domain, vcpu, cpus, soft)

    async def set_scheduler_parameters(self, domain: DomainInfo, weight: int | None, cap: int | None) -> None:
        await scheduling.set_scheduler_parameters(self._host, domain, weight, cap)

    async def rename(self, domain: DomainInfo, name: str) -> None:
        await naming.rename(self._host, domain, name)

    async def set_aside(self, domain: DomainInfo, name: str, handle: bytes) -> None:
        await naming.set_aside(self._host, domain, name, handle)

    async def send_sysrq(self, domain: DomainInfo, key: str) -> None:
        await power.send_sysrq(self._host, domain, key)

    async def send_trigger(self, domain: DomainInfo, trigger: Trigger, vcpu: int) -> None:
        await power.send_trigger(self._host, domain, trigger, vcpu)

    async def attach_device(self, domain: DomainInfo, device: Disk | Interface, timeout: float) -> Attaching:
        return await joining.attach(self._host, domain, device, timeout, self._keep)

    async def detach_device(
        self, domain: DomainInfo, device: Disk | Interface, force: bool, timeout: float
    ) -> Attaching:
        return await leaving.detach(self._host, domain, device, force, timeout, self._keep)

    async def update_device(
        self, domain: DomainInfo, device: Disk | Interface, timeout: float
    ) -> AttachedDevice:
        return await updating.update(self._host, domain, device, timeout)


def _report(task: asyncio.Task[None]) -> None:
    """How a clean-up ended that nobody waits for any more."""
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("a clean-up failed: %s", error)
