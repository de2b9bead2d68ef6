"""The toolstack that needs nothing but hypercalls and the Xen Store. What each change means is in its noun's module."""

from __future__ import annotations

from collections.abc import Sequence

from purevirt.daemons.xend.toolstack import destroy, handshake, memory, naming, power, scheduling, vcpus
from purevirt.daemons.xend.toolstack.base import Host
from purevirt.model import DomainInfo, SchedulerParameters, ShutdownMode, Trigger, VcpuCount

__all__ = ["NativeToolstack"]


class NativeToolstack:
    """See `base.Toolstack`.

    `vcpu_wait`: how long a guest is given to bring vCPUs up or down before its answer is reported, in seconds;
    `backend_wait`: how long the backends of a destroyed domain are given to close.
    """

    def __init__(self, host: Host, *, vcpu_wait: float = 1.0, backend_wait: float = 5.0) -> None:
        self._host = host
        self._vcpu_wait = vcpu_wait
        self._backend_wait = backend_wait

    async def suspend(self, domain: DomainInfo) -> None:
        await power.suspend(self._host, domain)

    async def resume(self, domain: DomainInfo) -> None:
        await power.resume(self._host, domain)

    async def destroy(self, domain: DomainInfo) -> None:
        await destroy.destroy(self._host, domain, self._backend_wait)

    async def shutdown(self, domain: DomainInfo, mode: ShutdownMode, timeout: float) -> None:
        await handshake.shutdown(self._host, domain, mode, timeout)

    async def set_memory(self, domain: DomainInfo, kib: int) -> int:
        return await memory.set_memory(self._host, domain, kib)

    async def set_max_memory(self, domain: DomainInfo, kib: int) -> None:
        await memory.set_max_memory(self._host, domain, kib)

    async def set_vcpus(self, domain: DomainInfo, count: int, timeout: float) -> VcpuCount:
        return await vcpus.set_vcpus(self._host, domain, count, min(self._vcpu_wait, timeout))

    async def pin_vcpu(self, domain: DomainInfo, vcpu: int, cpus: Sequence[int], soft: bool) -> None:
        await vcpus.pin_vcpu(self._host, domain, vcpu, cpus, soft)

    async def scheduler_parameters(self, domid: int) -> SchedulerParameters:
        return await scheduling.scheduler_parameters(self._host, domid)

    async def set_scheduler_parameters(self, domain: DomainInfo, weight: int | None, cap: int | None) -> None:
        await scheduling.set_scheduler_parameters(self._host, domain, weight, cap)

    async def rename(self, domain: DomainInfo, name: str) -> None:
        await naming.rename(self._host, domain, name)

    async def send_sysrq(self, domain: DomainInfo, key: str) -> None:
        await power.send_sysrq(self._host, domain, key)

    async def send_trigger(self, domain: DomainInfo, trigger: Trigger, vcpu: int) -> None:
        await power.send_trigger(self._host, domain, trigger, vcpu)
