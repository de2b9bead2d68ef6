"""What a simulated host is from its boot on: its hardware, and how its Xen was built.

The numbers are invented and agree with each other; forms, features and limits are those of Debian's Xen 4.17.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from purevirt.wire.hypercall.cpufeatures import feature_words
from purevirt.wire.hypercall.messages import CompileInfo
from purevirt.wire.hypercall.numbers import FEATURES
from purevirt.wire.hypercall.subops import PhysCap
from purevirt.wire.hypercall.versions import ARCHES, RELEASES, Interface

__all__ = ["HostSpec"]

_CAPABILITIES = {
    "x86_64": "xen-3.0-x86_64 hvm-3.0-x86_32 hvm-3.0-x86_32p hvm-3.0-x86_64 ",
    "arm64": "xen-3.0-aarch64 xen-3.0-armv7l ",
}
_DOM0_FEATURES = (
    "pae_pgdir_above_4gb",
    "mmu_pt_update_preserve_ad",
    "highmem_assist",
    "gnttab_map_avail_bits",
    "dom0",
    "memory_op_vnode_supported",
    "direct_mapped",
)
# What every Intel processor has on which Xen runs HVM guests with hardware-assisted paging.
_CPU_FEATURES = (
    "fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 clflush mmx fxsr sse sse2 pni vmx ssse3 "
    "cx16 sse4.1 sse4.2 popcnt syscall nx lm lahf_lm"
)


@dataclass(frozen=True)
class HostSpec:
    """A host. ValueError if the figures do not fit together."""

    xen: tuple[int, int] = (4, 17)
    arch: str = "x86_64"
    cpus: int = 4
    nodes: int = 1
    threads_per_core: int = 1
    memory_kib: int = 16 << 20
    cpu_khz: int = 2_400_000
    extraversion: str = ".4-simulated"
    changeset: str = "Thu Jan 1 00:00:00 1970 +0000 git:0000000000"
    commandline: str = "dom0_mem=1024M,max:1024M"
    scheduler: int = 6  # credit2
    build_id: bytes | None = bytes(range(20))
    compiled: CompileInfo = field(
        default=CompileInfo("simulated", "purevirt", "localdomain", "Thu Jan  1 00:00:00 UTC 1970")
    )

    def __post_init__(self) -> None:
        if self.arch not in ARCHES:
            raise ValueError(f"arch is one of {', '.join(ARCHES)}")
        if self.cpus < 1 or self.nodes < 1 or self.threads_per_core < 1:
            raise ValueError("a host has at least one CPU, node and thread")
        if self.cpus % (self.nodes * self.threads_per_core):
            raise ValueError("the CPUs do not fill the nodes evenly")
        if not any(row.release == self.xen for row in RELEASES):
            raise ValueError(f"Xen {self.xen[0]}.{self.xen[1]} is not simulated")

    @property
    def interface(self) -> Interface:
        """What this Xen answers to."""
        row = next(row for row in RELEASES if row.release == self.xen)
        return row._replace(arch=self.arch)

    @property
    def capabilities(self) -> str:
        return _CAPABILITIES[self.arch]

    @property
    def phys_caps(self) -> int:
        caps = PhysCap.HVM | PhysCap.HAP
        if self.arch == "x86_64":
            caps |= PhysCap.PV
        if self.xen >= (4, 17):
            caps |= PhysCap.GNTTAB_V1 | PhysCap.GNTTAB_V2
        return int(caps)

    @property
    def hw_cap(self) -> tuple[int, ...]:
        return feature_words(_CPU_FEATURES.split() if self.arch == "x86_64" else ())

    @property
    def features(self) -> int:
        return sum(1 << FEATURES.index(name) for name in _DOM0_FEATURES)

    @property
    def virt_start(self) -> int:
        return 0xFFFF_8000_0000_0000 if self.arch == "x86_64" else 0x20_0000

    @property
    def total_pages(self) -> int:
        return self.memory_kib // 4

    @property
    def xen_pages(self) -> int:
        """What Xen keeps for itself: 32 MiB, and a hundredth of the rest."""
        return 8192 + self.total_pages // 100

    @property
    def cores_per_socket(self) -> int:
        """One socket for each node."""
        return self.cpus // (self.nodes * self.threads_per_core)

    def node_of(self, cpu: int) -> int:
        """The node, which is also the socket, of a CPU."""
        return cpu * self.nodes // self.cpus

    def node_pages(self, node: int, pages: int) -> int:
        """A node's even share of so many pages."""
        return (node + 1) * pages // self.nodes - node * pages // self.nodes
