"""A whole xl.cfg <-> a whole description, by the tables of `settings`, `groups` and `devices`.

`described` reads. `canonical` says how a description would be written, setting by setting, in units that belong
together: one text for one meaning, so that two descriptions differ in a file where their units do. `document` turns
that into text, fresh or in place.
"""

from __future__ import annotations

import re

from purevirt._typing import Any, NamedTuple
from purevirt.formats.xl_config.devices import LISTS
from purevirt.formats.xl_config.groups import GROUPS, read_type
from purevirt.formats.xl_config.reading import Parts, Reader
from purevirt.formats.xl_config.settings import SETTINGS
from purevirt.formats.xl_config.spelling import Plain
from purevirt.formats.xl_config.syntax import Atom, Syntax
from purevirt.model.description import DomainDescription, Unknown

__all__ = ["CARRIED", "LAYOUT", "Unit", "canonical", "described"]

CARRIED = "purevirt"
"""The setting in which what xl has no words for is carried; xl passes over names that it does not know."""

_RECORDS: dict[str, Any] = {
    name: default
    for name, default in DomainDescription._field_defaults.items()
    if hasattr(default, "_fields")
}
_BY_NAME = {setting.name: setting for setting in SETTINGS}
_GROUP_OF = {name: index for index, group in enumerate(GROUPS) for name in group.names}
_ALWAYS = frozenset(index for index, group in enumerate(GROUPS) if group.always)
_PLACE = re.compile(r"([a-z][a-z0-9_.]*)\[([0-9]+)\]")

LAYOUT: tuple[tuple[str, ...], ...] = tuple(
    tuple(line.split())
    for line in (
        "name uuid type builder",
        "memory maxmem shadow_memory mmio_hole vmtrace_buf_kb max_grant_frames max_maptrack_frames max_grant_version"
        " max_event_channels"
        " vcpus maxvcpus cpus cpus_soft cpuid vnuma pool cpu_weight cap",
        "kernel ramdisk cmdline root extra bootloader bootloader_args boot bios firmware firmware_override"
        " bios_path_override acpi_firmware smbios_firmware device_tree pvshim pvshim_path pvshim_cmdline pvshim_extra",
        "on_poweroff on_reboot on_crash on_watchdog on_soft_reset",
        "acpi acpi_s3 acpi_s4 acpi_laptop_slate apic pae nx hap oos nestedhvm altp2m altp2mhvm viridian"
        " xen_platform_pci e820_host vpmu msr_relaxed mca_caps nomigrate xend_suspend_evtchn_compat driver_domain"
        " passthrough tee gic_version sve vuart vendor_device hdtype ms_vm_genid",
        "localtime rtc_timeoffset tsc_mode timer_mode hpet vpt_align",
        "device_model_version device_model_override device_model_user dm_restrict device_model_args"
        " device_model_args_pv device_model_args_hvm device_model_stubdomain_override stubdomain_memory"
        " stubdomain_kernel stubdomain_ramdisk stubdomain_cmdline",
        "seclabel init_seclabel device_model_stubdomain_seclabel",
        "disk p9",
        "vif",
        "serial channel",
        "vga stdvga videoram gfx_passthru nographic vnc vnclisten vncdisplay vncunused vncpasswd sdl opengl display"
        " xauthority spice spicehost spiceport spicetls_port spicedisable_ticketing spicepasswd spiceagent_mouse"
        " spicevdagent spice_clipboard_sharing spiceusbredirection spice_image_compression spice_streaming_video"
        " keymap vfb vkb_device vkb vdispl",
        "soundhw vsnd",
        "usb usbversion usbdevice usbctrl usbdev",
        "pci pci_permissive pci_msitranslate pci_seize pci_power_mgmt rdm rdm_mem_boundary dtdev ioports irqs iomem",
        "vtpm pvcalls virtio",
        CARRIED,
    )
)
"""Which settings stand together in a fresh file, and in which order."""


class Unit(NamedTuple):
    """Settings that are written together, and what the description makes of them."""

    names: tuple[str, ...]
    written: dict[str, Plain]


def described(syntax: Syntax) -> DomainDescription:
    """What a file says, without what it carries. ConfigError, with line and column, for what it cannot mean."""
    reader = Reader(syntax)
    parts: Parts = {name: {} for name in _RECORDS}
    parts[""] = {}
    groups = set(_ALWAYS)
    for name, found in reader.values.items():
        setting = _BY_NAME.get(name)
        if setting is not None:
            parts[setting.record][setting.field] = setting.kind.read(reader, name, found)
            reader.taken.add(name)
        elif name in _GROUP_OF:
            groups.add(_GROUP_OF[name])
    fields = parts[""]
    if "name" not in fields:
        raise syntax.error("expected a setting name = …: a domain needs a name", 0)
    kind = read_type(reader)
    for index in sorted(groups):
        GROUPS[index].read(reader, parts, kind)
    _read_lists(reader, fields)
    reader.taken.add(CARRIED)
    unknown = _unknown(reader)
    if unknown:
        fields["unknown"] = unknown
    for name, default in _RECORDS.items():
        if parts[name]:
            fields[name] = type(default)(**parts[name])
    return DomainDescription(**fields)


def _read_lists(reader: Reader, fields: dict[str, Any]) -> None:
    for name, field, read, _ in LISTS:
        found = reader.take(name)
        if found is None:
            continue
        made = []
        for index, item in enumerate(reader.as_items(name, found).items):
            if not isinstance(item, Atom) and name != "vsnd":
                reader.fail(f"{name}: expected a list of strings, found a list in it", item)
            made.append(read(reader, name, index, item))
        fields[field] = tuple(made)


def _unknown(reader: Reader) -> tuple[Unknown, ...]:
    text, taken = reader.syntax.text, reader.taken
    return (
        *reader.kept,
        *(
            Unknown("xl", setting.name, text[setting.start : setting.end])
            for setting in reader.syntax.settings
            if setting.name not in taken
        ),
    )


def canonical(description: DomainDescription, xen: tuple[int, int]) -> list[Unit]:
    """How a description is written, for a version of Xen, without what cannot be said."""
    units = [
        *_single_settings(description),
        *(Unit(group.names, _sayable(group.write(description))) for group in GROUPS),
        *_device_lists(description, xen),
    ]
    for item in description.unknown:
        match = _PLACE.fullmatch(item.place) if item.format == "xl" else None
        if match is not None:
            _put_back(units, match[1], int(match[2]), item.text)
    return units


def _single_settings(description: DomainDescription) -> list[Unit]:
    units = []
    for name, record, field, kind in SETTINGS:
        holder: Any = getattr(description, record) if record else description
        value = getattr(holder, field)
        # what is as if nothing were said is not said
        plain = None if value == holder._field_defaults.get(field) else kind.write(value)
        units.append(Unit((name,), {} if plain is None else {name: plain}))
    return units


def _device_lists(description: DomainDescription, xen: tuple[int, int]) -> list[Unit]:
    units = []
    for name, field, _, write in LISTS:
        written = [write(item, xen) for item in getattr(description, field)]
        items = tuple(item for item in written if item is not None)
        units.append(Unit((name,), {name: items} if items else {}))
    return units


def _sayable(written: dict[str, Any]) -> dict[str, Plain]:
    return {
        name: value
        for name, value in written.items()
        if value is not None and not (isinstance(value, str) and "\0" in value)
    }


def _put_back(units: list[Unit], name: str, index: int, text: str) -> None:
    """Adds to a device's string a part that xl passes over."""
    for unit in units:
        items = unit.written.get(name)
        if isinstance(items, tuple) and index < len(items) and isinstance(items[index], str):
            old = items[index]
            new = f"{old},{text}" if old else text
            unit.written[name] = (*items[:index], new, *items[index + 1 :])
