"""What things are: domains, their devices, the node. Named tuples and enums; no I/O, no text, no bytes.

Named tuples, not dataclasses: a listing makes one for each domain, three times as fast; and `dataclasses` brings
`inspect` along, which a short program pays for at every start.

Sizes are KiB, times nanoseconds, unless a name says otherwise. None means "not known to this connection": a zero
was measured.
"""

from purevirt.model.devices import BlockDevice, BlockStats, Interface, InterfaceStats
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
from purevirt.model.node import HypervisorVersion, NodeInfo, NumaCell, Scheduler
from purevirt.model.routing import Access, Channel, Route

__all__ = [
    "STATS_GROUPS",
    "Access",
    "BlockDevice",
    "BlockStats",
    "Channel",
    "DomainInfo",
    "DomainRef",
    "DomainState",
    "DomainStats",
    "DomainType",
    "HypervisorVersion",
    "Interface",
    "InterfaceStats",
    "NodeInfo",
    "NumaCell",
    "Route",
    "Scheduler",
    "StateReason",
    "Vcpu",
    "VcpuState",
]
