"""sysctl of the simulated hypervisor: what concerns the host, and the list of domains.

A handler takes the union's bytes and returns what is written back over them.

Source: do_sysctl in xen/common/sysctl.c.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING

from purevirt.host.console import debug_keys, readconsole
from purevirt.host.domains import SimDomain
from purevirt.host.domctl import encode_domain_infos
from purevirt.host.memory import CallerMemory, XenError
from purevirt.host.schedctl import cpupool_op
from purevirt.wire.hypercall import structs
from purevirt.wire.hypercall.numbers import PAGE_SIZE, Sysctl

if TYPE_CHECKING:
    from purevirt.host.hypervisor import Hypervisor

__all__ = ["do_sysctl"]

MAX_NUMNODES = 64
_LOCAL, _REMOTE = 10, 21  # NUMA distances, as firmware gives them


def do_sysctl(hv: Hypervisor, memory: CallerMemory, args: tuple[int, ...]) -> int:
    shape = structs.SYSCTL.at(hv.interface)
    raw = memory.read(args[0], shape.size)
    head = shape.unpack(raw)
    if head["interface_version"] != hv.interface.sysctl:
        raise XenError(errno.EACCES)
    if not hv.privileged:
        raise XenError(errno.EPERM)
    handler = _HANDLERS.get(head["cmd"])
    if handler is None:
        raise XenError(errno.ENOSYS)
    memory.write(args[0] + structs.SYSCTL_U, handler(hv, memory, raw[structs.SYSCTL_U :]))
    return 0


def _physinfo(hv: Hypervisor, memory: CallerMemory, union: bytes) -> bytes:
    spec = hv.spec
    shape = structs.PHYSINFO.at(hv.interface)
    return shape.pack(
        threads_per_core=spec.threads_per_core,
        cores_per_socket=spec.cores_per_socket,
        nr_cpus=spec.cpus,
        max_cpu_id=spec.cpus - 1,
        nr_nodes=spec.nodes,
        max_node_id=MAX_NUMNODES - 1,
        cpu_khz=spec.cpu_khz,
        capabilities=spec.phys_caps,
        total_pages=spec.total_pages,
        free_pages=hv.free_pages,
        outstanding_pages=hv.outstanding_pages,
        max_mfn=spec.total_pages + 0x40000 - 1,  # the hole for devices below 4 GiB
        hw_cap=spec.hw_cap,
    )


def _sched_id(hv: Hypervisor, memory: CallerMemory, union: bytes) -> bytes:
    return structs.SCHED_ID.at(hv.interface).pack(sched_id=hv.spec.scheduler)


def _getdomaininfolist(hv: Hypervisor, memory: CallerMemory, union: bytes) -> bytes:
    shape = structs.GETDOMAININFOLIST.at(hv.interface)
    asked = shape.unpack(union)
    found: list[SimDomain] = []
    for domain in hv.from_id(asked["first_domain"]):
        if len(found) == asked["max_domains"]:
            break
        found.append(domain)
    if found:
        memory.write(asked["buffer"], encode_domain_infos(hv, found))
    return shape.pack(**(asked | {"num_domains": len(found)}))


def _getcpuinfo(hv: Hypervisor, memory: CallerMemory, union: bytes) -> bytes:
    shape = structs.GETCPUINFO.at(hv.interface)
    asked = shape.unpack(union)
    count = min(asked["max_cpus"], hv.spec.cpus)
    if count:
        memory.write(asked["info"], structs.CPUINFO.at(hv.interface).pack(idletime=hv.idle_time()) * count)
    return shape.pack(**(asked | {"nr_cpus": count}))


def _availheap(hv: Hypervisor, memory: CallerMemory, union: bytes) -> bytes:
    shape = structs.AVAILHEAP.at(hv.interface)
    asked = shape.unpack(union)
    node, free = asked["node"], hv.free_pages
    if node != -1:
        free = hv.spec.node_pages(node, free) if 0 <= node < hv.spec.nodes else 0
    return shape.pack(**(asked | {"avail_bytes": free * PAGE_SIZE}))


def _cputopoinfo(hv: Hypervisor, memory: CallerMemory, union: bytes) -> bytes:
    shape = structs.CPUTOPOINFO.at(hv.interface)
    asked = shape.unpack(union)
    spec = hv.spec
    if asked["cputopo"]:
        entry = structs.CPUTOPO.at(hv.interface)
        rows = [
            entry.pack(
                core=cpu // spec.threads_per_core % spec.cores_per_socket,
                socket=spec.node_of(cpu),
                node=spec.node_of(cpu),
            )
            for cpu in range(min(spec.cpus, asked["num_cpus"]))
        ]
        memory.write(asked["cputopo"], b"".join(rows))
    return shape.pack(**(asked | {"num_cpus": spec.cpus}))


def _numainfo(hv: Hypervisor, memory: CallerMemory, union: bytes) -> bytes:
    shape = structs.NUMAINFO.at(hv.interface)
    asked = shape.unpack(union)
    spec = hv.spec
    shown = range(min(spec.nodes, asked["num_nodes"]))
    if asked["meminfo"]:
        entry = structs.MEMINFO.at(hv.interface)
        rows = [
            entry.pack(
                memsize=spec.node_pages(node, spec.total_pages) * PAGE_SIZE,
                memfree=spec.node_pages(node, hv.free_pages) * PAGE_SIZE,
            )
            for node in shown
        ]
        memory.write(asked["meminfo"], b"".join(rows))
    if asked["distance"]:
        matrix = [_LOCAL if row == column else _REMOTE for row in shown for column in shown]
        memory.write(asked["distance"], struct.pack(f"<{len(matrix)}I", *matrix))
    return shape.pack(**(asked | {"num_nodes": spec.nodes}))


_HANDLERS: dict[int, Callable[[Hypervisor, CallerMemory, bytes], bytes]] = {
    Sysctl.PHYSINFO: _physinfo,
    Sysctl.SCHED_ID: _sched_id,
    Sysctl.GETDOMAININFOLIST: _getdomaininfolist,
    Sysctl.GETCPUINFO: _getcpuinfo,
    Sysctl.AVAILHEAP: _availheap,
    Sysctl.CPUTOPOINFO: _cputopoinfo,
    Sysctl.NUMAINFO: _numainfo,
    Sysctl.CPUPOOL_OP: cpupool_op,
    Sysctl.READCONSOLE: readconsole,
    Sysctl.DEBUG_KEYS: debug_keys,
}
