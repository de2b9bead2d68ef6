"""Taking a simulated domain to a file.

As `xl save` does, the guest is asked to suspend itself, through its store; when Xen says that it has, the file is
written and the domain ended. Where anything fails the guest is let go on, and there is no file. A node,
/libxl/DOMID/saving, says meanwhile that it is done, for a daemon that comes after one that was killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import time

from purevirt.channels.files.libxl import record
from purevirt.channels.xenstore.client import Transaction
from purevirt.channels.xenstore.watches import Watcher
from purevirt.daemons.xend.toolstack import handshake
from purevirt.daemons.xend.toolstack.base import Host, shown
from purevirt.daemons.xend.toolstack.builder import Dump, Report
from purevirt.daemons.xend.toolstack.destroy import destroy
from purevirt.daemons.xend.toolstack.simulated.creating import ended
from purevirt.daemons.xend.toolstack.simulated.statefile import fresh, write_core, write_state
from purevirt.errors import OperationError, Timeout, WrongState, XenError
from purevirt.model import DomainInfo, ShutdownMode
from purevirt.wire.hypercall.numbers import DomainFlag
from purevirt.wire.hypercall.subops import ShutdownCode

__all__ = ["abandon", "dump", "save"]

_CODE_SHIFT = 16
_SOON, _AT_ONCE = 5.0, 1.0
"""How long a guest may take, in seconds, to suspend itself after its answer; and where nobody heard whether it
answered."""


async def save(
    host: Host, domain: DomainInfo, path: str, report: Report, wait: float, patience: float
) -> None:
    """`wait`: for the guest, in seconds; `patience`: for backends. OperationError, WrongState, Timeout."""
    assert domain.domid is not None
    kept = record(host.root, domain.domid, str(domain.uuid))
    if kept is None:
        raise OperationError(
            f"save: domain {shown(domain)} has no record of what it was made of",
            operation="save",
            domain=shown(domain),
        )
    suspending = _Suspending(host, domain, wait)
    try:
        with fresh(path, "save", shown(domain)) as file:
            report("asking the guest to suspend itself", 0.1)
            await suspending.ask()
            report("writing its state", 0.5)
            write_state(file, domain, kept, host.hypercalls.xen_version)
    except BaseException:
        await ended(asyncio.create_task(suspending.take_back()))
        raise
    report("ending the domain", 0.9)
    await destroy(host, domain, patience)
    report("saved", 1.0)


class _Suspending:
    """One guest's way into its suspension, and out of it again."""

    def __init__(self, host: Host, domain: DomainInfo, wait: float) -> None:
        assert domain.domid is not None
        self._host = host
        self._domain = domain
        self._domid = domain.domid
        self._wait = wait
        self._node = f"/local/domain/{domain.domid}/control/shutdown"
        self._note = f"/libxl/{domain.domid}/saving"
        self._asked = self._answered = False

    async def ask(self) -> None:
        """Have it suspend itself, and wait until Xen says that it has. Timeout, WrongState."""
        watcher = await self._host.store.open_watcher()
        try:
            await watcher.add("@releaseDomain")
            self._asked = True
            await self._host.store.write(self._note, "")
            answer = await handshake.shutdown(self._host, self._domain, ShutdownMode.SUSPEND, self._wait)
            if answer is not None:
                await answer()
            self._answered = True
            await self._until(watcher, self._wait)
        finally:
            await watcher.close()

    async def find(self) -> None:
        """Go on with what somebody else has begun, if he has."""
        (note,) = await self._host.store.read_many([self._note])
        self._asked = note is not None

    async def take_back(self) -> None:
        """Let it go on, whether it has suspended itself, is about to, or has not even looked."""
        if not self._asked:
            return
        with contextlib.suppress(XenError):  # what is told is why it could not be saved
            await self._let_go_on()
            await self._host.store.rm(self._note)

    async def _let_go_on(self) -> None:
        with contextlib.suppress(Timeout):  # it never suspends itself, and so goes on
            if await self._host.store.transaction(self._withdraw):
                return
            watcher = await self._host.store.open_watcher()
            try:
                await watcher.add("@releaseDomain")
                await self._until(watcher, _SOON if self._answered else _AT_ONCE)
            finally:
                await watcher.close()
            await self._host.hypercalls.resume_domain(self._domid)
            await self._host.store.resume(self._domid)

    async def _withdraw(self, tx: Transaction) -> bool:
        (value,) = await tx.read_many([self._node])
        if value != ShutdownMode.SUSPEND.value.encode():
            return False
        await tx.write(self._node, "")
        return True

    async def _until(self, watcher: Watcher, wait: float) -> None:
        end = time.monotonic() + wait
        while not await _suspended(self._host, self._domain):
            if await watcher.next(max(0.0, end - time.monotonic())) is None:
                raise Timeout(
                    f"the guest in domain {shown(self._domain)} did not suspend itself within {wait:.3g} s",
                    operation="save",
                    domain=shown(self._domain),
                )


async def abandon(host: Host, domain: DomainInfo) -> None:
    """Let a guest go on whose save was cut off, if there was one."""
    suspending = _Suspending(host, domain, 0.0)
    await suspending.find()
    await suspending.take_back()


async def _suspended(host: Host, domain: DomainInfo) -> bool:
    """WrongState: it is gone, or has stopped for another reason."""
    assert domain.domid is not None
    info = await host.hypercalls.domain_info(domain.domid)
    flags = 0 if info is None or info.handle != domain.handle else info.flags
    if flags & DomainFlag.SHUTDOWN and flags >> _CODE_SHIFT & 0xFF == ShutdownCode.SUSPEND:
        return True
    if info is None or info.handle != domain.handle or flags & (DomainFlag.SHUTDOWN | DomainFlag.DYING):
        raise WrongState(
            f"domain {shown(domain)} ended before it was saved", operation="save", domain=shown(domain)
        )
    return False


async def dump(host: Host, domain: DomainInfo, path: str, how: Dump, report: Report, patience: float) -> None:
    """A few lines stand for the memory. OperationError."""
    assert domain.domid is not None
    with fresh(path, "dump", shown(domain)) as file:
        report("writing its memory", 0.1)
        if not how.live:
            await host.hypercalls.pause_domain(domain.domid)
        try:
            write_core(file, domain)
        finally:
            if not how.live:
                await host.hypercalls.unpause_domain(domain.domid)
    if how.crash:
        report("ending the domain", 0.9)
        await destroy(host, domain, patience)
    report("dumped", 1.0)
