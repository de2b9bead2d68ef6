"""The structs behind the hypercalls, one declaration each for Xen 4.14 to 4.22.

Read a declaration as the C struct it stands for: `u32("nr_cpus")` is `uint32_t nr_cpus;`, `since=0x15` says
which version of the interface brought the field. Names are those of the C headers, so that they can be
compared with what a compiler says; what users see has names of its own (`messages`).

Source: xen/include/public/{sysctl,domctl,sched,memory,event_channel,version}.h and hvm/hvm_op.h of Xen.

## The two wrappers

Every sysctl passes one address in its first argument, that of

    struct xen_sysctl { uint32_t cmd; uint32_t interface_version; union { …; uint8_t pad[128]; } u; }

and every domctl that of

    struct xen_domctl { uint32_t cmd; uint32_t interface_version; domid_t domain; uint16_t pad[3];
                        union { …; uint8_t pad[128]; } u; }

Xen reads the wrapper, and writes back what the operation changed. Results longer than the union go to a
second buffer that a handle in the union names.
"""

from __future__ import annotations

from purevirt.wire.hypercall.abi import CStruct, handle, i32, text, u8, u16, u32, u64

__all__ = [
    "AVAILHEAP",
    "BUILD_ID",
    "COMPILE_INFO",
    "CPUINFO",
    "CPUPOOL_OP",
    "CPUTOPO",
    "CPUTOPOINFO",
    "CREATEDOMAIN",
    "DEBUG_KEYS",
    "DOMCTL",
    "DOMCTL_U",
    "EVTCHN_ALLOC_UNBOUND",
    "FEATURE_INFO",
    "GETCPUINFO",
    "GETDOMAININFO",
    "GETDOMAININFOLIST",
    "GETVCPUINFO",
    "HVM_PARAM",
    "MAX_MEM",
    "MAX_VCPUS",
    "MEMINFO",
    "MEMORY_RESERVATION",
    "NUMAINFO",
    "PHYSINFO",
    "PLATFORM_PARAMETERS",
    "READCONSOLE",
    "SCHEDULER_OP",
    "SCHED_ID",
    "SCHED_REMOTE_SHUTDOWN",
    "SENDTRIGGER",
    "STRUCTS",
    "SYSCTL",
    "SYSCTL_U",
    "VCPUAFFINITY",
]

SYSCTL = CStruct("xen_sysctl", u32("cmd"), u32("interface_version"), least=136)
SYSCTL_U = 8  # where the union begins

DOMCTL = CStruct("xen_domctl", u32("cmd"), u32("interface_version"), u16("domain"), u16("", 3), least=144)
DOMCTL_U = 16

# --- sysctl

# Before 0x15 `capabilities` was followed by total_pages at once, and the struct had 104 bytes instead of 112.
PHYSINFO = CStruct(
    "xen_sysctl_physinfo",
    u32("threads_per_core"),
    u32("cores_per_socket"),
    u32("nr_cpus"),
    u32("max_cpu_id"),
    u32("nr_nodes"),
    u32("max_node_id"),
    u32("cpu_khz"),
    u32("capabilities"),
    u32("arch_capabilities", since=0x15),
    u32("", since=0x15),
    u64("total_pages"),
    u64("free_pages"),
    u64("scrub_pages"),
    u64("outstanding_pages"),
    u64("max_mfn"),
    u32("hw_cap", 8),
    interface="sysctl",
)

SCHED_ID = CStruct("xen_sysctl_sched_id", u32("sched_id"))

# `buffer` is an array of GETDOMAININFO, `max_domains` long.
GETDOMAININFOLIST = CStruct(
    "xen_sysctl_getdomaininfolist",
    u16("first_domain"),
    u32("max_domains"),
    handle("buffer"),
    u32("num_domains"),
)

# `info` is an array of CPUINFO, `max_cpus` long.
GETCPUINFO = CStruct("xen_sysctl_getcpuinfo", u32("max_cpus"), handle("info"), u32("nr_cpus"))
CPUINFO = CStruct("xen_sysctl_cpuinfo", u64("idletime"))

AVAILHEAP = CStruct(
    "xen_sysctl_availheap", u32("min_bitwidth"), u32("max_bitwidth"), i32("node"), u64("avail_bytes")
)

# `cputopo` is an array of CPUTOPO, `num_cpus` long; a null handle asks how many there are.
CPUTOPOINFO = CStruct("xen_sysctl_cputopoinfo", u32("num_cpus"), handle("cputopo"))
CPUTOPO = CStruct("xen_sysctl_cputopo", u32("core"), u32("socket"), u32("node"))

# `meminfo` is an array of MEMINFO, `num_nodes` long; `distance` one of u32, num_nodes squared. Null handles
# ask how many nodes there are.
NUMAINFO = CStruct("xen_sysctl_numainfo", u32("num_nodes"), handle("meminfo"), handle("distance"))
MEMINFO = CStruct("xen_sysctl_meminfo", u64("memsize"), u64("memfree"))

# Messages go to `buffer`, `count` bytes long before and as many as were written after; `index` is where in all
# of Xen's output they begin (if `incremental`), and end.
READCONSOLE = CStruct(
    "xen_sysctl_readconsole",
    u8("clear"),
    u8("incremental"),
    u8("", 2),
    u32("index"),
    handle("buffer"),
    u32("count"),
)

DEBUG_KEYS = CStruct("xen_sysctl_debug_keys", handle("keys"), u32("nr_keys"))

CPUPOOL_OP = CStruct(
    "xen_sysctl_cpupool_op",
    u32("op"),
    u32("cpupool_id"),
    u32("sched_id"),
    u32("domid"),
    u32("cpu"),
    u32("n_dom"),
    handle("cpumap.bitmap"),
    u32("cpumap.nr_bits"),
)

# --- domctl

# What a domain is made of grew in nearly every release; on x86_64 it has 48 bytes in 4.14, 64 in 4.17, 68 in 4.20.
# Which of them 4.15 and 4.16 have is not known from a compiler.
CREATEDOMAIN = CStruct(
    "xen_domctl_createdomain",
    u32("ssidref"),
    text("handle", 16),
    u32("flags"),
    u32("iommu_opts"),
    u32("max_vcpus"),
    u32("max_evtchn_port"),
    i32("max_grant_frames"),
    i32("max_maptrack_frames"),
    u32("grant_opts", since=0x15),
    u32("altp2m_opts", since=0x17),
    u32("vmtrace_size", since=0x13),
    u32("cpupool_id", since=0x14),
    u32("arch.emulation_flags", arch="x86_64"),
    u32("arch.misc_flags", since=0x13, arch="x86_64"),
    u8("arch.gic_version", arch="arm64"),
    u8("arch.sve_vl", since=0x16, arch="arm64"),
    u16("arch.tee_type", arch="arm64"),
    u32("arch.nr_spis", arch="arm64"),
    u32("arch.clock_frequency", arch="arm64"),
    interface="domctl",
)

MAX_VCPUS = CStruct("xen_domctl_max_vcpus", u32("max"))

# The first 96 bytes have been the same since Xen 4.4; what follows decides the stride of an array of them:
#   4.14, 4.15   arch_config at 96: 104 bytes on x86_64, 112 on arm64
#   since 4.16   gpaddr_bits at 96, arch_config at 104: 112 and 120 bytes
GETDOMAININFO = CStruct(
    "xen_domctl_getdomaininfo",
    u16("domain"),
    u16(""),
    u32("flags"),
    u64("tot_pages"),
    u64("max_pages"),
    u64("outstanding_pages"),
    u64("shr_pages"),
    u64("paged_pages"),
    u64("shared_info_frame"),
    u64("cpu_time"),
    u32("nr_online_vcpus"),
    u32("max_vcpu_id"),
    u32("ssidref"),
    text("handle", 16),
    u32("cpupool"),
    u8("gpaddr_bits", since=0x14),
    u8("", 7, since=0x14),
    u32("arch_config.emulation_flags", arch="x86_64"),
    u32("arch_config.misc_flags", since=0x13, arch="x86_64"),
    u8("arch_config.gic_version", arch="arm64"),
    u8("arch_config.sve_vl", since=0x16, arch="arm64"),
    u16("arch_config.tee_type", arch="arm64"),
    u32("arch_config.nr_spis", arch="arm64"),
    u32("arch_config.clock_frequency", arch="arm64"),
    interface="domctl",
)

GETVCPUINFO = CStruct(
    "xen_domctl_getvcpuinfo",
    u32("vcpu"),
    u8("online"),
    u8("blocked"),
    u8("running"),
    u64("cpu_time"),
    u32("cpu"),
)

# Two xenctl_bitmap { XEN_GUEST_HANDLE_64(uint8) bitmap; uint32_t nr_bits; }, 16 bytes each.
VCPUAFFINITY = CStruct(
    "xen_domctl_vcpuaffinity",
    u32("vcpu"),
    u32("flags"),
    handle("cpumap_hard.bitmap"),
    u32("cpumap_hard.nr_bits"),
    handle("cpumap_soft.bitmap"),
    u32("cpumap_soft.nr_bits"),
)

MAX_MEM = CStruct("xen_domctl_max_mem", u64("max_memkb"))

# The union is that of credit, which credit2 shares; other schedulers have other members, up to 16 bytes.
SCHEDULER_OP = CStruct(
    "xen_domctl_scheduler_op",
    u32("sched_id"),
    u32("cmd"),
    u16("u.credit.weight"),
    u16("u.credit.cap"),
    least=24,
)

SENDTRIGGER = CStruct("xen_domctl_sendtrigger", u32("trigger"), u32("vcpu"))

# --- sched_op, hvm_op, memory_op and event_channel_op (guests call them, too: these never change)

SCHED_REMOTE_SHUTDOWN = CStruct("sched_remote_shutdown", u16("domain_id"), u32("reason"))
HVM_PARAM = CStruct("xen_hvm_param", u16("domid"), u16(""), u32("index"), u64("value"))


# `extent_start` is an array of u64, `nr_extents` long: the guest frame where each extent of 2 ** extent_order pages
# begins.
MEMORY_RESERVATION = CStruct(
    "xen_memory_reservation",
    handle("extent_start"),
    u64("nr_extents"),
    u32("extent_order"),
    u32("mem_flags"),
    u16("domid"),
)

EVTCHN_ALLOC_UNBOUND = CStruct("evtchn_alloc_unbound", u16("dom"), u16("remote_dom"), u32("port"))

# --- xen_version (no interface version: these never change)

COMPILE_INFO = CStruct(
    "xen_compile_info",
    text("compiler", 64),
    text("compile_by", 16),
    text("compile_domain", 32),
    text("compile_date", 32),
)
PLATFORM_PARAMETERS = CStruct("xen_platform_parameters", u64("virt_start"))
FEATURE_INFO = CStruct("xen_feature_info", u32("submap_idx"), u32("submap"))
BUILD_ID = CStruct("xen_build_id", u32("len"))  # `len` bytes follow

STRUCTS: dict[str, CStruct] = {
    struct.name: struct
    for struct in (
        SYSCTL,
        DOMCTL,
        PHYSINFO,
        SCHED_ID,
        GETDOMAININFOLIST,
        GETCPUINFO,
        CPUINFO,
        AVAILHEAP,
        CPUTOPOINFO,
        CPUTOPO,
        NUMAINFO,
        MEMINFO,
        READCONSOLE,
        DEBUG_KEYS,
        CPUPOOL_OP,
        CREATEDOMAIN,
        MAX_VCPUS,
        GETDOMAININFO,
        GETVCPUINFO,
        VCPUAFFINITY,
        MAX_MEM,
        SCHEDULER_OP,
        SENDTRIGGER,
        SCHED_REMOTE_SHUTDOWN,
        HVM_PARAM,
        MEMORY_RESERVATION,
        EVTCHN_ALLOC_UNBOUND,
        COMPILE_INFO,
        PLATFORM_PARAMETERS,
        FEATURE_INFO,
        BUILD_ID,
    )
}
