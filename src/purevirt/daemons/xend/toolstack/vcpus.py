"""Virtual CPUs: how many the guest is asked to run on, and where each may run.

A guest is asked through cpu/N/availability, which its kernel watches (PV and PVH guests of Linux do; an HVM guest's
CPUs are plugged by its device model, so that it may never answer). The answer is the hypervisor's count of vCPUs that
are online; no event tells of it, so it is looked at for a short while.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from purevirt.channels.xenstore.client import Transaction
from purevirt.daemons.xend.toolstack.base import Host, living, shown
from purevirt.errors import InvalidConfig, NoSuchDomain
from purevirt.model import DomainInfo, VcpuCount

__all__ = ["pin_vcpu", "set_vcpus"]

_FIRST_PAUSE, _LONGEST_PAUSE = 0.005, 0.1


async def set_vcpus(host: Host, domain: DomainInfo, count: int, wait: float) -> VcpuCount:
    """Ask for so many, and wait up to `wait` seconds for the guest to have them."""
    living(domain, "set_vcpus")
    assert domain.domid is not None
    most = domain.max_vcpus or 1
    if not 1 <= count <= most:
        raise InvalidConfig(
            f"domain {shown(domain)} can have 1 to {most} vCPUs, not {count}",
            operation="set_vcpus",
            domain=shown(domain),
        )
    nodes = [f"/local/domain/{domain.domid}/cpu/{number}/availability" for number in range(most)]

    async def body(tx: Transaction) -> None:
        values = await tx.read_many(nodes)
        wanted = ["online" if number < count else "offline" for number in range(most)]
        await tx.write_many(
            [(node, new) for node, old, new in zip(nodes, values, wanted, strict=True) if old != new.encode()]
        )

    await host.store.transaction(body)
    return VcpuCount(count, await _online(host, domain, count, 0.0 if "p" in (domain.flags or "") else wait))


async def _online(host: Host, domain: DomainInfo, wanted: int, wait: float) -> int:
    assert domain.domid is not None
    loop = asyncio.get_running_loop()
    end, pause = loop.time() + wait, _FIRST_PAUSE
    while True:
        info = await host.hypercalls.domain_info(domain.domid)
        if info is None or info.handle != domain.handle:
            raise NoSuchDomain(f"domain {shown(domain)} is gone", operation="set_vcpus", domain=shown(domain))
        if info.nr_online_vcpus == wanted or loop.time() + pause > end:
            return info.nr_online_vcpus
        await asyncio.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)


async def pin_vcpu(host: Host, domain: DomainInfo, vcpu: int, cpus: Sequence[int], soft: bool) -> None:
    """On which physical CPUs it may run (or, `soft`, should)."""
    living(domain, "pin_vcpu")
    assert domain.domid is not None
    most = domain.max_vcpus or 1
    last = (await host.hypercalls.physinfo()).max_cpu_id
    problems = []
    if not 0 <= vcpu < most:
        problems.append(f"domain {shown(domain)} has no vCPU {vcpu}: 0 to {most - 1}")
    wrong = sorted({cpu for cpu in cpus if not 0 <= cpu <= last})
    if wrong:
        problems.append(f"the host has no CPU {', '.join(map(str, wrong))}: 0 to {last}")
    if not cpus:
        problems.append("a vCPU needs at least one CPU to run on")
    if problems:
        raise InvalidConfig(
            "; ".join(problems), operation="pin_vcpu", domain=shown(domain), problems=tuple(problems)
        )
    chosen = sorted(set(cpus))
    await host.hypercalls.set_vcpu_affinity(
        domain.domid, vcpu, hard=None if soft else chosen, soft=chosen if soft else None
    )
