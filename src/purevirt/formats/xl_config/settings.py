"""The settings of an xl.cfg that are one value of the model each: the table of their names, places and kinds.

Settings that belong together, or say several things, are in `together`; devices are in `devices`, `disk`, `vif`.
The names are those of xl.cfg(5) of Xen 4.17, and what came until 4.20.
"""

from __future__ import annotations

from purevirt._typing import NamedTuple
from purevirt.formats.xl_config import kinds
from purevirt.formats.xl_config.kinds import (
    FLAG,
    INVERTED,
    LIST,
    LIST_OR_WORDS,
    MIB,
    NUMBER,
    NUMBERS,
    SIGNED,
    TEXT,
    UUIDS,
    Kind,
)
from purevirt.model.description import Action, TimerMode, TscMode

__all__ = ["SETTINGS", "Setting"]


class Setting(NamedTuple):
    """A name in the file, where its value is in the model (record "" is the description itself), and its kind."""

    name: str
    record: str
    field: str
    kind: Kind


_ACTION = kinds.word(Action)

SETTINGS = tuple(
    Setting(*row)
    for row in (
        ("name", "", "name", TEXT),
        ("uuid", "", "uuid", UUIDS),
        # memory; memory and maxmem are in `together`
        ("shadow_memory", "memory", "shadow_kib", MIB),
        ("mmio_hole", "memory", "mmio_hole_kib", kinds.mib_between(256, 3840)),
        ("vmtrace_buf_kb", "memory", "vmtrace_kib", NUMBER),
        ("max_grant_frames", "memory", "max_grant_frames", NUMBER),
        ("max_maptrack_frames", "memory", "max_maptrack_frames", NUMBER),
        ("max_grant_version", "memory", "max_grant_version", NUMBER),
        ("max_event_channels", "memory", "max_event_channels", NUMBER),
        # CPUs
        ("vcpus", "cpus", "online", NUMBER),
        ("maxvcpus", "cpus", "maximum", NUMBER),
        ("pool", "scheduling", "cpupool", TEXT),
        ("cpu_weight", "scheduling", "weight", NUMBER),
        ("cap", "scheduling", "cap", NUMBER),
        # what happens when it ends
        ("on_poweroff", "lifecycle", "on_poweroff", _ACTION),
        ("on_reboot", "lifecycle", "on_reboot", _ACTION),
        ("on_watchdog", "lifecycle", "on_watchdog", _ACTION),
        ("on_crash", "lifecycle", "on_crash", _ACTION),
        ("on_soft_reset", "lifecycle", "on_soft_reset", _ACTION),
        # boot; kernel, firmware, cmdline and pvshim are in `together`
        ("ramdisk", "boot", "ramdisk", TEXT),
        ("bootloader", "boot", "bootloader", TEXT),
        ("bootloader_args", "boot", "bootloader_arguments", LIST_OR_WORDS),
        ("bios_path_override", "boot", "firmware_path", TEXT),
        ("acpi_firmware", "boot", "acpi_firmware", TEXT),
        ("smbios_firmware", "boot", "smbios_firmware", TEXT),
        ("device_tree", "boot", "device_tree", TEXT),
        # features; altp2m and viridian are in `together`
        ("acpi", "features", "acpi", FLAG),
        ("acpi_s3", "features", "acpi_s3", FLAG),
        ("acpi_s4", "features", "acpi_s4", FLAG),
        ("acpi_laptop_slate", "features", "acpi_laptop_slate", FLAG),
        ("apic", "features", "apic", FLAG),
        ("pae", "features", "pae", FLAG),
        ("nx", "features", "nx", FLAG),
        ("hap", "features", "hap", FLAG),
        ("oos", "features", "oos", FLAG),
        ("nestedhvm", "features", "nested_hvm", FLAG),
        ("xen_platform_pci", "features", "xen_platform_pci", FLAG),
        ("e820_host", "features", "e820_host", FLAG),
        ("vpmu", "features", "vpmu", FLAG),
        ("msr_relaxed", "features", "msr_relaxed", FLAG),
        ("mca_caps", "features", "machine_check", LIST),
        ("nomigrate", "features", "migratable", INVERTED),
        ("xend_suspend_evtchn_compat", "features", "suspend_event_channel_compat", FLAG),
        ("driver_domain", "features", "driver_domain", FLAG),
        (
            "passthrough",
            "features",
            "passthrough",
            kinds.words("disabled", "enabled", "sync_pt", "share_pt", silent=("default",)),
        ),
        ("tee", "features", "tee", kinds.text_or("none")),
        ("gic_version", "features", "gic", kinds.text_or("default")),
        ("sve", "features", "sve", kinds.text_or("disabled")),
        ("vuart", "features", "vuart", kinds.text_or("unknown")),
        ("vendor_device", "features", "vendor_device", kinds.text_or("none")),
        ("hdtype", "features", "hdtype", TEXT),
        # clock
        ("localtime", "clock", "local", FLAG),
        ("rtc_timeoffset", "clock", "offset_seconds", SIGNED),
        ("tsc_mode", "clock", "tsc", kinds.word(TscMode, numbered=tuple(TscMode))),
        ("timer_mode", "clock", "timer", kinds.word(TimerMode, numbered=tuple(TimerMode))),
        ("hpet", "clock", "hpet", FLAG),
        ("vpt_align", "clock", "align_timers", FLAG),
        # the device model
        (
            "device_model_version",
            "device_model",
            "version",
            kinds.words("qemu-xen", "qemu-xen-traditional"),
        ),
        ("device_model_override", "device_model", "path", TEXT),
        ("device_model_user", "device_model", "user", TEXT),
        ("dm_restrict", "device_model", "restrict", FLAG),
        ("device_model_args", "device_model", "arguments", LIST),
        ("device_model_args_pv", "device_model", "pv_arguments", LIST),
        ("device_model_args_hvm", "device_model", "hvm_arguments", LIST),
        ("device_model_stubdomain_override", "device_model", "stubdomain", FLAG),
        ("stubdomain_memory", "device_model", "stubdomain_kib", MIB),
        ("stubdomain_kernel", "device_model", "stubdomain_kernel", TEXT),
        ("stubdomain_ramdisk", "device_model", "stubdomain_ramdisk", TEXT),
        ("stubdomain_cmdline", "device_model", "stubdomain_command_line", TEXT),
        # security labels
        ("seclabel", "security", "label", TEXT),
        ("init_seclabel", "security", "init_label", TEXT),
        ("device_model_stubdomain_seclabel", "security", "device_model_label", TEXT),
        # devices that are one value
        ("nographic", "", "no_graphics", FLAG),
        ("vkb_device", "", "emulated_keyboard", FLAG),
        ("usb", "", "usb", FLAG),
        ("usbversion", "", "usb_version", NUMBER),
        ("dtdev", "", "device_tree_devices", LIST),
        ("irqs", "", "interrupts", NUMBERS),
        ("pci_permissive", "pci_defaults", "permissive", FLAG),
        ("pci_msitranslate", "pci_defaults", "msi_translate", FLAG),
        ("pci_seize", "pci_defaults", "seize", FLAG),
        ("pci_power_mgmt", "pci_defaults", "power_management", FLAG),
        ("rdm_mem_boundary", "reserved_memory", "boundary_kib", MIB),
    )
)
