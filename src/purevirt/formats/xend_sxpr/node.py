r"""The host: `(node (system Linux) (host vm) …)`, as `/xend/node` answers.

Memory is MiB there. Two keys are tables made for eyes, in one string: `cpu_topology`, whose lines read
`'\ncpu:    core    socket     node\n  0:       0        0        0'`, and `numa_info`, which is not read back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import purevirt.wire.sxp as sxp
from purevirt._typing import Any, NamedTuple
from purevirt.errors import RemoteProtocolError
from purevirt.formats.xend_sxpr.reading import whole
from purevirt.model import HypervisorVersion, NodeInfo, NumaCell
from purevirt.wire.sxp import Node

__all__ = ["XendNode", "node_text", "read_node"]


class XendNode(NamedTuple):
    """What xend shows of the host: the fields are the keys, in their order. What is None is left out.

    `system`, `release`, `version` and `machine` are Domain 0's uname; `hw_caps` the CPU's feature words, `free_cpus`
    those that belong to no pool.
    """

    system: str | None = None
    host: str | None = None
    release: str | None = None
    version: str | None = None
    machine: str | None = None
    nr_cpus: int | None = None
    nr_nodes: int | None = None
    cores_per_socket: int | None = None
    threads_per_core: int | None = None
    cpu_mhz: int | None = None
    hw_caps: str | None = None
    virt_caps: str | None = None
    total_memory: int | None = None
    free_memory: int | None = None
    free_cpus: int | None = None
    cpu_topology: tuple[tuple[int, int, int], ...] | None = None
    """For each CPU its core, socket and node."""
    numa_info: tuple[NumaCell, ...] | None = None
    """None is left out; an empty one is shown as "none"."""
    xen_major: int | None = None
    xen_minor: int | None = None
    xen_extra: str | None = None
    xen_caps: str | None = None
    xen_scheduler: str | None = None
    xen_pagesize: int | None = None
    platform_params: str | None = None
    xen_changeset: str | None = None
    xen_commandline: str | None = None
    cc_compiler: str | None = None
    cc_compile_by: str | None = None
    cc_compile_domain: str | None = None
    cc_compile_date: str | None = None
    xend_config_format: int | None = 4

    @property
    def info(self) -> NodeInfo:
        """libvirt's figures, as far as they are there."""
        per_socket = (self.cores_per_socket or 0) * (self.threads_per_core or 0)
        sockets = None
        if self.nr_cpus is not None and self.nr_nodes and per_socket > 0:
            sockets = max(self.nr_cpus // (self.nr_nodes * per_socket), 1)
        return NodeInfo(
            self.machine,
            None,
            None if self.total_memory is None else self.total_memory * 1024,
            self.nr_cpus,
            self.cpu_mhz,
            self.nr_nodes,
            sockets,
            self.cores_per_socket,
            self.threads_per_core,
        )

    @property
    def hypervisor(self) -> HypervisorVersion | None:
        """Which Xen runs, if it is said."""
        if self.xen_major is None or self.xen_minor is None:
            return None
        return HypervisorVersion(self.xen_major, self.xen_minor, self.xen_extra)


_NUMBERS = frozenset(
    {
        "nr_cpus",
        "nr_nodes",
        "cores_per_socket",
        "threads_per_core",
        "cpu_mhz",
        "total_memory",
        "free_memory",
        "free_cpus",
        "xen_major",
        "xen_minor",
        "xen_pagesize",
        "xend_config_format",
    }
)
_CPU_HEAD = "\ncpu:    core    socket     node"
_NODE_HEAD = "\nnode:    memsize    memfree    distances"


def node_text(node: XendNode) -> str:
    """The whole expression."""
    pairs: list[sxp.Value] = ["node"]
    for key, value in node._asdict().items():
        if value is None:
            continue
        write = _TABLES.get(key)
        pairs.append((key, value if write is None else write(value)))
    return sxp.text(pairs)


def _topology(cpus: Sequence[tuple[int, int, int]]) -> str:
    lines = [f"{cpu:3}:{core:8} {socket:8} {node:8}" for cpu, (core, socket, node) in enumerate(cpus)]
    return "\n".join([_CPU_HEAD, *lines])


def _cells(cells: Sequence[NumaCell]) -> str:
    if not cells:
        return "none"
    lines = []
    for cell in cells:
        free = "-" if cell.free_kib is None else cell.free_kib // 1024
        distances = ",".join("-" if distance is None else str(distance) for distance in cell.distances)
        lines.append(f"{cell.id:4}:{cell.memory_kib // 1024:11}{free:>11}      {distances}")
    return "\n".join([_NODE_HEAD, *lines])


_TABLES: dict[str, Callable[[Any], str]] = {"cpu_topology": _topology, "numa_info": _cells}


def read_node(expression: Node) -> XendNode:
    """The answer of a xend, as far as its keys are known. RemoteProtocolError if it is no such answer."""
    if sxp.head(expression) != "node":
        raise RemoteProtocolError("xend did not answer with the expression of a node", channel="daemon")
    found: dict[str, object] = {"xend_config_format": None}
    for key in XendNode._fields:
        if key == "cpu_topology":
            found[key] = _read_topology(sxp.value(expression, key))
        elif key == "numa_info":
            found[key] = () if sxp.value(expression, key) == "none" else None
        elif key in _NUMBERS:
            found[key] = whole(expression, key)
        else:
            found[key] = sxp.value(expression, key)
    return XendNode._make(found[key] for key in XendNode._fields)


def _read_topology(text: str | None) -> tuple[tuple[int, int, int], ...] | None:
    if text is None or not text.startswith(_CPU_HEAD):
        return None
    cpus: list[tuple[int, int, int]] = []
    for line in text[len(_CPU_HEAD) + 1 :].split("\n"):
        number, _, rest = line.partition(":")
        words = rest.split()
        if len(words) != 3 or not all(word.isascii() and word.isdigit() for word in [number.strip(), *words]):
            return None
        if len(line) > 100 or int(number) != len(cpus):
            return None
        core, socket, node = (int(word) for word in words)
        cpus.append((core, socket, node))
    return tuple(cpus)
