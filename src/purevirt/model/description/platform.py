"""The machine that a described guest finds itself on: features, clock, and the program that emulates the rest."""

from __future__ import annotations

import enum

from purevirt._typing import NamedTuple

__all__ = ["Altp2m", "Clock", "DeviceModel", "Features", "ReservedMemory", "Security", "TimerMode", "TscMode"]


class Altp2m(enum.Enum):
    """Who may use alternate page tables."""

    DISABLED = "disabled"
    MIXED = "mixed"
    EXTERNAL = "external"
    LIMITED = "limited"


class Features(NamedTuple):
    """Switches; None: the toolstack's default.

    `viridian` are the groups of Hyper-V's enlightenments ("base", "!freq" without it; "defaults", "all"). `migratable`
    False forbids saving and migrating. `passthrough` is how the IOMMU is used ("disabled", "enabled", "sync_pt",
    "share_pt"), `tee` a trusted environment ("optee"), `gic` and `vuart` belong to Arm, `machine_check` are capability
    words ("lmce").
    """

    acpi: bool | None = None
    acpi_s3: bool | None = None
    acpi_s4: bool | None = None
    acpi_laptop_slate: bool | None = None
    apic: bool | None = None
    pae: bool | None = None
    nx: bool | None = None
    hap: bool | None = None
    oos: bool | None = None
    nested_hvm: bool | None = None
    altp2m: Altp2m | None = None
    viridian: tuple[str, ...] = ()
    xen_platform_pci: bool | None = None
    e820_host: bool | None = None
    vpmu: bool | None = None
    msr_relaxed: bool | None = None
    machine_check: tuple[str, ...] = ()
    migratable: bool | None = None
    suspend_event_channel_compat: bool | None = None
    driver_domain: bool | None = None
    passthrough: str | None = None
    tee: str | None = None
    gic: str | None = None
    sve: str | None = None
    vuart: str | None = None
    xend_platform: tuple[tuple[str, str], ...] = ()
    vendor_device: str | None = None
    hdtype: str | None = None


class TscMode(enum.Enum):
    """How the time stamp counter behaves (xen-tscmode(7))."""

    DEFAULT = "default"
    ALWAYS_EMULATE = "always_emulate"
    NATIVE = "native"
    NATIVE_PARAVIRT = "native_paravirt"


class TimerMode(enum.Enum):
    """What happens to timer ticks that came while the guest did not run."""

    DELAY_FOR_MISSED_TICKS = "delay_for_missed_ticks"
    NO_DELAY_FOR_MISSED_TICKS = "no_delay_for_missed_ticks"
    NO_MISSED_TICKS_PENDING = "no_missed_ticks_pending"
    ONE_MISSED_TICK_PENDING = "one_missed_tick_pending"


class Clock(NamedTuple):
    """What time it is: `local` False is UTC, True the host's zone; `offset_seconds` is added."""

    local: bool | None = None
    offset_seconds: int | None = None
    tsc: TscMode | None = None
    timer: TimerMode | None = None
    hpet: bool | None = None
    align_timers: bool | None = None


class DeviceModel(NamedTuple):
    """The program that emulates a machine's devices (QEMU), in Domain 0 or in a stub domain of its own.

    `arguments` are given to it for any domain, `pv_arguments` and `hvm_arguments` for one kind. `version` is
    "qemu-xen" or "qemu-xen-traditional".
    """

    version: str | None = None
    path: str | None = None
    user: str | None = None
    restrict: bool | None = None
    arguments: tuple[str, ...] = ()
    pv_arguments: tuple[str, ...] = ()
    hvm_arguments: tuple[str, ...] = ()
    stubdomain: bool | None = None
    stubdomain_kib: int | None = None
    stubdomain_kernel: str | None = None
    stubdomain_ramdisk: str | None = None
    stubdomain_command_line: str | None = None


class Security(NamedTuple):
    """Labels of the Flask policy: the domain's, the one it is built under, its device model's."""

    label: str | None = None
    init_label: str | None = None
    device_model_label: str | None = None


class ReservedMemory(NamedTuple):
    """How regions are treated that passed-through devices have reserved: `strategy` "ignore" or "host", `policy`
    "strict" or "relaxed"; regions below `boundary_kib` may be moved."""

    strategy: str | None = None
    policy: str | None = None
    boundary_kib: int | None = None
