"""Memory: what a guest is asked to balloon to, and what it may hold at most.

As libxl does: the target goes to memory/target (KiB, without the video memory that a device model has), which the
guest's balloon driver watches, and the hypervisor's limit follows it, with some slack for what the guest holds beside
(grant and shared pages), so that a guest that ignores its target cannot take more than it. A limit that is set alone
is only the limit. What the domain was built for, memory/static-max, is never passed.

Not done here, and not needed but for domains that were started with less memory than their maximum before their balloon
driver runs (populate on demand): telling the hypervisor the new PoD target.
"""

from __future__ import annotations

from purevirt.channels.xenstore.client import Transaction
from purevirt.daemons.xend.toolstack.base import Host, living, shown
from purevirt.errors import InvalidConfig
from purevirt.model import DomainInfo

__all__ = ["DOMAIN_0_LEAST", "SLACK", "set_max_memory", "set_memory"]

SLACK = 1024
"""KiB beside the target: LIBXL_MAXMEM_CONSTANT."""

DOMAIN_0_LEAST = 128 << 10
"""KiB that Domain 0 must keep: LIBXL_MIN_DOM0_MEM."""

_LEAST = 4
_MOST = 1 << 42


async def set_memory(host: Host, domain: DomainInfo, kib: int) -> int:
    """Ask for a new size, in KiB. Returns the target as it is in the store."""
    living(domain, "set_memory")
    assert domain.domid is not None
    store, hypercalls, domid = host.store, host.hypercalls, domain.domid
    home = f"/local/domain/{domid}/memory"
    static_max, videoram = await store.read_many([f"{home}/static-max", f"{home}/videoram"])
    most = _number(static_max) or domain.max_memory_kib or _MOST
    video = _number(videoram) or 0
    least = DOMAIN_0_LEAST if domid == 0 else _LEAST + video
    if not least <= kib <= most:
        raise InvalidConfig(
            f"domain {shown(domain)} can have {least} to {most} KiB, not {kib}",
            operation="set_memory",
            domain=shown(domain),
        )
    target = kib - video if domid else kib
    before = domain.max_memory_kib
    await hypercalls.set_max_memory(domid, kib + SLACK)

    async def body(tx: Transaction) -> None:
        await tx.write(f"{home}/target", str(target))

    try:
        await store.transaction(body)
    except BaseException:
        if before is not None:
            await hypercalls.set_max_memory(domid, before)
        raise
    return target


async def set_max_memory(host: Host, domain: DomainInfo, kib: int) -> None:
    """What it may hold at most, in KiB; at least what it is asked to hold now."""
    living(domain, "set_max_memory")
    assert domain.domid is not None
    home = f"/local/domain/{domain.domid}/memory"
    target, videoram = await host.store.read_many([f"{home}/target", f"{home}/videoram"])
    least = max(_LEAST, (_number(target) or 0) + (_number(videoram) or 0))
    if domain.domid == 0:
        least = max(least, DOMAIN_0_LEAST)
    if not least <= kib <= _MOST:
        bound = f"{least} KiB (its target) or more" if kib < least else f"{_MOST} KiB at the most"
        raise InvalidConfig(
            f"the maximum of domain {shown(domain)} can be {bound}, not {kib}",
            operation="set_max_memory",
            domain=shown(domain),
        )
    await host.hypercalls.set_max_memory(domain.domid, kib + SLACK)


def _number(value: bytes | None) -> int | None:
    return int(value) if value is not None and value.isdigit() and len(value) <= 20 else None
