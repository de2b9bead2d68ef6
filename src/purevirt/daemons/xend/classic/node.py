"""`/xend/node`: the host, the hypervisor's messages, and the daemon's own log.

What Domain 0's kernel and /sys/hypervisor say comes from files, everything else from the supervisor. Not shown, since
neither tells: hw_caps, xen_commandline, cc_compile_domain, and cpu_topology.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import cast

from purevirt.channels.files import HostFiles
from purevirt.channels.files.procfs import kernel_text
from purevirt.daemons.xend.classic.answers import TEXT, Answer
from purevirt.daemons.xend.classic.context import Context, Operations, unavailable
from purevirt.errors import Unsupported
from purevirt.formats.xend_sxpr import XendNode, node_text
from purevirt.model import HypervisorVersion, NumaCell, Scheduler
from purevirt.model.events import Event

__all__ = ["DMESG", "NODE", "get_dmesg", "get_log", "get_node"]

_HOST = "not supported: this daemon neither stops nor restarts the host"

NODE: Operations = {"shutdown": unavailable(_HOST), "reboot": unavailable(_HOST)}
DMESG: Operations = {"clear": unavailable("not supported: the hypervisor's messages are for others, too")}

_SCHEDULERS = frozenset({"credit", "credit2", "sedf"})


async def get_node(context: Context) -> Answer:
    """The host, in one expression."""
    reads, files = context.reads, context.files
    info = await reads.node()
    version = cast(HypervisorVersion, await reads.call("version"))
    free = cast(int, await reads.call("free_memory"))
    cells = cast(tuple[NumaCell, ...], await reads.call("numa_cells"))
    scheduler = cast(Scheduler, await reads.call("scheduler"))
    pools = await reads.pools()
    caps = files.property("capabilities")
    node = XendNode(
        system=kernel_text(files.root, "ostype") or "Linux",
        host=cast(str, await reads.call("hostname")),
        release=kernel_text(files.root, "osrelease"),
        version=kernel_text(files.root, "version"),
        machine=info.machine,
        nr_cpus=info.cpus,
        nr_nodes=info.nodes,
        cores_per_socket=info.cores,
        threads_per_core=info.threads,
        cpu_mhz=info.mhz,
        virt_caps=None if caps is None else ("hvm" if "hvm-" in caps else ""),
        total_memory=None if info.memory_kib is None else info.memory_kib // 1024,
        free_memory=free // 1024,
        free_cpus=_free_cpus(info.cpus, [len(pool.cpus) for pool in pools]),
        numa_info=cells,
        xen_major=version.major,
        xen_minor=version.minor,
        xen_extra=version.extra,
        xen_caps=None if caps is None else f"{caps} ",  # Xen ends each with a space
        xen_scheduler=scheduler.name if scheduler.name in _SCHEDULERS else "unknown",
        xen_pagesize=_hexadecimal(files, "pagesize") or 4096,
        platform_params=_virtual_start(files),
        xen_changeset=files.property("changeset"),
        cc_compiler=files.compilation("compiler"),
        cc_compile_by=files.compilation("compiled_by"),
        cc_compile_date=files.compilation("compile_date"),
    )
    return Answer(node_text(node), links=("dmesg", "log"))


def _free_cpus(cpus: int | None, pooled: list[int]) -> int | None:
    return None if cpus is None or not pooled else max(cpus - sum(pooled), 0)


def _hexadecimal(files: HostFiles, name: str) -> int | None:
    try:
        return int(files.property(name) or "", 16)
    except ValueError:
        return None


def _virtual_start(files: HostFiles) -> str | None:
    start = _hexadecimal(files, "virtual_start")
    return None if start is None else f"virt_start=0x{start:x}"


async def get_dmesg(context: Context) -> Answer:
    """The hypervisor's messages, as text."""
    return Answer(cast(str, await context.reads.call("dmesg")), TEXT)


async def get_log(context: Context) -> Answer:
    """What the daemon did and saw, a line for each event of its journal: xend served its log file here."""
    try:
        events = cast(list[Event], await context.reads.call("journal", None, {"since": 0, "wait": 0}))
    except Unsupported:
        events = []
    return Answer("".join(map(_line, events)), TEXT)


def _line(event: Event) -> str:
    when = datetime.fromtimestamp(event.time, UTC).strftime("%Y-%m-%d %H:%M:%S")
    who = event.name or ("-" if event.domid is None else str(event.domid))
    detail = "" if event.detail is None else f" {event.detail}"
    return f"[{when} {event.source.value}] {event.kind.value} {who}{detail}\n"
