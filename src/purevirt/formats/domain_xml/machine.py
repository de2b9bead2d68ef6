"""What a <domain> says beside its devices: the table, and how its values are those of a description.

Known from libvirt's documentation of the format and from how its libxl driver reads it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from uuid import UUID

from purevirt._typing import Any
from purevirt.formats.domain_xml.shapes import (
    NUMBER,
    ON_OFF,
    OTHER,
    PRESENT,
    TEXT,
    YES_NO,
    Kind,
    Shape,
    Values,
    silent,
    words,
)
from purevirt.model.description import (
    Action,
    Boot,
    BootDevice,
    Clock,
    CpuFlag,
    Cpus,
    DomainDescription,
    Features,
    Firmware,
    Lifecycle,
    Memory,
    NumaNode,
    TscMode,
)
from purevirt.model.domain import DomainType

__all__ = ["DOMAIN", "UNITS", "from_values", "to_values"]

UNITS = {
    "b": 1,
    "bytes": 1,
    "KB": 10**3,
    "k": 2**10,
    "KiB": 2**10,
    "MB": 10**6,
    "M": 2**20,
    "MiB": 2**20,
    "GB": 10**9,
    "G": 2**30,
    "GiB": 2**30,
    "TB": 10**12,
    "T": 2**40,
    "TiB": 2**40,
    "PB": 10**15,
    "P": 2**50,
    "PiB": 2**50,
    "EB": 10**18,
    "E": 2**60,
    "EiB": 2**60,
}
_CPUS = re.compile(r"\^?[0-9]+(?:-[0-9]+)?(?:,\^?[0-9]+(?:-[0-9]+)?)*")
_UUID = re.compile(r"[0-9a-fA-F]{32}|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def _read_uuid(text: str) -> UUID:
    if _UUID.fullmatch(text.strip()) is None:
        raise ValueError("a UUID like 01234567-89ab-cdef-0123-456789abcdef")
    return UUID(text.strip())


def _read_unit(text: str) -> int:
    for unit, size in UNITS.items():
        if unit.lower() == text.lower():
            return size
    raise ValueError(f"one of {', '.join(UNITS)}")


def _read_cpus(text: str) -> str:
    if _CPUS.fullmatch(text.strip()) is None:
        raise ValueError("a list of CPUs like 0-3,^2")
    return text.strip()


def _read_signed(text: str) -> Any:
    if text == "reset":
        return OTHER
    if re.fullmatch(r"[+-]?[0-9]{1,18}", text) is None:
        raise ValueError("a number of seconds")
    return int(text)


def _at_least_one(text: str) -> int:
    number: int = NUMBER.read(text)
    if number < 1:
        raise ValueError("a number above 0")
    return number


def _write_genid(text: str) -> str | None:
    return "" if text == "generate" else text if _UUID.fullmatch(text) else None


UUIDS = Kind(_read_uuid, str)
UNIT = Kind(_read_unit, lambda size: "KiB" if size == 1024 else None)
CPUS = Kind(_read_cpus, lambda text: text if _CPUS.fullmatch(text) else None)
FILE = Kind(str, lambda text: text if text.startswith("/") else None)
COUNT = Kind(_at_least_one, lambda number: str(number) if number > 0 else None)
_ACTIONS = ("destroy", "restart", "preserve", "rename-restart")
ACTION = words({word: Action(word) for word in _ACTIONS})
CRASH = words({word: Action(word) for word in (*_ACTIONS, "coredump-destroy", "coredump-restart")})
_ORDER = {
    "hd": BootDevice.DISK,
    "cdrom": BootDevice.CDROM,
    "network": BootDevice.NETWORK,
    "fd": BootDevice.FLOPPY,
}
_OS = {
    "hvm": DomainType.HVM,
    "linux": DomainType.PV,
    "xen": DomainType.PV,
    "xenpvh": DomainType.PVH,
}
MACHINE = Kind(silent("xenfv", "xenpv", "xenpvh", "xenner").read, str)
_MACHINES = {DomainType.HVM: "xenfv", DomainType.PV: "xenpv", DomainType.PVH: "xenpvh"}
_POLICIES = {"force": "1", "require": "1", "disable": "0", "forbid": "0", "optional": "x"}
_TSC = {
    "auto": TscMode.DEFAULT,
    "native": TscMode.NATIVE,
    "emulate": TscMode.ALWAYS_EMULATE,
    "paravirt": TscMode.NATIVE_PARAVIRT,
    "smpsafe": TscMode.NATIVE_PARAVIRT,
}

ROWS: tuple[tuple[str, str, Any], ...] = (
    ("@type", "_driver", Kind(str, lambda text: text)),
    ("@id", "_domid", NUMBER),
    ("name", "name", TEXT),
    ("uuid", "uuid", UUIDS),
    ("genid", "generation_id", Kind(lambda text: text.strip() or "generate", _write_genid)),
    ("title", "title", TEXT),
    ("description", "summary", TEXT),
    ("memory/@unit", "_unit", UNIT),
    ("memory", "_memory", NUMBER),
    ("currentMemory/@unit", "_current_unit", UNIT),
    ("currentMemory", "_current", NUMBER),
    ("vcpu/@placement", "_placement", silent("static")),
    ("vcpu/@cpuset", "_cpuset", CPUS),
    ("vcpu/@current", "_online", COUNT),
    ("vcpu", "_vcpus", COUNT),
    ("cputune/vcpupin*", "_pins", (("@vcpu", "vcpu", NUMBER), ("@cpuset", "cpus", CPUS))),
    ("bootloader", "bootloader", TEXT),
    ("bootloader_args", "_arguments", TEXT),
    ("os/@firmware", "_firmware", words({"efi": Firmware.OVMF, "bios": Firmware.SEABIOS})),
    ("os/type/@arch", "_arch", silent("x86_64", "i686", "aarch64", "armv7l")),
    ("os/type/@machine", "_machine", MACHINE),
    ("os/type", "type", words(_OS)),
    ("os/loader/@readonly", "_read_only", YES_NO),
    ("os/loader/@type", "_loader_type", words({"rom": "rom", "pflash": "pflash"})),
    ("os/loader", "_loader", FILE),
    ("os/kernel", "kernel", FILE),
    ("os/initrd", "ramdisk", FILE),
    ("os/cmdline", "command_line", TEXT),
    ("os/dtb", "device_tree", FILE),
    ("os/boot*", "_order", (("@dev", "device", words(_ORDER)),)),
    ("features/acpi", "acpi", PRESENT),
    ("features/apic", "apic", PRESENT),
    ("features/pae", "pae", PRESENT),
    ("features/hap/@state", "hap", ON_OFF),
    ("features/hap", "_hap", PRESENT),
    ("features/viridian", "_viridian", PRESENT),
    ("features/xen/e820_host/@state", "e820_host", ON_OFF),
    ("features/xen/passthrough/@state", "_passthrough", ON_OFF),
    ("features/xen/passthrough/@mode", "_mode", words({"sync_pt": "sync_pt", "share_pt": "share_pt"})),
    ("features/pmu/@state", "vpmu", ON_OFF),
    ("features/pmu", "_vpmu", PRESENT),
    ("features/gic/@version", "gic", words({"2": "v2", "3": "v3"}, others=("host",))),
    ("features/msrs/@unknown", "msr_relaxed", words({"ignore": True, "fault": False})),
    (
        "cpu/@mode",
        "flags_from",
        words({"host-passthrough": "host"}, others=("custom", "host-model", "maximum")),
    ),
    (
        "cpu/feature*",
        "_flags",
        (("@policy", "value", words(_POLICIES)), ("@name", "name", TEXT)),
    ),
    (
        "cpu/numa/cell*",
        "_cells",
        (
            ("@id", "id", NUMBER),
            ("@cpus", "cpus", CPUS),
            ("@memory", "memory", NUMBER),
            ("@unit", "unit", UNIT),
            ("distances/sibling*", "distances", (("@id", "id", NUMBER), ("@value", "value", NUMBER))),
        ),
    ),
    (
        "clock/@offset",
        "_offset",
        words(
            {"utc": "utc", "localtime": "localtime", "variable": "variable"}, others=("timezone", "absolute")
        ),
    ),
    ("clock/@adjustment", "offset_seconds", Kind(_read_signed, str)),
    ("clock/@basis", "_basis", words({"utc": False, "localtime": True})),
    ("clock/timer[name=tsc]/@mode", "_tsc", words(_TSC)),
    ("clock/timer[name=hpet]/@present", "_hpet", YES_NO),
    ("on_poweroff", "on_poweroff", ACTION),
    ("on_reboot", "on_reboot", ACTION),
    ("on_crash", "on_crash", CRASH),
)
DOMAIN = Shape(ROWS)
"""All but <metadata> and <devices>."""

_TOP = ("name", "type", "uuid", "title", "summary", "generation_id")
_BOOT = ("bootloader", "kernel", "ramdisk", "command_line", "device_tree")
_FEATURES = ("acpi", "apic", "pae", "hap", "e820_host", "vpmu", "gic", "msr_relaxed")
_LIFECYCLE = ("on_poweroff", "on_reboot", "on_crash")
_HVMLOADER = re.compile(r"/usr/(?:local/)?lib(?:64|exec)?/xen[^/]*/(?:boot/)?hvmloader")
"""Where Xen's packages have what every HVM domain is begun by: to name that says nothing."""


def _kib(values: Values, size: str, unit: str) -> int | None:
    number = values.get(size)
    return None if number is None else -(-number * values.get(unit, 1024) // 1024)


def from_values(values: Values) -> dict[str, Any]:
    """The fields of a description that the values of a <domain> say. ValueError with a sentence if they cannot be."""
    fields = {name: values[name] for name in _TOP if name in values}
    most, now = _kib(values, "_memory", "_unit"), _kib(values, "_current", "_current_unit")
    if now is not None:
        fields["memory"] = Memory(now, most)
    elif most is not None:
        fields["memory"] = Memory(most)
    fields["cpus"] = _cpus(values)
    fields["boot"] = _boot(values)
    features: dict[str, Any] = {name: values[name] for name in _FEATURES if name in values}
    for name in ("hap", "vpmu"):
        if values.get(f"_{name}"):
            features.setdefault(name, True)  # to be there is to be on
    if values.get("_viridian"):
        features["viridian"] = ("defaults",)
    passthrough = values.get("_passthrough")
    if passthrough is not None:
        features["passthrough"] = values.get("_mode", "enabled") if passthrough else "disabled"
    fields["features"] = Features(**features)
    fields["lifecycle"] = Lifecycle(**{name: values.get(name) for name in _LIFECYCLE})
    fields["clock"] = _clock(values)
    return fields


def _cpus(values: Values) -> Cpus:
    total, online = values.get("_vcpus", 1), values.get("_online")
    if online is not None and online > total:
        raise ValueError(f"<vcpu>: current is {online}, expected at most the {total} there are")
    default = values.get("_cpuset")
    affinity: tuple[str, ...] = () if default is None else (default,)
    pins: dict[int, str] = {}
    for pin in values.get("_pins", ()):
        if pin.get("vcpu", 0) in pins:
            raise ValueError(f"<vcpupin>: a second one for vCPU {pin.get('vcpu', 0)}, expected one")
        pins[pin.get("vcpu", 0)] = pin.get("cpus", "all")
    if pins:
        length = max(pins) + 1
        if length > max(total, 1):
            raise ValueError(f"<vcpupin>: vcpu is {length - 1}, expected one of the {total} there are")
        if default is not None:
            length = total
        affinity = tuple(str(pins.get(index, default or "all")) for index in range(length))
        if len(affinity) == 1 and total > 1:
            affinity = (*affinity, "all")
    cells = _cells(values.get("_cells", ()))
    flags = tuple(CpuFlag(one.get("name", ""), one.get("value", "1")) for one in values.get("_flags", ()))
    return Cpus(
        total if online is None else online,
        None if online is None else total,
        affinity,
        (),
        cells,
        values.get("flags_from"),
        flags,
    )


def _cells(said: Sequence[Values]) -> tuple[NumaNode, ...]:
    """In the order of their numbers, and so are the distances."""
    by_number = {cell.get("id", index): cell for index, cell in enumerate(said)}
    if sorted(by_number) != list(range(len(said))):
        raise ValueError(f"<cell>: ids are {sorted(by_number)}, expected 0 to {len(said) - 1}, each once")
    nodes = []
    for number in sorted(by_number):
        cell = by_number[number]
        far = {one.get("id", 0): one.get("value", 10) for one in cell.get("distances", ())}
        if far and not far.keys() <= by_number.keys():
            raise ValueError(f"<sibling>: id is {max(far)}, expected one of the {len(said)} cells there are")
        distances = (
            tuple(far.get(other, 10 if other == number else 20) for other in sorted(by_number)) if far else ()
        )
        nodes.append(NumaNode(_kib(cell, "memory", "unit") or 0, cell.get("cpus", ""), None, distances))
    return tuple(nodes)


def _boot(values: Values) -> Boot:
    boot: dict[str, Any] = {name: values[name] for name in _BOOT if name in values}
    boot["bootloader_arguments"] = tuple(values.get("_arguments", "").split())
    boot["order"] = tuple(one["device"] for one in values.get("_order", ()) if "device" in one)
    boot["firmware"] = values.get("_firmware")
    loader = values.get("_loader")
    if loader:
        if values.get("_loader_type") == "pflash":
            boot.update(firmware=Firmware.OVMF, firmware_path=loader)
        elif _HVMLOADER.fullmatch(loader) is None:
            boot["loader"] = loader
    return Boot(**boot)


def _clock(values: Values) -> Clock:
    local: bool | None = {"utc": False, "localtime": True}.get(values.get("_offset", ""))
    if values.get("_offset") == "variable":
        local = values.get("_basis")
    return Clock(local, values.get("offset_seconds"), values.get("_tsc"), None, values.get("_hpet"))


def to_values(description: DomainDescription) -> Values:
    """The values that a description has for a <domain>, without what there are no words for."""
    values: Values = {name: getattr(description, name) for name in _TOP}
    memory, cpus, boot, features = (
        description.memory,
        description.cpus,
        description.boot,
        description.features,
    )
    if memory.max_kib is None:
        values.update(_memory=memory.kib, _unit=1024)
    else:
        values.update(_memory=memory.max_kib, _unit=1024, _current=memory.kib, _current_unit=1024)
    values["_driver"] = "xen"
    values["_machine"] = _MACHINES[description.type]
    _cpu_values(cpus, values)
    values.update((name, getattr(boot, name)) for name in _BOOT)
    arguments = boot.bootloader_arguments
    if boot.bootloader and arguments and all(len(one.split()) == 1 for one in arguments):
        values["_arguments"] = " ".join(arguments)
    hvm = description.type is DomainType.HVM
    values["_order"] = [{"device": device} for device in boot.order] if hvm else []
    if not hvm:
        pass  # the schema has no firmware there
    elif boot.firmware is Firmware.OVMF and boot.firmware_path is not None:
        values.update(_loader=boot.firmware_path, _loader_type="pflash", _read_only=True)
    else:
        values["_firmware"] = boot.firmware
        if FILE.write(boot.loader or ""):
            values.update(_loader=boot.loader, _loader_type="rom")
    values.update((name, getattr(features, name)) for name in _FEATURES)
    values["_viridian"] = features.viridian == ("defaults",)
    if features.passthrough is not None:
        values["_passthrough"] = features.passthrough != "disabled"
        values["_mode"] = features.passthrough
    values.update((name, getattr(description.lifecycle, name)) for name in _LIFECYCLE)
    _clock_values(description.clock, values)
    return values


def _cpu_values(cpus: Cpus, values: Values) -> None:
    values["_vcpus"] = cpus.online if cpus.maximum is None else cpus.maximum
    if cpus.maximum is not None and cpus.online <= cpus.maximum:
        values["_online"] = cpus.online
    if len(cpus.affinity) == 1:
        values["_cpuset"] = cpus.affinity[0]
    elif len(cpus.affinity) <= values["_vcpus"] and all(
        text == "all" or CPUS.write(text) for text in cpus.affinity
    ):
        values["_pins"] = [
            {"vcpu": index, "cpus": text} for index, text in enumerate(cpus.affinity) if text != "all"
        ]
    if cpus.flags_from == "host":
        values["flags_from"] = "host"
        if all(flag.value in ("0", "1", "x") for flag in cpus.flags):
            values["_flags"] = [{"name": flag.name, "value": flag.value} for flag in cpus.flags]
    if all(CPUS.write(node.vcpus) and node.kib >= 0 for node in cpus.numa):
        values["_cells"] = [
            {
                "id": index,
                "cpus": node.vcpus,
                "memory": node.kib,
                "unit": 1024,
                "distances": [{"id": at, "value": value} for at, value in enumerate(node.distances)]
                if len(node.distances) == len(cpus.numa)
                else [],
            }
            for index, node in enumerate(cpus.numa)
        ]


def _clock_values(clock: Clock, values: Values) -> None:
    values.update(_tsc=clock.tsc, _hpet=clock.hpet)
    if clock.offset_seconds is not None:
        values.update(_offset="variable", offset_seconds=clock.offset_seconds, _basis=clock.local)
    elif clock.local is not None or clock.tsc is not None or clock.hpet is not None:
        values["_offset"] = "localtime" if clock.local else "utc"
