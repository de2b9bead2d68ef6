"""What is done to a domain that runs, other than its devices: the Xen daemon's."""

from __future__ import annotations

from collections.abc import Iterable

from purevirt._typing import TYPE_CHECKING
from purevirt.api._async.domainbase import AsyncDomainBase
from purevirt.model import DomainRef

if TYPE_CHECKING:
    from purevirt.model import ShutdownMode, Trigger, VcpuCount

__all__ = ["AsyncChanges"]


class AsyncChanges(AsyncDomainBase):
    """The changes.

    All of them raise ReadOnly on a read-only connection and ChannelUnavailable where no daemon answered, and then
    nothing was sent; Denied if the daemon gives this user no such role; NoSuchDomain; Timeout after `timeout` seconds
    (30 by default).
    """

    async def suspend(self, *, timeout: float | None = None) -> None:
        """Take it off the CPUs; it keeps its memory (`virDomainSuspend`). Xen daemon. WrongState if it is paused."""
        await self._driver.suspend(self._ref, timeout=timeout)

    async def resume(self, *, timeout: float | None = None) -> None:
        """Let it run again (`virDomainResume`). Xen daemon. WrongState if it is not paused."""
        await self._driver.resume(self._ref, timeout=timeout)

    async def destroy(self, *, timeout: float | None = None) -> None:
        """End it at once, without asking its kernel, and clear away its devices (`virDomainDestroy`). Xen daemon."""
        await self._driver.destroy(self._ref, timeout=timeout)

    async def shutdown(self, mode: ShutdownMode | str = "poweroff", *, timeout: float | None = None) -> None:
        """Ask its kernel to shut down, and wait until it has taken note (`virDomainShutdownFlags`). Xen daemon.

        `mode`: "poweroff", "reboot", "halt", "suspend" or "crash"; ValueError for another. WrongState: the guest
        refuses. Timeout: it did not answer; whether it will shut down later is unknown. An HVM guest without PV
        drivers is shut down by the hypervisor.
        """
        from purevirt.model import ShutdownMode

        await self._driver.shutdown(self._ref, ShutdownMode(mode), timeout=timeout)

    async def reboot(self, *, timeout: float | None = None) -> None:
        """Ask its kernel to reboot, and wait until it has taken note (`virDomainReboot`). Xen daemon. As
        `shutdown`."""
        await self._driver.reboot(self._ref, timeout=timeout)

    async def set_memory(
        self, kib: int, *, live: bool = True, config: bool = False, timeout: float | None = None
    ) -> int:
        """Ask it to balloon to so many KiB (`virDomainSetMemoryFlags`); returns the target set, in KiB. Xen daemon.

        It answers in its own time: `info().memory_kib` says what it holds. InvalidConfig: more than its maximum, or
        less than it can live with. `config`: its definition as well, for the next start; without `live` that alone.
        """
        from purevirt.api import _editing

        draft = None
        if config:
            draft = await _editing.draft(
                self._driver, self._ref, lambda known: _editing.with_memory(known, kib)
            )
        target = await self._driver.set_memory(self._ref, kib, timeout=timeout) if live else kib
        if draft is not None:
            await draft.define(self._driver)
        return target

    async def set_max_memory(
        self, kib: int, *, live: bool = True, config: bool = False, timeout: float | None = None
    ) -> None:
        """Let it hold so many KiB at most (`virDomainSetMemoryFlags`). Xen daemon. `live`, `config`: as above."""
        from purevirt.api import _editing

        draft = None
        if config:
            draft = await _editing.draft(
                self._driver, self._ref, lambda known: _editing.with_max_memory(known, kib)
            )
        if live:
            await self._driver.set_max_memory(self._ref, kib, timeout=timeout)
        if draft is not None:
            await draft.define(self._driver)

    async def set_vcpus(
        self, count: int, *, live: bool = True, config: bool = False, timeout: float | None = None
    ) -> VcpuCount:
        """Ask it to run on so many vCPUs (`virDomainSetVcpusFlags`); returns what was asked, and how many are online
        now.

        Xen daemon. It answers in its own time. InvalidConfig: fewer than one, or more than it was built with. `live`,
        `config`: as above; without `live` none is online.
        """
        from purevirt.api import _editing
        from purevirt.model import VcpuCount

        draft = None
        if config:
            draft = await _editing.draft(
                self._driver, self._ref, lambda known: _editing.with_vcpus(known, count)
            )
        counted = VcpuCount(count, 0)
        if live:
            counted = await self._driver.set_vcpus(self._ref, count, timeout=timeout)
        if draft is not None:
            await draft.define(self._driver)
        return counted

    async def set_max_vcpus(self, count: int) -> None:
        """Let its next start give it so many vCPUs at most (`virDomainSetVcpusFlags`). Xen daemon."""
        from purevirt.api import _editing

        await _editing.edited(self._driver, self._ref, lambda known: _editing.with_max_vcpus(known, count))

    async def pin_vcpu(
        self, vcpu: int, cpus: Iterable[int], *, soft: bool = False, timeout: float | None = None
    ) -> None:
        """Where a vCPU may run, or, with `soft`, prefers to (`virDomainPinVcpu`). Xen daemon.

        InvalidConfig: no such vCPU, or none of the CPUs exists.
        """
        await self._driver.pin_vcpu(self._ref, vcpu, cpus, soft=soft, timeout=timeout)

    async def set_scheduler_parameters(
        self, *, weight: int | None = None, cap: int | None = None, timeout: float | None = None
    ) -> None:
        """Change its weight (1 to 65535), its cap (percent of a CPU; 0: none), or both
        (`virDomainSetSchedulerParameters`). Xen daemon. ValueError if neither is given."""
        if weight is None and cap is None:
            raise ValueError("give a weight, a cap, or both")
        await self._driver.set_scheduler_parameters(self._ref, weight=weight, cap=cap, timeout=timeout)

    async def rename(self, name: str, *, timeout: float | None = None) -> None:
        """Give it another name (`virDomainRename`). Xen daemon. DomainExists: the name is taken."""
        await self._driver.rename(self._ref, name, timeout=timeout)
        self._ref = DomainRef(self._ref.handle, self._ref.domid, name)

    async def send_sysrq(self, key: str, *, timeout: float | None = None) -> None:
        """Press a magic SysRq key, one character, in its Linux kernel (nearest: `virDomainSendKey`). Xen daemon."""
        await self._driver.send_sysrq(self._ref, key, timeout=timeout)

    async def inject_nmi(self, *, timeout: float | None = None) -> None:
        """Send its first vCPU a non-maskable interrupt (`virDomainInjectNMI`). Xen daemon."""
        await self._driver.inject_nmi(self._ref, timeout=timeout)

    async def send_trigger(
        self, trigger: Trigger | str, vcpu: int = 0, *, timeout: float | None = None
    ) -> None:
        """Press a button from outside: "nmi", "reset", "init", "power" or "sleep" (`xl trigger`). Xen daemon.

        ValueError for another word. Unsupported for what this kind of domain has not.
        """
        from purevirt.model import Trigger

        await self._driver.send_trigger(self._ref, Trigger(trigger), vcpu, timeout=timeout)
