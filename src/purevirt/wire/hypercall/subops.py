"""Numbers of sub-operations, parameters, capabilities and reasons: what a listing does not load, since making an enum
takes time.

Source: xen/include/public/{sched,memory,event_channel,hvm/hvm_op,hvm/params,sysctl,domctl}.h; the same in Xen 4.14 to
4.22 unless said.
"""

from __future__ import annotations

import enum

__all__ = [
    "CpuPoolOp",
    "CreateFlag",
    "EmulationFlag",
    "EvtchnOp",
    "HvmOp",
    "HvmParam",
    "MemoryOp",
    "PhysCap",
    "SchedOp",
    "SchedulerOp",
    "SendTrigger",
    "ShutdownCode",
    "VcpuAffinityFlag",
]


class SchedOp(enum.IntEnum):
    """SCHEDOP_*: sub-operations of sched_op."""

    REMOTE_SHUTDOWN = 4


class HvmOp(enum.IntEnum):
    """HVMOP_*: sub-operations of hvm_op."""

    SET_PARAM = 0
    GET_PARAM = 1


class HvmParam(enum.IntEnum):
    """HVM_PARAM_*: what HVMOP_get_param can be asked for, and HVMOP_set_param told."""

    CALLBACK_IRQ = 0  # how the guest wants to hear of events; 0: it has no drivers that would
    STORE_PFN = 1
    STORE_EVTCHN = 2
    ACPI_S_STATE = 14  # 0: it runs; 3: it sleeps
    CONSOLE_PFN = 17
    CONSOLE_EVTCHN = 18


class MemoryOp(enum.IntEnum):
    """XENMEM_*: sub-operations of memory_op."""

    POPULATE_PHYSMAP = 6


class EvtchnOp(enum.IntEnum):
    """EVTCHNOP_*: sub-operations of event_channel_op."""

    ALLOC_UNBOUND = 6


class CreateFlag(enum.IntFlag):
    """XEN_DOMCTL_CDF_*: what a new domain is."""

    HVM = 1 << 0  # or PVH; and every domain of arm64
    HAP = 1 << 1
    S3_INTEGRITY = 1 << 2
    OOS_OFF = 1 << 3
    XS_DOMAIN = 1 << 4
    IOMMU = 1 << 5
    NESTED_VIRT = 1 << 6  # this and the next: since 4.15
    VPMU = 1 << 7


class CpuPoolOp(enum.IntEnum):
    """XEN_SYSCTL_CPUPOOL_OP_*."""

    INFO = 3
    FREEINFO = 7


class SchedulerOp(enum.IntEnum):
    """XEN_DOMCTL_SCHEDOP_*."""

    PUTINFO = 0
    GETINFO = 1


class SendTrigger(enum.IntEnum):
    """XEN_DOMCTL_SENDTRIGGER_*; no Xen does anything for RESET and INIT."""

    NMI = 0
    RESET = 1
    INIT = 2
    POWER = 3
    SLEEP = 4


class PhysCap(enum.IntFlag):
    """XEN_SYSCTL_PHYSCAP_*: what the host can do."""

    HVM = 1 << 0
    PV = 1 << 1
    DIRECTIO = 1 << 2
    HAP = 1 << 3
    SHADOW = 1 << 4
    IOMMU_HAP_PT_SHARE = 1 << 5
    VMTRACE = 1 << 6  # this and the next: since 4.15
    VPMU = 1 << 7
    GNTTAB_V1 = 1 << 8  # this and the next: since 4.17
    GNTTAB_V2 = 1 << 9


class EmulationFlag(enum.IntFlag):
    """XEN_X86_EMU_*: which devices Xen emulates for an x86 HVM or PVH domain."""

    LAPIC = 1 << 0
    HPET = 1 << 1
    PM = 1 << 2
    RTC = 1 << 3
    IOAPIC = 1 << 4
    PIC = 1 << 5
    VGA = 1 << 6
    IOMMU = 1 << 7
    PIT = 1 << 8
    USE_PIRQ = 1 << 9
    VPCI = 1 << 10


class VcpuAffinityFlag(enum.IntFlag):
    """XEN_VCPUAFFINITY_*."""

    HARD = 1
    SOFT = 2


class ShutdownCode(enum.IntEnum):
    """SHUTDOWN_* of sched.h: why a domain stopped."""

    POWEROFF = 0
    REBOOT = 1
    SUSPEND = 2
    CRASH = 3
    WATCHDOG = 4
    SOFT_RESET = 5
