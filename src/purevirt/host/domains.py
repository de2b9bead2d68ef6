"""Domains and virtual CPUs of a simulated hypervisor.

**CPU time.** A vCPU has a load, 0 to 1: which part of a CPU its guest uses. While its domain runs, its CPU
time grows by load × time, computed when somebody asks; nothing ticks. Before anything changes how fast it
grows (pause, load, shutdown …), `settle` adds up what has accrued so far.

**State.** What Xen derives from its scheduler is derived from the load here: a vCPU with load 0 is blocked, with any
other it is running. A paused domain's vCPUs are neither: as on Xen, the next event wakes them, and they wait for the
pause to end. Nor are a stopped one's: its last act was a hypercall, on a vCPU that was not blocked.
"""

from __future__ import annotations

from purevirt.wire.hypercall.numbers import DomainFlag, EmulationFlag

__all__ = ["SimDomain", "SimVcpu"]

_EMULATION = {
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
    """A virtual CPU. `cpu_time` (ns) is what had accrued when its domain was last settled."""

    __slots__ = ("cpu", "cpu_time", "hard", "load", "online", "soft")

    def __init__(self, cpu: int, online: bool, load: float, every_cpu: int) -> None:
        self.cpu = cpu
        self.online = online
        self.load = load
        self.cpu_time = 0
        self.hard = every_cpu
        """Bits of the physical CPUs it may run on; `soft`: should run on."""
        self.soft = every_cpu


class SimDomain:
    """A domain. Made and changed by `Hypervisor`, which settles it first."""

    __slots__ = (
        "cpupool",
        "dying",
        "emulation_flags",
        "handle",
        "id",
        "kind",
        "max_pages",
        "outstanding_pages",
        "paused",
        "settled_at",
        "shared_info_frame",
        "shutdown_code",
        "ssidref",
        "tot_pages",
        "vcpus",
    )

    def __init__(
        self,
        domid: int,
        handle: bytes,
        kind: str,
        tot_pages: int,
        max_pages: int,
        vcpus: list[SimVcpu],
        now: int,
    ) -> None:
        self.id = domid
        self.handle = handle
        self.kind = kind
        # Domain 0 as PV has a timer chip (PIT) of Xen's: seen on 4.17.
        self.emulation_flags = int(EmulationFlag.PIT) if domid == 0 and kind == "pv" else _EMULATION[kind]
        self.tot_pages = tot_pages
        self.max_pages = max_pages
        self.outstanding_pages = 0
        self.vcpus = vcpus
        self.shared_info_frame = 0x1000 + domid
        self.cpupool = 0
        self.ssidref = 0
        self.paused = 0
        """How many times more it was paused than unpaused."""
        self.shutdown_code: int | None = None
        self.dying = False
        self.settled_at = now

    def __repr__(self) -> str:
        return f"<SimDomain {self.id} {self.kind}>"

    @property
    def domid(self) -> int:
        return self.id

    @property
    def runs(self) -> bool:
        """Whether its vCPUs can be on a CPU."""
        return not self.paused and self.shutdown_code is None and not self.dying

    def settle(self, now: int) -> None:
        """Book the CPU time that has accrued until now."""
        if self.runs:
            passed = now - self.settled_at
            for vcpu in self.vcpus:
                if vcpu.online and vcpu.load:
                    vcpu.cpu_time += int(passed * vcpu.load)
        self.settled_at = now

    def cpu_time(self, now: int) -> int:
        """Of all its vCPUs since its creation, in ns."""
        return sum([self.vcpu_time(vcpu, now) for vcpu in self.vcpus])

    def vcpu_time(self, vcpu: SimVcpu, now: int) -> int:
        """Of one vCPU, in ns."""
        if vcpu.load and vcpu.online and self.runs:
            return vcpu.cpu_time + int((now - self.settled_at) * vcpu.load)
        return vcpu.cpu_time

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
