"""Every number of the hypercall interface that purevirt uses, by its C name.

Source: xen/include/public/{xen,sysctl,domctl,version,sched,features}.h, hvm/hvm_op.h and hvm/params.h; the same in
Xen 4.14 to 4.22 unless said.
"""

from __future__ import annotations

import enum

__all__ = [
    "DOMID_FIRST_RESERVED",
    "FEATURES",
    "INVALID_ID",
    "INVALID_MEM_SZ",
    "PAGE_SIZE",
    "SCHEDULERS",
    "WEIGHING",
    "DomainFlag",
    "Domctl",
    "Op",
    "Sysctl",
    "Xenver",
]

PAGE_SIZE = 4096
DOMID_FIRST_RESERVED = 0x7FF0  # domids are below it
INVALID_ID = 0xFFFFFFFF  # XEN_INVALID_{CORE,SOCKET,NODE}_ID, _NODE_DIST, _MAX_VCPU_ID: all ~0U
INVALID_MEM_SZ = 0xFFFFFFFF  # also ~0U, in a field of 64 bits


class Op(enum.IntEnum):
    """__HYPERVISOR_*: which hypercall."""

    MEMORY_OP = 12
    XEN_VERSION = 17
    SCHED_OP = 29
    EVENT_CHANNEL_OP = 32
    HVM_OP = 34
    SYSCTL = 35
    DOMCTL = 36


class Xenver(enum.IntEnum):
    """XENVER_*: sub-operations of xen_version."""

    VERSION = 0
    EXTRAVERSION = 1
    COMPILE_INFO = 2
    CAPABILITIES = 3
    CHANGESET = 4
    PLATFORM_PARAMETERS = 5
    GET_FEATURES = 6
    PAGESIZE = 7
    GUEST_HANDLE = 8
    COMMANDLINE = 9
    BUILD_ID = 10


class Sysctl(enum.IntEnum):
    """XEN_SYSCTL_*."""

    READCONSOLE = 1
    PHYSINFO = 3
    SCHED_ID = 4
    GETDOMAININFOLIST = 6
    DEBUG_KEYS = 7
    GETCPUINFO = 8
    AVAILHEAP = 9
    CPUTOPOINFO = 16
    NUMAINFO = 17
    CPUPOOL_OP = 18


class Domctl(enum.IntEnum):
    """XEN_DOMCTL_*."""

    CREATEDOMAIN = 1
    DESTROYDOMAIN = 2
    PAUSEDOMAIN = 3
    UNPAUSEDOMAIN = 4
    GETDOMAININFO = 5
    SETVCPUAFFINITY = 9
    MAX_MEM = 11
    GETVCPUINFO = 14
    MAX_VCPUS = 15
    SCHEDULER_OP = 16
    SETDOMAINHANDLE = 17
    GETVCPUAFFINITY = 25
    RESUMEDOMAIN = 27
    SENDTRIGGER = 28


class DomainFlag(enum.IntFlag):
    """XEN_DOMINF_*; bits 16 to 23 hold the shutdown code."""

    DYING = 1 << 0
    HVM_GUEST = 1 << 1
    SHUTDOWN = 1 << 2
    PAUSED = 1 << 3
    BLOCKED = 1 << 4  # every online vCPU waits for an event
    RUNNING = 1 << 5  # at least one vCPU is on a CPU right now
    DEBUGGED = 1 << 6
    XS_DOMAIN = 1 << 7
    HAP = 1 << 8


SCHEDULERS: dict[int, str] = {5: "credit", 6: "credit2", 7: "arinc653", 8: "rtds", 9: "null"}
"""XEN_SCHEDULER_*, with the names of `sched=` on Xen's command line."""

WEIGHING: tuple[int, ...] = (5, 6)
"""The schedulers whose domains have a weight and a cap: credit and credit2."""

FEATURES: tuple[str, ...] = (
    "writable_page_tables",
    "writable_descriptor_tables",
    "auto_translated_physmap",
    "supervisor_mode_kernel",
    "pae_pgdir_above_4gb",
    "mmu_pt_update_preserve_ad",
    "highmem_assist",
    "gnttab_map_avail_bits",
    "hvm_callback_vector",
    "hvm_safe_pvclock",
    "hvm_pirqs",
    "dom0",
    "grant_map_identity",
    "memory_op_vnode_supported",
    "ARM_SMCCC_supported",
    "linux_rsdp_unrestricted",
    "not_direct_mapped",
    "direct_mapped",
    "runstate_phys_area",
    "vcpu_time_phys_area",
    "dm_msix_all_writes",
)
"""XENFEAT_*: the name of each bit of `features()`, from bit 0."""
