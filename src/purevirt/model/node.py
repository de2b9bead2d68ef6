"""The host: its CPUs, memory and hypervisor."""

from __future__ import annotations

from purevirt._typing import NamedTuple

__all__ = ["HypervisorVersion", "NodeInfo", "NumaCell", "Scheduler"]


class HypervisorVersion(NamedTuple):
    """Which Xen runs. `extra` is what the distribution appended (".5-pre"); None: not known.

    `sysctl` and `domctl` are the interface versions the hypervisor accepted, None where no hypercall was made;
    `verified` says how the struct layouts of that pair are known: "compiler" (from the release's own headers),
    "documents", or "probed" (a release unknown to purevirt that answers to a known pair).
    """

    major: int
    minor: int
    extra: str | None = None
    sysctl: int | None = None
    domctl: int | None = None
    verified: str | None = None

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}{self.extra or ''}"

    @property
    def number(self) -> int:
        """libvirt's number: major * 1,000,000 + minor * 1,000 + release (from `extra`, where it begins with one)."""
        digits = ""
        for letter in (self.extra or "").removeprefix("."):
            if not letter.isdigit():
                break
            digits += letter
        return self.major * 1_000_000 + self.minor * 1_000 + int(digits or 0)


class NodeInfo(NamedTuple):
    """libvirt's `virNodeInfo`: the physical machine, not Domain 0. None: not known to this connection."""

    machine: str | None
    """The architecture ("x86_64"): what libvirt calls the model."""
    model: str | None
    """The CPU's own name."""
    memory_kib: int | None
    cpus: int | None
    mhz: int | None
    nodes: int | None
    sockets: int | None
    """Sockets per NUMA node, as `virNodeInfo` counts them."""
    cores: int | None
    """Cores per socket."""
    threads: int | None
    """Threads per core."""


class NumaCell(NamedTuple):
    """One NUMA node: its memory in KiB, and its distance to each node, in the order of the ids (10: itself)."""

    id: int
    memory_kib: int
    free_kib: int | None
    cpus: tuple[int, ...]
    distances: tuple[int | None, ...]


class Scheduler(NamedTuple):
    """The hypervisor's default scheduler: Xen's number for it and its name ("credit2")."""

    id: int
    name: str
