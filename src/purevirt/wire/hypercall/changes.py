"""The hypercalls that change something, each as a builder. No I/O.

Their answers hold nothing but the return value, 0 or a negative errno. `calls` has those that look. Who sends
them sees to it that the interface was verified (`versions`): a struct laid out wrongly would not be refused by
Xen, but obeyed.
"""

from __future__ import annotations

from collections.abc import Iterable

from purevirt.wire.hypercall import structs
from purevirt.wire.hypercall.numbers import (
    Domctl,
    Op,
    Sysctl,
)
from purevirt.wire.hypercall.subops import (
    SchedOp,
    SchedulerOp,
    VcpuAffinityFlag,
)
from purevirt.wire.hypercall.values import Extent, Hypercall, Layout
from purevirt.wire.hypercall.versions import Interface
from purevirt.wire.hypercall.wrappers import CPUMAP_BYTES, domctl, sysctl

__all__ = [
    "MAX_CPUS",
    "debug_keys",
    "destroy_domain",
    "max_mem",
    "pause_domain",
    "put_sched_parameters",
    "remote_shutdown",
    "resume_domain",
    "send_trigger",
    "set_domain_handle",
    "set_vcpu_affinity",
    "unpause_domain",
]

MAX_CPUS = CPUMAP_BYTES * 8


def pause_domain(space: Layout, versions: Interface, domid: int) -> Hypercall:
    """Pauses are counted. EINVAL: the caller's own domain."""
    return domctl(space, versions, Domctl.PAUSEDOMAIN, domid)


def unpause_domain(space: Layout, versions: Interface, domid: int) -> Hypercall:
    """Takes one pause back. EINVAL: there is none."""
    return domctl(space, versions, Domctl.UNPAUSEDOMAIN, domid)


def destroy_domain(space: Layout, versions: Interface, domid: int) -> Hypercall:
    """EAGAIN: to be called again, as often as that is answered. EINVAL: the caller's own domain."""
    return domctl(space, versions, Domctl.DESTROYDOMAIN, domid)


def resume_domain(space: Layout, versions: Interface, domid: int) -> Hypercall:
    """Takes a shutdown back: the guest goes on after its shutdown call. EINVAL: the caller's own domain."""
    return domctl(space, versions, Domctl.RESUMEDOMAIN, domid)


def set_domain_handle(space: Layout, versions: Interface, domid: int, handle: bytes) -> Hypercall:
    """Gives it another handle, of 16 bytes."""
    return domctl(space, versions, Domctl.SETDOMAINHANDLE, domid, handle)


def max_mem(space: Layout, versions: Interface, domid: int, kib: int) -> Hypercall:
    """How much it may have. Xen takes less than it has, too: then it cannot grow."""
    return domctl(space, versions, Domctl.MAX_MEM, domid, structs.MAX_MEM.at(versions).pack(max_memkb=kib))


def set_vcpu_affinity(
    space: Layout,
    versions: Interface,
    domid: int,
    vcpu: int,
    hard: Iterable[int] | None,
    soft: Iterable[int] | None,
) -> Hypercall:
    """None leaves as it is. EINVAL: no such vCPU, or none of `hard` is in its pool. ValueError: CPU 4096 or above."""
    flags = 0
    fields: dict[str, int] = {}
    buffers: list[Extent] = []
    for flag, name, cpus in (
        (VcpuAffinityFlag.HARD, "cpumap_hard", hard),
        (VcpuAffinityFlag.SOFT, "cpumap_soft", soft),
    ):
        if cpus is not None:
            buffer = Extent(space.place(CPUMAP_BYTES), _bitmap(cpus))
            flags |= flag
            fields |= {f"{name}.bitmap": buffer.address, f"{name}.nr_bits": MAX_CPUS}
            buffers.append(buffer)
    union = structs.VCPUAFFINITY.at(versions).pack(vcpu=vcpu, flags=flags, **fields)
    return domctl(space, versions, Domctl.SETVCPUAFFINITY, domid, union, tuple(buffers))


def _bitmap(cpus: Iterable[int]) -> bytes:
    bits = 0
    for cpu in cpus:
        if not 0 <= cpu < MAX_CPUS:
            raise ValueError(f"CPU {cpu} is beyond what a bitmap holds")
        bits |= 1 << cpu
    return bits.to_bytes(CPUMAP_BYTES, "little")


def put_sched_parameters(
    space: Layout, versions: Interface, domid: int, sched_id: int, weight: int, cap: int
) -> Hypercall:
    """Of credit or credit2. EINVAL: `sched_id` is not the pool's, or (credit2) the cap is above 100 for each vCPU.

    In the second case credit2 has set the weight already.
    """
    union = structs.SCHEDULER_OP.at(versions).pack(
        sched_id=sched_id,
        cmd=SchedulerOp.PUTINFO,
        **{"u.credit.weight": weight, "u.credit.cap": cap},
    )
    return domctl(space, versions, Domctl.SCHEDULER_OP, domid, union)


def send_trigger(space: Layout, versions: Interface, domid: int, trigger: int, vcpu: int) -> Hypercall:
    """`trigger`: `subops.SendTrigger`. ESRCH: also no such vCPU. EINVAL: not for a PV domain. ENOSYS: not at all."""
    union = structs.SENDTRIGGER.at(versions).pack(trigger=trigger, vcpu=vcpu)
    return domctl(space, versions, Domctl.SENDTRIGGER, domid, union)


def remote_shutdown(space: Layout, versions: Interface, domid: int, code: int) -> Hypercall:
    """Stops a domain as if its kernel had said so. Of Domain 0 it stops the machine."""
    shape = structs.SCHED_REMOTE_SHUTDOWN.at(versions)
    asked = Extent(space.place(shape.size), shape.pack(domain_id=domid, reason=code))
    return Hypercall(Op.SCHED_OP, (SchedOp.REMOTE_SHUTDOWN, asked.address), (asked,))


def debug_keys(space: Layout, versions: Interface, keys: bytes) -> Hypercall:
    """As if they were typed on Xen's console. One that means nothing is ignored."""
    buffer = Extent(space.place(len(keys)), keys)
    union = structs.DEBUG_KEYS.at(versions).pack(keys=buffer.address, nr_keys=len(keys))
    return sysctl(space, versions, Sysctl.DEBUG_KEYS, union, buffer)
