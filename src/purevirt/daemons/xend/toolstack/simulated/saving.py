"""Taking a simulated domain to a file.

As `xl save` does, the guest is asked to suspend itself, through its store; when Xen says that it has, the file is
written and the domain ended. Where anything fails the guest is let go on, and there is no file.
"""

from __future__ import annotations

import time

from purevirt.channels.files.libxl import record
from purevirt.daemons.xend.toolstack import handshake
from purevirt.daemons.xend.toolstack.base import Host, shown
from purevirt.daemons.xend.toolstack.builder import Dump, Report
from purevirt.daemons.xend.toolstack.destroy import destroy
from purevirt.daemons.xend.toolstack.simulated.statefile import fresh, write_core, write_state
from purevirt.errors import OperationError, Timeout, WrongState
from purevirt.model import DomainInfo, ShutdownMode
from purevirt.wire.hypercall.numbers import DomainFlag
from purevirt.wire.hypercall.subops import ShutdownCode

__all__ = ["dump", "save"]

_CODE_SHIFT = 16


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
    with fresh(path, "save", shown(domain)) as file:
        report("asking the guest to suspend itself", 0.1)
        await _suspend(host, domain, wait)
        try:
            report("writing its state", 0.5)
            write_state(file, domain, kept, host.hypercalls.xen_version)
        except BaseException:
            await _go_on(host, domain.domid)
            raise
    report("ending the domain", 0.9)
    await destroy(host, domain, patience)
    report("saved", 1.0)


async def _suspend(host: Host, domain: DomainInfo, wait: float) -> None:
    """Have the guest suspend itself, and wait until Xen says that it has."""
    assert domain.domid is not None
    end = time.monotonic() + wait
    watcher = await host.store.open_watcher()
    try:
        await watcher.add("@releaseDomain")
        answer = await handshake.shutdown(host, domain, ShutdownMode.SUSPEND, wait)
        if answer is not None:
            await answer()
        while not await _suspended(host, domain):
            if await watcher.next(max(0.0, end - time.monotonic())) is None:
                raise Timeout(
                    f"the guest in domain {shown(domain)} did not suspend itself within {wait:.3g} s",
                    operation="save",
                    domain=shown(domain),
                )
    finally:
        await watcher.close()


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


async def _go_on(host: Host, domid: int) -> None:
    """Let a suspended guest go on, and the store tell of its next end."""
    await host.hypercalls.resume_domain(domid)
    await host.store.resume(domid)


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
