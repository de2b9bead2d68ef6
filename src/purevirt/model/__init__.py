"""What things are: domains, their devices, the node. Named tuples and enums; no I/O, no text, no bytes.

Named tuples, not dataclasses: a listing makes one for each domain, three times as fast; and `dataclasses` brings
`inspect` along, which a short program pays for at every start.

Sizes are KiB, times nanoseconds, unless a name says otherwise. None means "not known to this connection": a zero
was measured.

Devices, definitions, jobs, the node, its capabilities, scheduling, events and the daemon's roles are loaded when their
names are first used: a listing has none of them.
"""

from __future__ import annotations

from purevirt._typing import TYPE_CHECKING
from purevirt.model.domain import (
    STATS_GROUPS,
    DomainInfo,
    DomainRef,
    DomainState,
    DomainStats,
    DomainType,
    StateReason,
    Vcpu,
    VcpuState,
)
from purevirt.model.routing import Access, Channel, Route

if TYPE_CHECKING:
    from purevirt.model.access import Caller, Role
    from purevirt.model.capabilities import (
        Capabilities,
        DomainCapabilities,
        GuestCapabilities,
        HostCapabilities,
    )
    from purevirt.model.definitions import Definition, DefinitionText
    from purevirt.model.devices import AttachedDevice, BlockDevice, BlockStats, Interface, InterfaceStats
    from purevirt.model.events import Event, EventKind, EventSource
    from purevirt.model.jobs import Job, JobKind, JobState
    from purevirt.model.node import HypervisorVersion, NodeInfo, NumaCell, Scheduler
    from purevirt.model.scheduling import CpuPool, SchedulerParameters, ShutdownMode, Trigger, VcpuCount

__all__ = [
    "STATS_GROUPS",
    "Access",
    "AttachedDevice",
    "BlockDevice",
    "BlockStats",
    "Caller",
    "Capabilities",
    "Channel",
    "CpuPool",
    "Definition",
    "DefinitionText",
    "DomainCapabilities",
    "DomainInfo",
    "DomainRef",
    "DomainState",
    "DomainStats",
    "DomainType",
    "Event",
    "EventKind",
    "EventSource",
    "GuestCapabilities",
    "HostCapabilities",
    "HypervisorVersion",
    "Interface",
    "InterfaceStats",
    "Job",
    "JobKind",
    "JobState",
    "NodeInfo",
    "NumaCell",
    "Role",
    "Route",
    "Scheduler",
    "SchedulerParameters",
    "ShutdownMode",
    "StateReason",
    "Trigger",
    "Vcpu",
    "VcpuCount",
    "VcpuState",
]

_LATER = {
    **dict.fromkeys(("Caller", "Role"), "access"),
    **dict.fromkeys(
        ("Capabilities", "DomainCapabilities", "GuestCapabilities", "HostCapabilities"), "capabilities"
    ),
    **dict.fromkeys(("Definition", "DefinitionText"), "definitions"),
    **dict.fromkeys(
        ("AttachedDevice", "BlockDevice", "BlockStats", "Interface", "InterfaceStats"), "devices"
    ),
    **dict.fromkeys(("Event", "EventKind", "EventSource"), "events"),
    **dict.fromkeys(("Job", "JobKind", "JobState"), "jobs"),
    **dict.fromkeys(("HypervisorVersion", "NodeInfo", "NumaCell", "Scheduler"), "node"),
    **dict.fromkeys(("CpuPool", "SchedulerParameters", "ShutdownMode", "Trigger", "VcpuCount"), "scheduling"),
}


def __getattr__(name: str) -> object:
    if name not in _LATER:
        raise AttributeError(f"module 'purevirt.model' has no attribute {name!r}")
    value = getattr(__import__(f"purevirt.model.{_LATER[name]}", fromlist=[name]), name)
    globals()[name] = value
    return value
