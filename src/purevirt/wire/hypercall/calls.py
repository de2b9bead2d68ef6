"""Each hypercall as two functions: one builds the call, one reads its answer. No I/O.

`x(space, versions, …)` places what the call needs into `space` (a `Layout` over the transport's memory) and
returns the `Hypercall`; `x_answer(answer, versions)` returns the message. An answer that the declared struct
cannot hold raises RemoteProtocolError and nothing else; a negative value is not looked at here: the client
turns it into an exception first (`errnos.exception_of`).

These are the calls that look; those that change something are in `changes`.
"""

from __future__ import annotations

import struct

from purevirt.wire.hypercall import structs
from purevirt.wire.hypercall.messages import (
    CompileInfo,
    CpuPoolInfo,
    CpuTopology,
    DomainInfo,
    NumaNode,
    PhysInfo,
    VcpuAffinity,
    VcpuInfo,
)
from purevirt.wire.hypercall.numbers import (
    INVALID_ID,
    INVALID_MEM_SZ,
    Domctl,
    Op,
    Sysctl,
    Xenver,
)
from purevirt.wire.hypercall.values import Answer, Extent, Hypercall, Layout
from purevirt.wire.hypercall.versions import Interface
from purevirt.wire.hypercall.wrappers import (
    CPUMAP_BYTES,
    blank,
    cpus_of,
    domctl,
    extent,
    known,
    sysctl,
    text_of,
    union_of,
)

__all__ = [
    "avail_heap",
    "avail_heap_answer",
    "build_id",
    "build_id_answer",
    "compile_info",
    "compile_info_answer",
    "console_ring",
    "console_ring_answer",
    "cpu_info",
    "cpu_info_answer",
    "cpu_pool",
    "cpu_pool_answer",
    "cpu_topology",
    "cpu_topology_answer",
    "decode_domain_infos",
    "domain_info",
    "domain_info_answer",
    "domain_infos",
    "domain_infos_answer",
    "features",
    "features_answer",
    "hvm_param",
    "hvm_param_answer",
    "numa_info",
    "numa_info_answer",
    "phys_info",
    "phys_info_answer",
    "platform_parameters",
    "platform_parameters_answer",
    "sched_id",
    "sched_id_answer",
    "sched_parameters",
    "sched_parameters_answer",
    "vcpu_affinity",
    "vcpu_affinity_answer",
    "vcpu_info",
    "vcpu_info_answer",
    "version_number",
    "version_text",
    "version_text_answer",
]

# Of `subops`, which a listing does not load; a test compares them.
_CPUPOOL_OP_INFO = 3
_SCHEDOP_GETINFO = 1
_HVMOP_GET_PARAM = 1
_BOTH_AFFINITIES = 3

BUILD_ID_BYTES = 256


# --- xen_version


def version_number(which: Xenver) -> Hypercall:
    """XENVER_version (answers major << 16 | minor) and XENVER_pagesize (bytes): no memory involved."""
    return Hypercall(Op.XEN_VERSION, (which, 0))


def version_text(space: Layout, which: Xenver) -> Hypercall:
    """Extraversion, capabilities, changeset, command line."""
    sizes = {
        Xenver.EXTRAVERSION: 16,
        Xenver.CHANGESET: 64,
        Xenver.CAPABILITIES: 1024,
        Xenver.COMMANDLINE: 1024,
    }
    buffer = blank(space, sizes[which])
    return Hypercall(Op.XEN_VERSION, (which, buffer.address), (buffer,))


def version_text_answer(answer: Answer) -> str:
    return text_of(extent(answer, 0, 1))


def compile_info(space: Layout, versions: Interface) -> Hypercall:
    buffer = blank(space, structs.COMPILE_INFO.at(versions).size)
    return Hypercall(Op.XEN_VERSION, (Xenver.COMPILE_INFO, buffer.address), (buffer,))


def compile_info_answer(answer: Answer, versions: Interface) -> CompileInfo:
    values = union_of(answer, versions, structs.COMPILE_INFO, 0)
    return CompileInfo(*(text_of(values[name]) for name in CompileInfo._fields))


def platform_parameters(space: Layout, versions: Interface) -> Hypercall:
    buffer = blank(space, structs.PLATFORM_PARAMETERS.at(versions).size)
    return Hypercall(Op.XEN_VERSION, (Xenver.PLATFORM_PARAMETERS, buffer.address), (buffer,))


def platform_parameters_answer(answer: Answer, versions: Interface) -> int:
    """Where Xen's own virtual addresses start."""
    start: int = union_of(answer, versions, structs.PLATFORM_PARAMETERS, 0)["virt_start"]
    return start


def features(space: Layout, versions: Interface) -> Hypercall:
    shape = structs.FEATURE_INFO.at(versions)
    buffer = Extent(space.place(shape.size), shape.pack(submap_idx=0))
    return Hypercall(Op.XEN_VERSION, (Xenver.GET_FEATURES, buffer.address), (buffer,))


def features_answer(answer: Answer, versions: Interface) -> int:
    """Bits of `numbers.FEATURES`. There is one submap of 32 so far."""
    submap: int = union_of(answer, versions, structs.FEATURE_INFO, 0)["submap"]
    return submap


def build_id(space: Layout, versions: Interface) -> Hypercall:
    shape = structs.BUILD_ID.at(versions)
    data = shape.pack(len=BUILD_ID_BYTES) + bytes(BUILD_ID_BYTES)
    buffer = Extent(space.place(len(data)), data)
    return Hypercall(Op.XEN_VERSION, (Xenver.BUILD_ID, buffer.address), (buffer,))


def build_id_answer(answer: Answer, versions: Interface) -> bytes:
    start = structs.BUILD_ID.at(versions).size
    return extent(answer, 0, start + answer.value)[start : start + answer.value]


# --- sysctl


def phys_info(space: Layout, versions: Interface) -> Hypercall:
    return sysctl(space, versions, Sysctl.PHYSINFO, b"")


def phys_info_answer(answer: Answer, versions: Interface) -> PhysInfo:
    values = union_of(answer, versions, structs.PHYSINFO, structs.SYSCTL_U)
    return PhysInfo(*(values.get(name) for name in PhysInfo._fields))  # type: ignore[arg-type]  # by the table


def sched_id(space: Layout, versions: Interface) -> Hypercall:
    return sysctl(space, versions, Sysctl.SCHED_ID, b"")


def sched_id_answer(answer: Answer, versions: Interface) -> int:
    """A key of `numbers.SCHEDULERS`."""
    number: int = union_of(answer, versions, structs.SCHED_ID, structs.SYSCTL_U)["sched_id"]
    return number


def avail_heap(
    space: Layout, versions: Interface, node: int, min_bitwidth: int, max_bitwidth: int
) -> Hypercall:
    union = structs.AVAILHEAP.at(versions).pack(
        min_bitwidth=min_bitwidth, max_bitwidth=max_bitwidth, node=node
    )
    return sysctl(space, versions, Sysctl.AVAILHEAP, union)


def avail_heap_answer(answer: Answer, versions: Interface) -> int:
    """Bytes."""
    available: int = union_of(answer, versions, structs.AVAILHEAP, structs.SYSCTL_U)["avail_bytes"]
    return available


def cpu_info(space: Layout, versions: Interface, room: int) -> Hypercall:
    buffer = blank(space, room * structs.CPUINFO.at(versions).size)
    union = structs.GETCPUINFO.at(versions).pack(max_cpus=room, info=buffer.address)
    return sysctl(space, versions, Sysctl.GETCPUINFO, union, buffer)


def cpu_info_answer(answer: Answer, versions: Interface) -> list[int]:
    """Idle time of each physical CPU since boot, ns. As many as there was room for, if there are more."""
    count = union_of(answer, versions, structs.GETCPUINFO, structs.SYSCTL_U)["nr_cpus"]
    reader = structs.CPUINFO.at(versions).reader(("idletime",))
    data = extent(answer, 1, count * reader.size)[: count * reader.size]
    return [idle for (idle,) in reader.iter_unpack(data)]


def cpu_topology(space: Layout, versions: Interface, room: int) -> Hypercall:
    buffer = blank(space, room * structs.CPUTOPO.at(versions).size)
    union = structs.CPUTOPOINFO.at(versions).pack(num_cpus=room, cputopo=buffer.address)
    return sysctl(space, versions, Sysctl.CPUTOPOINFO, union, buffer)


def cpu_topology_answer(answer: Answer, versions: Interface) -> tuple[int, list[CpuTopology]]:
    """How many there are, and those there was room for."""
    count = union_of(answer, versions, structs.CPUTOPOINFO, structs.SYSCTL_U)["num_cpus"]
    reader = structs.CPUTOPO.at(versions).reader(("core", "socket", "node"))
    data = extent(answer, 1, 0)
    data = data[: min(count, len(data) // reader.size) * reader.size]
    cpus = [
        CpuTopology(cpu, known(core), known(socket), known(node))
        for cpu, (core, socket, node) in enumerate(reader.iter_unpack(data))
    ]
    return count, cpus


def numa_info(space: Layout, versions: Interface, room: int) -> Hypercall:
    memory = room * structs.MEMINFO.at(versions).size
    buffer = blank(space, memory + room * room * 4)
    union = structs.NUMAINFO.at(versions).pack(
        num_nodes=room, meminfo=buffer.address, distance=buffer.address + memory
    )
    return sysctl(space, versions, Sysctl.NUMAINFO, union, buffer)


def numa_info_answer(answer: Answer, versions: Interface, room: int) -> tuple[int, list[NumaNode]]:
    """How many there are, and those there was room for.

    `distance` is a matrix with as many columns as the answer has nodes, not as the question had room for.
    """
    count = union_of(answer, versions, structs.NUMAINFO, structs.SYSCTL_U)["num_nodes"]
    reader = structs.MEMINFO.at(versions).reader(("memsize", "memfree"))
    data = extent(answer, 1, room * reader.size + room * room * 4)
    shown = min(count, room)
    row = struct.Struct(f"<{shown}I")
    nodes = []
    for node in range(shown):
        memsize, memfree = reader.unpack_from(data, node * reader.size)
        distances = row.unpack_from(data, room * reader.size + node * row.size)
        nodes.append(
            NumaNode(
                node,
                None if memsize == INVALID_MEM_SZ else memsize,
                None if memfree == INVALID_MEM_SZ else memfree,
                tuple(known(distance) for distance in distances),
            )
        )
    return count, nodes


def cpu_pool(space: Layout, versions: Interface, first: int) -> Hypercall:
    """The CPU pool of that id, or the next one that there is. ENOENT: there is none any more."""
    cpumap = blank(space, CPUMAP_BYTES)
    union = structs.CPUPOOL_OP.at(versions).pack(
        op=_CPUPOOL_OP_INFO,
        cpupool_id=first,
        **{"cpumap.bitmap": cpumap.address, "cpumap.nr_bits": CPUMAP_BYTES * 8},
    )
    return sysctl(space, versions, Sysctl.CPUPOOL_OP, union, cpumap)


def cpu_pool_answer(answer: Answer, versions: Interface) -> CpuPoolInfo:
    values = union_of(answer, versions, structs.CPUPOOL_OP, structs.SYSCTL_U)
    cpus = tuple(sorted(cpus_of(extent(answer, 1, 0))))
    return CpuPoolInfo(values["cpupool_id"], values["sched_id"], values["n_dom"], cpus)


def console_ring(
    space: Layout, versions: Interface, room: int, index: int | None, *, clear: bool
) -> Hypercall:
    """Xen's messages, from `index` on (None: from the oldest that is kept); `clear` forgets what was read."""
    buffer = blank(space, room)
    union = structs.READCONSOLE.at(versions).pack(
        clear=clear, incremental=index is not None, index=index or 0, buffer=buffer.address, count=room
    )
    return sysctl(space, versions, Sysctl.READCONSOLE, union, buffer)


def console_ring_answer(answer: Answer, versions: Interface) -> tuple[bytes, int]:
    """The text, and the index behind it."""
    values = union_of(answer, versions, structs.READCONSOLE, structs.SYSCTL_U)
    count: int = values["count"]
    return extent(answer, 1, count)[:count], values["index"]


# --- domains

_HEAD = (
    "domain",
    "flags",
    "tot_pages",
    "max_pages",
    "outstanding_pages",
    "shr_pages",
    "paged_pages",
    "shared_info_frame",
    "cpu_time",
    "nr_online_vcpus",
    "max_vcpu_id",
    "ssidref",
    "handle",
    "cpupool",
)
_MAX_VCPU_ID = DomainInfo._fields.index("max_vcpu_id")


def decode_domain_infos(data: bytes, versions: Interface) -> list[DomainInfo]:
    """An array of xen_domctl_getdomaininfo. `data` must be whole structs.

    About 1 µs for each: one compiled struct walks the array with the struct's size as its stride, and on x86
    since 4.16 what it yields already is DomainInfo, field by field.
    """
    shape = structs.GETDOMAININFO.at(versions)
    tail = tuple(name for name in ("gpaddr_bits", "arch_config.emulation_flags") if name in shape.offsets)
    rows = shape.reader(_HEAD + tail).iter_unpack(data)
    if len(tail) == 2:
        infos = list(map(DomainInfo._make, rows))
    elif "gpaddr_bits" in tail:
        infos = [DomainInfo._make((*row, None)) for row in rows]
    elif tail:
        infos = [DomainInfo._make((*row[:-1], None, row[-1])) for row in rows]
    else:
        infos = [DomainInfo._make((*row, None, None)) for row in rows]
    for index, info in enumerate(infos):
        if info[_MAX_VCPU_ID] == INVALID_ID:  # rare: a domain that is being built
            infos[index] = info._replace(max_vcpu_id=None)
    return infos


def domain_infos(space: Layout, versions: Interface, first: int, room: int) -> Hypercall:
    """getdomaininfolist: the domains from id `first` on, at most `room`, in the order of their ids."""
    buffer = blank(space, room * structs.GETDOMAININFO.at(versions).size)
    union = structs.GETDOMAININFOLIST.at(versions).pack(
        first_domain=first, max_domains=room, buffer=buffer.address
    )
    return sysctl(space, versions, Sysctl.GETDOMAININFOLIST, union, buffer)


def domain_infos_answer(answer: Answer, versions: Interface) -> list[DomainInfo]:
    count = union_of(answer, versions, structs.GETDOMAININFOLIST, structs.SYSCTL_U)["num_domains"]
    size = count * structs.GETDOMAININFO.at(versions).size
    return decode_domain_infos(extent(answer, 1, size)[:size], versions)


def domain_info(space: Layout, versions: Interface, domid: int) -> Hypercall:
    """getdomaininfo. Before 4.18, Xen answers with the next domain where `domid` is none: compare the ids."""
    return domctl(space, versions, Domctl.GETDOMAININFO, domid)


def domain_info_answer(answer: Answer, versions: Interface) -> DomainInfo:
    end = structs.DOMCTL_U + structs.GETDOMAININFO.at(versions).size
    return decode_domain_infos(extent(answer, 0, end)[structs.DOMCTL_U : end], versions)[0]


def vcpu_info(space: Layout, versions: Interface, domid: int, vcpu: int) -> Hypercall:
    return domctl(
        space, versions, Domctl.GETVCPUINFO, domid, structs.GETVCPUINFO.at(versions).pack(vcpu=vcpu)
    )


def vcpu_info_answer(answer: Answer, versions: Interface) -> VcpuInfo:
    values = union_of(answer, versions, structs.GETVCPUINFO, structs.DOMCTL_U)
    return VcpuInfo(
        vcpu=values["vcpu"],
        online=bool(values["online"]),
        blocked=bool(values["blocked"]),
        running=bool(values["running"]),
        cpu_time=values["cpu_time"],
        cpu=values["cpu"],
    )


def vcpu_affinity(space: Layout, versions: Interface, domid: int, vcpu: int) -> Hypercall:
    hard, soft = blank(space, CPUMAP_BYTES), blank(space, CPUMAP_BYTES)
    union = structs.VCPUAFFINITY.at(versions).pack(
        vcpu=vcpu,
        flags=_BOTH_AFFINITIES,
        **{
            "cpumap_hard.bitmap": hard.address,
            "cpumap_hard.nr_bits": CPUMAP_BYTES * 8,
            "cpumap_soft.bitmap": soft.address,
            "cpumap_soft.nr_bits": CPUMAP_BYTES * 8,
        },
    )
    return domctl(space, versions, Domctl.GETVCPUAFFINITY, domid, union, (hard, soft))


def vcpu_affinity_answer(answer: Answer) -> VcpuAffinity:
    return VcpuAffinity(cpus_of(extent(answer, 1, 0)), cpus_of(extent(answer, 2, 0)))


def sched_parameters(space: Layout, versions: Interface, domid: int, sched_id: int) -> Hypercall:
    """`sched_id` is the scheduler of the domain's CPU pool; EINVAL for any other."""
    union = structs.SCHEDULER_OP.at(versions).pack(sched_id=sched_id, cmd=_SCHEDOP_GETINFO)
    return domctl(space, versions, Domctl.SCHEDULER_OP, domid, union)


def sched_parameters_answer(answer: Answer, versions: Interface) -> tuple[int, int]:
    """Weight and cap, of credit and credit2."""
    values = union_of(answer, versions, structs.SCHEDULER_OP, structs.DOMCTL_U)
    return values["u.credit.weight"], values["u.credit.cap"]


def hvm_param(space: Layout, versions: Interface, domid: int, index: int) -> Hypercall:
    """A parameter (HvmParam) of a PVH or HVM domain; EINVAL for a PV one."""
    shape = structs.HVM_PARAM.at(versions)
    asked = Extent(space.place(shape.size), shape.pack(domid=domid, index=index))
    return Hypercall(Op.HVM_OP, (_HVMOP_GET_PARAM, asked.address), (asked,))


def hvm_param_answer(answer: Answer, versions: Interface) -> int:
    value: int = union_of(answer, versions, structs.HVM_PARAM, 0)["value"]
    return value
