"""Makes the domains of a simulated host, by the hypercalls and nodes with which a builder makes those of a real one.

A simulated host has no disks and no memory that holds a kernel: sources and kernels are not looked at, and the kernel
that is in a domain is the simulated one, which starts when the domain first runs. What else such a host has no notion
of is accepted, and comes to nothing. `creating` makes a domain, `saving` takes it to a file (`statefile`) and back,
`rings` is how it is told which pages its rings are.
"""

from __future__ import annotations

import asyncio

from purevirt.daemons.xend.toolstack.base import Host, living, not_domain_0, shown
from purevirt.daemons.xend.toolstack.builder import Dump, Migration, Report, Saved
from purevirt.daemons.xend.toolstack.simulated import creating, saving, statefile
from purevirt.errors import Unsupported
from purevirt.model import DomainInfo, DomainState, StateReason
from purevirt.model.description import DomainDescription

__all__ = ["SimulatedBuilder"]


class SimulatedBuilder:
    """See `builder.Builder`.

    `patience`: how long the backends of a domain that goes are given to close, in seconds; `suspend_wait`: how long a
    guest is given to suspend itself when it is saved.
    """

    def __init__(self, host: Host, *, patience: float = 5.0, suspend_wait: float = 60.0) -> None:
        self._host = host
        self._patience = patience
        self._suspend_wait = suspend_wait

    async def check(self, description: DomainDescription) -> None:
        await creating.check(self._host, description)

    async def create(self, description: DomainDescription, report: Report) -> int:
        await creating.check(self._host, description)
        return await creating.create(self._host, description, report, self._patience)

    async def save(self, domain: DomainInfo, path: str, report: Report) -> None:
        not_domain_0(domain, "save", "saved: this daemon runs in it")
        living(domain, "save", paused_too=False)
        await saving.save(self._host, domain, path, report, self._suspend_wait, self._patience)

    async def inspect(self, path: str) -> Saved:
        state = await asyncio.to_thread(statefile.read, path)
        return Saved(state.description, state.xen_version)

    async def restore(self, path: str, description: DomainDescription | None, report: Report) -> int:
        state = await asyncio.to_thread(statefile.read, path)
        report("reading the state", 0.1)
        chosen = state.applied_to(state.description if description is None else description)
        return await self.create(chosen, report)

    async def dump(self, domain: DomainInfo, path: str, how: Dump, report: Report) -> None:
        not_domain_0(domain, "dump", "dumped from within")
        await saving.dump(self._host, domain, path, how, report, self._patience)

    async def migrate(self, domain: DomainInfo, where: Migration, report: Report) -> None:
        raise Unsupported(
            f"domain {shown(domain)} cannot leave a simulated host: save and restore it",
            operation="migrate",
            domain=shown(domain),
        )

    async def abandon(self, handle: bytes) -> None:
        """Nothing runs outside of this daemon; but a guest may wait to be let go on."""
        for info in await self._host.hypercalls.domain_infos():
            if info.handle == handle and info.domid:
                domain = DomainInfo(
                    info.domid, handle, None, None, DomainState.NOSTATE, StateReason.UNKNOWN, *[None] * 5
                )
                await saving.abandon(self._host, domain)
