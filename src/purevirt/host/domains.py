"""Domains and virtual CPUs of a simulated hypervisor.

**CPU time.** A vCPU has a load, 0 to 1: which part of a CPU its guest would use if it could. What it gets of it is its
rate, which `accounts` keeps up to date; so is what it got so far.

**State.** What Xen derives from its scheduler is derived from the load here: a vCPU with load 0 is blocked, with any
other it is running. A paused domain's vCPUs are neither: as on Xen, the next event wakes them, and they wait for the
pause to end (until that event, a real one that was paused in its sleep is still called blocked). Nor are a stopped
one's: its last act was a hypercall, on a vCPU that was not blocked.
"""

from __future__ import annotations

from purevirt.host.cpushares import CPU
from purevirt.wire.hypercall.numbers import (
    DomainFlag,
)
from purevirt.wire.hypercall.subops import (
    EmulationFlag,
)

__all__ = ["EMULATION", "SimDomain", "SimVcpu"]

EMULATION = {
    "pv": 0,
    "pvh": int(EmulationFlag.LAPIC),
    "hvm": int(
        EmulationFlag.LAPIC
        | EmulationFlag.HPET
        | EmulationFlag.PM
        | EmulationFlag.RTC
        | EmulationFlag.IOAPIC
        | EmulationFlag.PIC
        | EmulationFlag.VGA
        | EmulationFlag.IOMMU
        | EmulationFlag.PIT
        | EmulationFlag.USE_PIRQ
    ),
}
_NO_CODE = 0xFFFF  # Xen's shutdown code before a shutdown: all ones, more than the field's byte
_DYING = int(DomainFlag.DYING)
_HVM_HAP = int(DomainFlag.HVM_GUEST | DomainFlag.HAP)
_SHUTDOWN = int(DomainFlag.SHUTDOWN)
_PAUSED = int(DomainFlag.PAUSED)
_BLOCKED = int(DomainFlag.BLOCKED)
_RUNNING = int(DomainFlag.RUNNING)


class SimVcpu:
    """A vCPU. `cpu_time`, in ns, is what it had got at the last booking; `rate`, in ns a second, what it gets since."""

    __slots__ = ("cpu", "cpu_time", "hard", "load", "online", "rate", "soft")

    def __init__(self, cpu: int, online: bool, load: float, every_cpu: int) -> None:
        self.cpu = cpu
        self.online = online
        self.load = load
        self.cpu_time = 0
        self.rate = 0
        self.hard = every_cpu
        """Bits of the physical CPUs it may run on; `soft`: should run on."""
        self.soft = every_cpu


class SimDomain:
    """A domain. Made and changed by `Hypervisor`, which books CPU time first."""

    __slots__ = (
        "cap",
        "cpupool",
        "dying",
        "emulation_flags",
        "handle",
        "hvm_params",
        "id",
        "kind",
        "max_pages",
        "max_vcpus",
        "outstanding_pages",
        "paused",
        "populated",
        "shared_info_frame",
        "shutdown_code",
        "ssidref",
        "tot_pages",
        "vcpus",
        "weight",
    )

    def __init__(
        self,
        domid: int,
        handle: bytes,
        kind: str,
        tot_pages: int,
        max_pages: int,
        vcpus: list[SimVcpu],
    ) -> None:
        self.id = domid
        self.handle = handle
        self.kind = kind
        # Domain 0 as PV has a timer chip (PIT) of Xen's: seen on 4.17.
        self.emulation_flags = int(EmulationFlag.PIT) if domid == 0 and kind == "pv" else EMULATION[kind]
        self.tot_pages = tot_pages
        self.max_pages = max_pages
        self.outstanding_pages = 0
        self.vcpus = vcpus
        self.max_vcpus = len(vcpus)
        """How many it was made for: those of one that is being built come later."""
        self.populated: list[tuple[int, int]] = []
        """Where a builder has put memory: guest frames, from the first to before the second. Nothing else has such."""
        self.shared_info_frame = 0x1000 + domid
        self.cpupool = 0
        self.ssidref = 0
        self.paused = 0
        """How many times more it was paused than unpaused."""
        self.shutdown_code: int | None = None
        self.dying = False
        self.weight = 256
        """Of the scheduler; `cap`: in hundredths of a CPU, 0 for none."""
        self.cap = 0
        self.hvm_params: dict[int, int] = {}
        """HVM_PARAM_*, those that are not 0. A kernel with Xen's drivers sets CALLBACK_IRQ when it boots."""

    def __repr__(self) -> str:
        return f"<SimDomain {self.id} {self.kind}>"

    @property
    def domid(self) -> int:
        return self.id

    @property
    def runs(self) -> bool:
        """Whether its vCPUs can be on a CPU."""
        return not self.paused and self.shutdown_code is None and not self.dying

    def cpu_time(self, passed: int) -> int:
        """Of all its vCPUs since its creation, in ns; `passed` is what has passed since the last booking."""
        return sum([vcpu.cpu_time + passed * vcpu.rate // CPU for vcpu in self.vcpus])

    @property
    def online_vcpus(self) -> int:
        return sum([vcpu.online for vcpu in self.vcpus])

    @property
    def flags(self) -> int:
        """XEN_DOMINF_*, with the shutdown code."""
        flags = 0
        online = [vcpu for vcpu in self.vcpus if vcpu.online]
        if online and self.runs:
            flags |= _RUNNING if any(vcpu.load for vcpu in online) else _BLOCKED
        if self.kind != "pv":
            flags |= _HVM_HAP
        if self.dying:
            flags |= _DYING
        if self.paused:
            flags |= _PAUSED
        if self.shutdown_code is None:
            return flags | _NO_CODE << 16
        return flags | _SHUTDOWN | self.shutdown_code << 16
