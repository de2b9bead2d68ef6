"""A description's CPUs and memory: how many, how much, where, and what the guest sees of them."""

from __future__ import annotations

from purevirt._typing import NamedTuple

__all__ = ["CpuFlag", "Cpus", "Memory", "NumaNode", "Scheduling"]


class Memory(NamedTuple):
    """Sizes in KiB.

    `kib` is what the domain starts with, `max_kib` the most it may balloon to (None: the same). `shadow_kib` is for
    shadow or HAP page tables, `mmio_hole_kib` the gap below 4 GiB, `vmtrace_kib` a trace buffer for each vCPU.
    """

    kib: int = 128 * 1024
    max_kib: int | None = None
    shadow_kib: int | None = None
    mmio_hole_kib: int | None = None
    vmtrace_kib: int | None = None
    max_grant_frames: int | None = None
    max_maptrack_frames: int | None = None
    max_grant_version: int | None = None
    max_event_channels: int | None = None
    claim: bool | None = None


class NumaNode(NamedTuple):
    """One NUMA node that the guest sees. `vcpus` is a list of CPUs ("0-3,^2"), `pnode` the host's node its memory comes
    from, `distances` has a number for each node (10: itself)."""

    kib: int
    vcpus: str
    pnode: int | None = None
    distances: tuple[int, ...] = ()


class CpuFlag(NamedTuple):
    """One thing CPUID says, and how: `value` is "1", "0", "x" (what Xen would do), "k" (the host's, kept over
    migration), "s" (the host's, constant), or a number."""

    name: str
    value: str

    @property
    def key(self) -> str:
        return self.name


class Cpus(NamedTuple):
    """vCPUs: `online` at the start, `maximum` later (None: the same).

    `affinity` is where they may run, `soft_affinity` where they would rather: each a list of CPUs in xl's words
    ("0-3,^2", "node:1", "all"), one for all vCPUs or one for each. `flags` change what the guest sees in CPUID; with
    `flags_from` "host" they are changes to the host's, as Xen shows it. `registers` are CPUID rules in xend's old
    words, each "leaf[,subleaf]:register=bits…".
    """

    online: int = 1
    maximum: int | None = None
    affinity: tuple[str, ...] = ()
    soft_affinity: tuple[str, ...] = ()
    numa: tuple[NumaNode, ...] = ()
    flags_from: str | None = None
    flags: tuple[CpuFlag, ...] = ()
    registers: tuple[str, ...] = ()


class Scheduling(NamedTuple):
    """A share of the host's CPUs: `weight` relative to others' (256), `cap` in percent of one CPU (0: none), the pool
    it runs in."""

    weight: int | None = None
    cap: int | None = None
    cpupool: str | None = None
