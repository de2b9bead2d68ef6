"""What each operation of the daemon's RPC answers, as one table: operation -> how its JSON becomes the model's value.

`xend_json` uses it; what an entry is made of is in `json_values`. The reads have the names of `drivers.base`, and a
test holds the table to that contract.
"""

from __future__ import annotations

from purevirt.formats import json_values as read
from purevirt.model import (
    AttachedDevice,
    BlockDevice,
    BlockStats,
    Caller,
    Capabilities,
    CpuPool,
    Definition,
    DefinitionText,
    DomainCapabilities,
    DomainInfo,
    DomainRef,
    DomainState,
    DomainStats,
    DomainType,
    Event,
    EventKind,
    EventSource,
    GuestCapabilities,
    HostCapabilities,
    HypervisorVersion,
    Interface,
    InterfaceStats,
    Job,
    JobKind,
    JobState,
    NodeInfo,
    NumaCell,
    Role,
    Scheduler,
    SchedulerParameters,
    StateReason,
    Vcpu,
    VcpuCount,
    VcpuState,
)
from purevirt.model.capabilities import Choice, CpuPlace, HostCell, HostCpu, Support, Toggle

__all__ = ["RESULTS"]

_maybe_integer = read.optional(read.integer)
_maybe_text = read.optional(read.text)

_REF = read.record(DomainRef, handle=read.handle, domid=_maybe_integer, name=_maybe_text)
_INFO = read.record(
    DomainInfo,
    domid=_maybe_integer,
    handle=read.handle,
    name=_maybe_text,
    type=read.optional(read.one_of(DomainType)),
    state=read.one_of(DomainState),
    reason=read.one_of(StateReason),
    memory_kib=_maybe_integer,
    max_memory_kib=_maybe_integer,
    vcpus=_maybe_integer,
    max_vcpus=_maybe_integer,
    cpu_time_ns=_maybe_integer,
    cpupool=_maybe_integer,
    flags=_maybe_text,
    memory_target_kib=_maybe_integer,
    outstanding_kib=_maybe_integer,
)
_VCPU = read.record(
    Vcpu,
    number=read.integer,
    state=read.one_of(VcpuState),
    cpu_time_ns=read.integer,
    cpu=_maybe_integer,
    hard_affinity=read.many(read.integer, frozenset),
    soft_affinity=read.many(read.integer, frozenset),
)
_BLOCK = read.record(
    BlockDevice,
    target=read.text,
    number=read.integer,
    source=_maybe_text,
    device=read.text,
    format=_maybe_text,
    backend=_maybe_text,
    read_only=read.flag,
    backend_domid=read.integer,
    connected=read.flag,
)
_BLOCK_STATS = read.record(
    BlockStats,
    rd_req=read.integer,
    rd_bytes=read.integer,
    wr_req=read.integer,
    wr_bytes=read.integer,
    flush_req=_maybe_integer,
    discard_req=_maybe_integer,
)
_INTERFACE = read.record(
    Interface,
    device=read.text,
    number=read.integer,
    mac=_maybe_text,
    type=read.text,
    source=_maybe_text,
    model=_maybe_text,
    script=_maybe_text,
    backend_domid=read.integer,
    connected=read.flag,
)
_INTERFACE_STATS = read.record(InterfaceStats, **dict.fromkeys(InterfaceStats._fields, read.integer))
_EVENT = read.record(
    Event,
    seq=read.integer,
    time=read.number,
    source=read.one_of(EventSource),
    kind=read.one_of(EventKind),
    domid=_maybe_integer,
    uuid=read.optional(read.uuid),
    name=_maybe_text,
    detail=_maybe_text,
    libvirt_event=_maybe_integer,
    libvirt_detail=_maybe_integer,
)
_ATTACHED = read.record(
    AttachedDevice,
    kind=read.text,
    number=read.integer,
    name=read.text,
    mac=_maybe_text,
    source=_maybe_text,
)
_SCHEDULER_PARAMETERS = read.record(
    SchedulerParameters, scheduler=read.text, weight=read.integer, cap=_maybe_integer
)
_TOGGLE = read.optional(read.record(Toggle, default=read.flag, changeable=read.flag))
_HOST = read.record(
    HostCapabilities,
    cpu=read.record(
        HostCpu,
        arch=read.text,
        vendor=_maybe_text,
        model=_maybe_text,
        sockets=_maybe_integer,
        cores=_maybe_integer,
        threads=_maybe_integer,
        features=read.row(read.text),
    ),
    power_management=read.optional(read.row(read.text)),
    iommu=read.optional(read.flag),
    live_migration=read.flag,
    cells=read.row(
        read.record(
            HostCell,
            id=read.integer,
            memory_kib=_maybe_integer,
            distances=read.row(read.pair(read.integer, read.integer)),
            cpus=read.row(
                read.record(
                    CpuPlace,
                    id=read.integer,
                    socket=_maybe_integer,
                    core=_maybe_integer,
                    siblings=read.row(read.integer),
                )
            ),
        )
    ),
)
_GUEST = read.record(
    GuestCapabilities,
    type=read.one_of(DomainType),
    arch=read.text,
    emulator=_maybe_text,
    loader=_maybe_text,
    pae=read.flag,
    nonpae=read.flag,
    acpi=_TOGGLE,
    apic=_TOGGLE,
    hap=_TOGGLE,
)
_SUPPORT = read.record(
    Support,
    name=read.text,
    supported=read.flag,
    choices=read.row(read.record(Choice, name=read.text, values=read.row(read.text))),
)
_DEFINITION = read.record(
    Definition,
    handle=read.handle,
    name=read.text,
    revision=read.integer,
    format=read.text,
    type=read.one_of(DomainType),
    memory_kib=read.integer,
    max_memory_kib=read.integer,
    vcpus=read.integer,
    max_vcpus=read.integer,
    autostart=read.flag,
    autostart_order=read.integer,
    managed_save=read.flag,
)
_TEXT = read.record(DefinitionText, text=read.text, format=read.text, revision=read.integer)
_JOB = read.record(
    Job,
    id=read.integer,
    kind=read.one_of(JobKind),
    uuid=read.uuid,
    name=read.text,
    state=read.one_of(JobState),
    revision=read.integer,
    started=read.number,
    ended=read.optional(read.number),
    progress=read.optional(read.number),
    step=_maybe_text,
    domid=_maybe_integer,
    error=_maybe_text,
    message=_maybe_text,
    user=read.integer,
)


def _description(value: object) -> object:
    """The types of the description's many records are taken from its own annotations, when there is one."""
    from purevirt.formats.carried import reader
    from purevirt.model.description import ActiveDescription

    return reader(ActiveDescription)(value)


RESULTS: dict[str, read.Reader] = {
    # The host
    "version": read.record(
        HypervisorVersion,
        major=read.integer,
        minor=read.integer,
        extra=_maybe_text,
        sysctl=_maybe_integer,
        domctl=_maybe_integer,
        verified=_maybe_text,
    ),
    "hostname": read.text,
    "node_info": read.record(
        NodeInfo,
        machine=_maybe_text,
        model=_maybe_text,
        **dict.fromkeys(NodeInfo._fields[2:], _maybe_integer),
    ),
    "free_memory": read.integer,
    "numa_cells": read.row(
        read.record(
            NumaCell,
            id=read.integer,
            memory_kib=read.integer,
            free_kib=_maybe_integer,
            cpus=read.row(read.integer),
            distances=read.row(_maybe_integer),
        )
    ),
    "scheduler": read.record(Scheduler, id=read.integer, name=read.text),
    "cpupools": read.row(
        read.record(
            CpuPool,
            id=read.integer,
            name=_maybe_text,
            scheduler=read.text,
            domains=read.integer,
            cpus=read.row(read.integer),
        )
    ),
    "dmesg": read.text,
    "capabilities": read.record(Capabilities, host=_HOST, guests=read.row(_GUEST)),
    "domain_capabilities": read.record(
        DomainCapabilities,
        emulator=read.text,
        type=read.one_of(DomainType),
        arch=read.text,
        max_vcpus=_maybe_integer,
        loaders=read.optional(read.row(read.text)),
        devices=read.row(_SUPPORT),
        features=read.row(_SUPPORT),
    ),
    "journal": read.many(_EVENT),
    "whoami": read.record(
        Caller, uid=read.integer, gid=read.integer, pid=read.integer, role=read.one_of(Role)
    ),
    # Domains
    "list_domains": read.many(_INFO),
    "count_domains": read.integer,
    "lookup_id": _REF,
    "lookup_name": _REF,
    "lookup_uuid": _REF,
    "domain_stats": read.many(
        read.record(
            DomainStats,
            info=_INFO,
            vcpus=read.optional(read.row(_VCPU)),
            blocks=read.optional(read.row(read.pair(_BLOCK, read.optional(_BLOCK_STATS)))),
            interfaces=read.optional(read.row(read.pair(_INTERFACE, read.optional(_INTERFACE_STATS)))),
        )
    ),
    # One domain
    "domid": _maybe_integer,
    "domain_name": _maybe_text,
    "domain_type": read.one_of(DomainType),
    "domain_state": read.pair(read.one_of(DomainState), read.one_of(StateReason)),
    "domain_info": _INFO,
    "max_memory": _maybe_integer,
    "vcpus": read.row(_VCPU),
    "description": _description,
    "block_devices": read.row(_BLOCK),
    "block_stats": _BLOCK_STATS,
    "interfaces": read.row(_INTERFACE),
    "interface_stats": _INTERFACE_STATS,
    "scheduler_parameters": _SCHEDULER_PARAMETERS,
    # Changes
    **dict.fromkeys(
        (
            "suspend",
            "resume",
            "destroy",
            "shutdown",
            "reboot",
            "set_max_memory",
            "pin_vcpu",
            "set_scheduler_parameters",
            "rename",
            "send_sysrq",
            "inject_nmi",
            "send_trigger",
        ),
        read.nothing,
    ),
    **dict.fromkeys(("attach_device", "detach_device", "update_device"), _ATTACHED),
    # Definitions, and domains that are made and leave
    "list_definitions": read.many(_DEFINITION),
    "definition": _DEFINITION,
    "definition_text": _TEXT,
    "define": _DEFINITION,
    "saved_description": _TEXT,
    **dict.fromkeys(("undefine", "set_autostart", "managed_save_remove", "adopt"), read.nothing),
    **dict.fromkeys(
        ("start", "create", "save", "managed_save", "restore", "dump", "migrate", "job", "job_cancel"), _JOB
    ),
    "jobs": read.many(_JOB),
    "job_log": read.many(read.text),
    "set_memory": read.integer,
    "set_vcpus": read.record(VcpuCount, asked=read.integer, online=read.integer),
}
"""Every operation, and how its answer is read: strictly, into the model."""
