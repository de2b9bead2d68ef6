"""What things are: domains, their devices, the node. Frozen dataclasses and enums; no I/O, no text, no bytes.

Sizes are KiB, times nanoseconds, unless a name says otherwise. None means "not known to this connection": a zero
was measured.
"""

from purevirt.model.devices import BlockDevice, BlockStats, Interface, InterfaceStats
from purevirt.model.domain import (
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
