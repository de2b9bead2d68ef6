"""What in libxl's record is one value of the model each: where it is there, where it is in the model, and its kind.

The places are paths in `libxl_domain_config` as Xen 4.17 has it (_libxl_types.h of libxen-dev); what later versions
added is here too. `reading` walks the table, `devices` and `reading` itself have what is not one to one.
"""

from __future__ import annotations

from collections.abc import Mapping

from purevirt._typing import Any, NamedTuple
from purevirt.model.description import Altp2m, Firmware, TimerMode, TscMode

__all__ = ["FLAG", "INVERTED", "NUMBER", "TABLE", "TEXT", "TEXTS", "Row"]

TEXT, TEXTS, NUMBER, FLAG, INVERTED = "text", "texts", "number", "flag", "inverted"


class Row(NamedTuple):
    """The object in the record, the key in it, the record of the model ("": the description), the field, the kind.

    A kind is the name of one, or the words of an enum, each with what the model has for it.
    """

    place: str
    key: str
    record: str
    field: str
    kind: str | Mapping[str, Any]


def _values(kind: Any) -> dict[str, Any]:
    return {member.value: member for member in kind}


def _words(*words: str, silent: tuple[str, ...] = ()) -> dict[str, Any]:
    return {**{word: word for word in words}, **dict.fromkeys(silent)}


_HVM = "b_info.type.hvm"
_TIMERS = {**_values(TimerMode), "unknown": None}

TABLE = tuple(
    Row(*row)
    for row in (
        ("c_info", "name", "", "name", TEXT),
        ("c_info", "pool_name", "scheduling", "cpupool", TEXT),
        ("c_info", "hap", "features", "hap", FLAG),
        ("c_info", "oos", "features", "oos", FLAG),
        ("c_info", "driver_domain", "features", "driver_domain", FLAG),
        ("c_info", "xend_suspend_evtchn_compat", "features", "suspend_event_channel_compat", FLAG),
        (
            "c_info",
            "passthrough",
            "features",
            "passthrough",
            _words("disabled", "enabled", "sync_pt", "share_pt", silent=("default", "unknown")),
        ),
        # Where they once were, and where libvirt puts the kernel still. What stands at the new place counts.
        ("b_info.type.pv", "kernel", "boot", "kernel", TEXT),
        ("b_info.type.pv", "ramdisk", "boot", "ramdisk", TEXT),
        ("b_info.type.pv", "cmdline", "boot", "command_line", TEXT),
        ("b_info.type.pv", "bootloader", "boot", "bootloader", TEXT),
        ("b_info.type.pv", "bootloader_args", "boot", "bootloader_arguments", TEXTS),
        (_HVM, "acpi", "features", "acpi", FLAG),
        (_HVM, "apic", "features", "apic", FLAG),
        (_HVM, "nested_hvm", "features", "nested_hvm", FLAG),
        (_HVM, "timer_mode", "clock", "timer", _TIMERS),
        ("b_info", "shadow_memkb", "memory", "shadow_kib", NUMBER),
        ("b_info", "vmtrace_buf_kb", "memory", "vmtrace_kib", NUMBER),
        ("b_info", "max_grant_frames", "memory", "max_grant_frames", NUMBER),
        ("b_info", "max_maptrack_frames", "memory", "max_maptrack_frames", NUMBER),
        ("b_info", "max_grant_version", "memory", "max_grant_version", NUMBER),
        ("b_info", "event_channels", "memory", "max_event_channels", NUMBER),
        ("b_info.sched_params", "weight", "scheduling", "weight", NUMBER),
        ("b_info.sched_params", "cap", "scheduling", "cap", NUMBER),
        ("b_info", "kernel", "boot", "kernel", TEXT),
        ("b_info", "ramdisk", "boot", "ramdisk", TEXT),
        ("b_info", "cmdline", "boot", "command_line", TEXT),
        ("b_info", "bootloader", "boot", "bootloader", TEXT),
        ("b_info", "bootloader_args", "boot", "bootloader_arguments", TEXTS),
        ("b_info", "device_tree", "boot", "device_tree", TEXT),
        (_HVM, "bios", "boot", "firmware", {**_values(Firmware), "unknown": None}),
        (_HVM, "firmware", "boot", "loader", TEXT),
        (_HVM, "system_firmware", "boot", "firmware_path", TEXT),
        (_HVM, "acpi_firmware", "boot", "acpi_firmware", TEXT),
        (_HVM, "smbios_firmware", "boot", "smbios_firmware", TEXT),
        ("b_info", "acpi", "features", "acpi", FLAG),
        ("b_info", "apic", "features", "apic", FLAG),
        ("b_info", "nested_hvm", "features", "nested_hvm", FLAG),
        ("b_info", "vpmu", "features", "vpmu", FLAG),
        ("b_info", "disable_migrate", "features", "migratable", INVERTED),
        ("b_info", "tee", "features", "tee", _words("optee", "ffa", silent=("none",))),
        ("b_info", "altp2m", "features", "altp2m", _values(Altp2m)),
        ("b_info.arch_x86", "msr_relaxed", "features", "msr_relaxed", FLAG),
        ("b_info.arch_arm", "gic_version", "features", "gic", _words("v2", "v3", silent=("default",))),
        ("b_info.arch_arm", "vuart", "features", "vuart", _words("sbsa_uart", silent=("unknown",))),
        ("b_info.type.pv", "e820_host", "features", "e820_host", FLAG),
        (_HVM, "pae", "features", "pae", FLAG),
        (_HVM, "acpi_s3", "features", "acpi_s3", FLAG),
        (_HVM, "acpi_s4", "features", "acpi_s4", FLAG),
        (_HVM, "acpi_laptop_slate", "features", "acpi_laptop_slate", FLAG),
        (_HVM, "nx", "features", "nx", FLAG),
        (_HVM, "xen_platform_pci", "features", "xen_platform_pci", FLAG),
        (_HVM, "vendor_device", "features", "vendor_device", _words("xenserver", silent=("none",))),
        (_HVM, "hdtype", "features", "hdtype", _words("ide", "ahci")),
        ("b_info", "localtime", "clock", "local", FLAG),
        ("b_info", "tsc_mode", "clock", "tsc", _values(TscMode)),
        ("b_info", "timer_mode", "clock", "timer", _TIMERS),
        (_HVM, "hpet", "clock", "hpet", FLAG),
        (_HVM, "vpt_align", "clock", "align_timers", FLAG),
        (
            "b_info",
            "device_model_version",
            "device_model",
            "version",
            {"qemu_xen": "qemu-xen", "qemu_xen_traditional": "qemu-xen-traditional", "unknown": None},
        ),
        ("b_info", "device_model", "device_model", "path", TEXT),
        ("b_info", "device_model_user", "device_model", "user", TEXT),
        ("b_info", "dm_restrict", "device_model", "restrict", FLAG),
        ("b_info", "extra", "device_model", "arguments", TEXTS),
        ("b_info", "extra_pv", "device_model", "pv_arguments", TEXTS),
        ("b_info", "extra_hvm", "device_model", "hvm_arguments", TEXTS),
        ("b_info", "device_model_stubdomain", "device_model", "stubdomain", FLAG),
        ("b_info", "stubdomain_memkb", "device_model", "stubdomain_kib", NUMBER),
        ("b_info", "stubdomain_kernel", "device_model", "stubdomain_kernel", TEXT),
        ("b_info", "stubdomain_ramdisk", "device_model", "stubdomain_ramdisk", TEXT),
        ("b_info", "stubdomain_cmdline", "device_model", "stubdomain_command_line", TEXT),
        ("b_info", "device_model_ssid_label", "security", "device_model_label", TEXT),
        ("b_info", "blkdev_start", "", "block_device_start", TEXT),
        ("b_info", "irqs", "", "interrupts", "numbers"),
        (_HVM, "nographic", "", "no_graphics", FLAG),
        (_HVM, "vkb_device", "", "emulated_keyboard", FLAG),
        (_HVM, "usb", "", "usb", FLAG),
        (_HVM, "usbversion", "", "usb_version", NUMBER),
        (_HVM, "mmio_hole_memkb", "memory", "mmio_hole_kib", NUMBER),
        (_HVM, "rdm_mem_boundary_memkb", "reserved_memory", "boundary_kib", NUMBER),
        (f"{_HVM}.rdm", "strategy", "reserved_memory", "strategy", _words("ignore", "host")),
        (
            f"{_HVM}.rdm",
            "policy",
            "reserved_memory",
            "policy",
            _words("strict", "relaxed", silent=("invalid",)),
        ),
    )
)
