"""What changes a domain: every operation is the Xen daemon's, which holds one lock per domain and an audit log.

On a read-only connection, and where no daemon answered, the table refuses them before a byte is sent.
"""

from __future__ import annotations

from purevirt._typing import TYPE_CHECKING, Any
from purevirt.drivers.xen.connected import Connected

if TYPE_CHECKING:
    from collections.abc import Iterable

    from purevirt.model import AttachedDevice, DomainRef, ShutdownMode, Trigger, VcpuCount

__all__ = ["Changes"]

_ANSWERING = frozenset(("set_memory", "set_vcpus", "attach_device", "detach_device", "update_device"))


class Changes(Connected):
    """What can be done to a domain. `timeout` is in seconds; None: 30 s."""

    async def _change(
        self, operation: str, ref: DomainRef, timeout: float | None, **arguments: object
    ) -> Any:
        self._route(operation)
        from purevirt.drivers.xen.daemon import CHANGE_TIMEOUT

        limit = CHANGE_TIMEOUT if timeout is None else timeout
        answers = operation in _ANSWERING
        return await self.daemon.call(operation, ref, arguments, timeout=limit, answers=answers)

    async def suspend(self, ref: DomainRef, *, timeout: float | None = None) -> None:
        await self._change("suspend", ref, timeout)

    async def resume(self, ref: DomainRef, *, timeout: float | None = None) -> None:
        await self._change("resume", ref, timeout)

    async def destroy(self, ref: DomainRef, *, timeout: float | None = None) -> None:
        await self._change("destroy", ref, timeout)

    async def shutdown(self, ref: DomainRef, mode: ShutdownMode, *, timeout: float | None = None) -> None:
        await self._change("shutdown", ref, timeout, mode=mode)

    async def reboot(self, ref: DomainRef, *, timeout: float | None = None) -> None:
        await self._change("reboot", ref, timeout)

    async def set_memory(self, ref: DomainRef, kib: int, *, timeout: float | None = None) -> int:
        target: int = await self._change("set_memory", ref, timeout, kib=kib)
        return target

    async def set_max_memory(self, ref: DomainRef, kib: int, *, timeout: float | None = None) -> None:
        await self._change("set_max_memory", ref, timeout, kib=kib)

    async def set_vcpus(self, ref: DomainRef, count: int, *, timeout: float | None = None) -> VcpuCount:
        counted: VcpuCount = await self._change("set_vcpus", ref, timeout, count=count)
        return counted

    async def pin_vcpu(
        self,
        ref: DomainRef,
        vcpu: int,
        cpus: Iterable[int],
        *,
        soft: bool = False,
        timeout: float | None = None,
    ) -> None:
        await self._change("pin_vcpu", ref, timeout, vcpu=vcpu, cpus=sorted(set(cpus)), soft=soft)

    async def set_scheduler_parameters(
        self,
        ref: DomainRef,
        *,
        weight: int | None = None,
        cap: int | None = None,
        timeout: float | None = None,
    ) -> None:
        wanted = {"weight": weight, "cap": cap}
        given = {key: value for key, value in wanted.items() if value is not None}
        await self._change("set_scheduler_parameters", ref, timeout, **given)

    async def rename(self, ref: DomainRef, name: str, *, timeout: float | None = None) -> None:
        await self._change("rename", ref, timeout, name=name)

    async def attach_device(
        self, ref: DomainRef, device: str, *, form: str | None = None, timeout: float | None = None
    ) -> AttachedDevice:
        attached: AttachedDevice = await self._change(
            "attach_device", ref, timeout, device=device, format=form
        )
        return attached

    async def detach_device(
        self,
        ref: DomainRef,
        device: str,
        *,
        form: str | None = None,
        force: bool = False,
        timeout: float | None = None,
    ) -> AttachedDevice:
        detached: AttachedDevice = await self._change(
            "detach_device", ref, timeout, device=device, format=form, force=force
        )
        return detached

    async def update_device(
        self, ref: DomainRef, device: str, *, form: str | None = None, timeout: float | None = None
    ) -> AttachedDevice:
        updated: AttachedDevice = await self._change(
            "update_device", ref, timeout, device=device, format=form
        )
        return updated

    async def send_sysrq(self, ref: DomainRef, key: str, *, timeout: float | None = None) -> None:
        await self._change("send_sysrq", ref, timeout, key=key)

    async def inject_nmi(self, ref: DomainRef, *, timeout: float | None = None) -> None:
        await self._change("inject_nmi", ref, timeout)

    async def send_trigger(
        self, ref: DomainRef, trigger: Trigger, vcpu: int = 0, *, timeout: float | None = None
    ) -> None:
        await self._change("send_trigger", ref, timeout, trigger=trigger, vcpu=vcpu)
