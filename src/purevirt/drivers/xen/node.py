"""The host, as the hypervisor tells it: wire structs in, model out. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from purevirt.drivers.xen.hypervisor import KIB_PER_PAGE
from purevirt.model import NodeInfo, NumaCell
from purevirt.wire.hypercall import messages as wire

__all__ = ["node_info", "numa_cells"]


def node_info(info: wire.PhysInfo, machine: str | None, model: str | None) -> NodeInfo:
    """libvirt's nine figures, from physinfo; the CPU's names come from files."""
    nodes = max(info.nr_nodes, 1)
    per_socket = max(info.cores_per_socket * info.threads_per_core, 1)
    return NodeInfo(
        machine=machine,
        model=model,
        memory_kib=info.total_pages * KIB_PER_PAGE,
        cpus=info.nr_cpus,
        mhz=info.cpu_khz // 1000,
        nodes=nodes,
        sockets=max(info.nr_cpus // (nodes * per_socket), 1),
        cores=info.cores_per_socket,
        threads=info.threads_per_core,
    )


def numa_cells(nodes: Sequence[wire.NumaNode], topology: Sequence[wire.CpuTopology]) -> tuple[NumaCell, ...]:
    """The NUMA nodes that have memory, with their CPUs."""
    cells = []
    for node in nodes:
        if node.memsize is None:
            continue
        cpus = tuple(place.cpu for place in topology if place.node == node.node)
        free = None if node.memfree is None else node.memfree // 1024
        cells.append(NumaCell(node.node, node.memsize // 1024, free, cpus, node.distances))
    return tuple(cells)
