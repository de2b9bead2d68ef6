"""Scheduling, as the simulated hypervisor is asked about it: affinity, weights and caps, CPU pools.

Handlers of domctl (they take the domain and the union's bytes) and of sysctl (the union's bytes); each returns what is
written back. What weights and caps do is in `cpushares`.

Source: vcpu_affinity_domctl and sched_adjust in xen/common/sched/core.c, the dom_cntl functions of credit.c and
credit2.c, and cpupool_do_sysctl in cpupool.c.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from purevirt.host.domains import SimDomain
from purevirt.host.memory import CallerMemory, XenError
from purevirt.wire.hypercall import structs
from purevirt.wire.hypercall.numbers import (
    SCHEDULERS,
)
from purevirt.wire.hypercall.subops import (
    CpuPoolOp,
    SchedulerOp,
    VcpuAffinityFlag,
)

if TYPE_CHECKING:
    from purevirt.host.hypervisor import Hypervisor

__all__ = ["cpupool_op", "getvcpuaffinity", "scheduler_op", "setvcpuaffinity"]

_POOL = 0  # there is one pool, with all CPUs and domains
_BY_VCPU = (2, 3)  # XEN_DOMCTL_SCHEDOP_{put,get}vcpuinfo
_UNCHANGED = 0xFFFF

_AFFINITIES = (
    (VcpuAffinityFlag.HARD, "cpumap_hard"),
    (VcpuAffinityFlag.SOFT, "cpumap_soft"),
)


def _asked(hv: Hypervisor, domain: SimDomain, union: bytes) -> dict[str, int]:
    asked = structs.VCPUAFFINITY.at(hv.interface).unpack(union)
    if asked["vcpu"] >= len(domain.vcpus):
        raise XenError(errno.EINVAL)
    wanted = [name for flag, name in _AFFINITIES if asked["flags"] & flag]
    if not wanted or not all(asked[f"{name}.bitmap"] for name in wanted):
        raise XenError(errno.EINVAL)
    return asked


def getvcpuaffinity(hv: Hypervisor, memory: CallerMemory, domain: SimDomain, union: bytes) -> bytes:
    asked = _asked(hv, domain, union)
    vcpu = domain.vcpus[asked["vcpu"]]
    for (flag, name), bits in zip(_AFFINITIES, (vcpu.hard, vcpu.soft), strict=True):
        if asked["flags"] & flag:
            _put_bitmap(memory, asked, name, bits)
    return structs.VCPUAFFINITY.at(hv.interface).pack(**asked)


def setvcpuaffinity(hv: Hypervisor, memory: CallerMemory, domain: SimDomain, union: bytes) -> bytes:
    """Bits of CPUs that do not exist are dropped; what is in force is written back over what was asked for."""
    asked = _asked(hv, domain, union)
    vcpu = domain.vcpus[asked["vcpu"]]
    every = (1 << hv.spec.cpus) - 1
    hard, soft = (
        _get_bitmap(memory, asked, name) & every if asked["flags"] & flag else None
        for flag, name in _AFFINITIES
    )
    if hard == 0:
        raise XenError(errno.EINVAL)
    hv.put_affinity(domain.id, asked["vcpu"], hard, soft)
    if hard is not None:
        _put_bitmap(memory, asked, "cpumap_hard", vcpu.hard)
    if soft is not None:
        _put_bitmap(memory, asked, "cpumap_soft", vcpu.soft & vcpu.hard)
    return structs.VCPUAFFINITY.at(hv.interface).pack(**asked)


def _get_bitmap(memory: CallerMemory, asked: dict[str, int], name: str) -> int:
    bits = asked[f"{name}.nr_bits"]
    data = memory.read(asked[f"{name}.bitmap"], (bits + 7) // 8)
    return int.from_bytes(data, "little") & (1 << bits) - 1


def _put_bitmap(memory: CallerMemory, asked: dict[str, int], name: str, bits: int) -> None:
    """As long as the caller's bitmap is; bits of CPUs that do not exist are clear."""
    size = (asked[f"{name}.nr_bits"] + 7) // 8
    if size > 1 << 16:
        raise XenError(errno.EFAULT)  # no caller's memory is that long
    memory.write(asked[f"{name}.bitmap"], (bits & (1 << 8 * size) - 1).to_bytes(size, "little"))


def scheduler_op(hv: Hypervisor, memory: CallerMemory, domain: SimDomain, union: bytes) -> bytes:
    shape = structs.SCHEDULER_OP.at(hv.interface)
    asked = shape.unpack(union)
    if asked["sched_id"] != hv.spec.scheduler or asked["cmd"] not in (*SchedulerOp, *_BY_VCPU):
        raise XenError(errno.EINVAL)
    name = SCHEDULERS.get(hv.spec.scheduler)
    if name not in ("credit", "credit2"):
        if name == "rtds":
            raise XenError(errno.EOPNOTSUPP)  # its budgets are not simulated
        return union[: shape.size]  # null and arinc653 have no parameters, and say 0 to everything
    if asked["cmd"] == SchedulerOp.GETINFO:
        asked |= {"u.credit.weight": domain.weight, "u.credit.cap": domain.cap}
    elif asked["cmd"] == SchedulerOp.PUTINFO:
        cap = asked["u.credit.cap"]
        hv.set_scheduling(domain.id, weight=asked["u.credit.weight"] or None)
        if name == "credit2" and cap > 100 * len(domain.vcpus):
            raise XenError(errno.EINVAL)  # with the weight already set
        if name == "credit2" or cap != _UNCHANGED:
            hv.set_scheduling(domain.id, cap=cap)
    else:
        raise XenError(errno.EINVAL)
    return shape.pack(**asked)


def cpupool_op(hv: Hypervisor, memory: CallerMemory, union: bytes) -> bytes:
    shape = structs.CPUPOOL_OP.at(hv.interface)
    asked = shape.unpack(union)
    if asked["op"] == CpuPoolOp.INFO:
        if asked["cpupool_id"] > _POOL:
            raise XenError(errno.ENOENT)  # it would be the next pool after the one asked for
        asked |= {"cpupool_id": _POOL, "sched_id": hv.spec.scheduler, "n_dom": len(hv)}
        _put_bitmap(memory, asked, "cpumap", (1 << hv.spec.cpus) - 1)
    elif asked["op"] == CpuPoolOp.FREEINFO:
        _put_bitmap(memory, asked, "cpumap", 0)
    else:
        raise XenError(errno.ENOSYS)  # pools cannot be made or changed here
    return shape.pack(**asked)
