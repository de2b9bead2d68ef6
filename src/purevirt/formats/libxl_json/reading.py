"""A whole record of libxl -> a description: the table, the devices, and what is said in a way of its own.

What the record says of defaults is not said in the description: None there means the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from uuid import UUID

from purevirt._typing import Any
from purevirt.formats.libxl_json.devices import DEVICES, frame_buffer, sdl, vnc
from purevirt.formats.libxl_json.table import INVERTED, TABLE
from purevirt.formats.libxl_json.values import Values
from purevirt.model.cpulist import cpu_list
from purevirt.model.description import (
    Action,
    Altp2m,
    Boot,
    BootDevice,
    Clock,
    Cpus,
    DeviceModel,
    DomainDescription,
    Features,
    Graphics,
    GraphicsType,
    Input,
    Keyboard,
    Lifecycle,
    Memory,
    MemoryRange,
    NumaNode,
    PortRange,
    ReservedMemory,
    Scheduling,
    Security,
    Serial,
    Shim,
    Spice,
    Unknown,
    Video,
)
from purevirt.model.domain import DomainType

__all__ = ["described"]

_RECORDS: dict[str, Any] = {
    "memory": Memory,
    "cpus": Cpus,
    "scheduling": Scheduling,
    "boot": Boot,
    "lifecycle": Lifecycle,
    "features": Features,
    "clock": Clock,
    "device_model": DeviceModel,
    "security": Security,
    "reserved_memory": ReservedMemory,
}
_MEMORY_KIB = 32 * 1024
_ACTIONS = {
    "destroy": Action.DESTROY,
    "restart": Action.RESTART,
    "restart_rename": Action.RENAME_RESTART,
    "preserve": Action.PRESERVE,
    "coredump_destroy": Action.COREDUMP_DESTROY,
    "coredump_restart": Action.COREDUMP_RESTART,
    "soft_reset": Action.SOFT_RESET,
}
_USUAL = {
    "on_poweroff": Action.DESTROY,
    "on_reboot": Action.RESTART,
    "on_crash": Action.DESTROY,
    "on_watchdog": Action.DESTROY,
    "on_soft_reset": Action.SOFT_RESET,
}
# libxl_viridian_enlightenment: the number of each group.
_VIRIDIAN = (
    "base", "freq", "time_ref_count", "reference_tsc", "hcall_remote_tlb_flush", "apic_assist", "crash_ctl", "synic",
    "stimer", "hcall_ipi", "ex_processor_masks", "no_vp_limit", "cpu_hotplug",
)  # fmt: skip
_ORDER = {"a": BootDevice.FLOPPY, "c": BootDevice.DISK, "d": BootDevice.CDROM, "n": BootDevice.NETWORK}
_INPUTS = ("tablet", "mouse", "keyboard")
_CARDS = {"std": "stdvga", "cirrus": "cirrus", "qxl": "qxl", "none": "none", "unknown": None}
_DERIVED = {
    "c_info": ("domid", "ssidref", "poolid", "run_hotplug_scripts", "xsdata"),
    "b_info": (
        "numa_placement", "cpumap", "nodemap", "exec_ssidref", "device_model_ssidref", "iommu_memkb",
        "type.pv", "type.pvh", "type.hvm", "arch_arm", "arch_x86", "sched_params",
    ),
    "b_info.type.pv": ("slack_memkb",),
    "b_info.sched_params": ("sched",),
}  # fmt: skip
"""What libxl works out by itself, or what is read elsewhere."""


class _Record:
    """The objects of a record, each made once, so that in the end it can be told what nobody asked for."""

    def __init__(self, record: dict[str, Any], file: str) -> None:
        self.root = Values(record, "", file)
        self._objects = {"": self.root}
        self.made: list[Values] = [self.root]

    def object(self, place: str) -> Values:
        """By its path; the keys of libxl's unions have a dot in them."""
        found = self._objects.get(place)
        if found is None:
            parent, _, key = place.rpartition(".")
            if parent.endswith(".type"):
                parent, key = parent.removesuffix(".type"), f"type.{key}"
            found = self.object(parent).child(key)
            self._objects[place] = found
            self.made.append(found)
        return found


def described(record: dict[str, Any], file: str) -> DomainDescription:
    """The description of a domain that libxl's record has. ConfigError for what is none."""
    objects = _Record(record, file)
    parts: dict[str, dict[str, Any]] = {name: {} for name in ("", *_RECORDS)}
    for place, key, owner, field, kind in TABLE:
        values = objects.object(place)
        value: Any
        if isinstance(kind, str):
            value = values.flag(key) if kind == INVERTED else getattr(values, kind)(key)
            value = not value if kind == INVERTED and value is not None else value
        else:
            value = values.word(key, kind)
        if value is not None and value != ():
            parts[owner][field] = value
    fields = parts[""]
    if "name" not in fields:
        raise objects.object("c_info").error("name", "the name of a domain", None)
    _basics(objects, parts)
    _processors(objects, parts["cpus"])
    _features(objects, parts)
    _small_devices(objects, fields)
    for key, field, read in DEVICES:
        devices = objects.root.children(key)
        objects.made.extend(devices)
        if devices:
            fields[field] = tuple(read(device, index) for index, device in enumerate(devices))
    _screens(objects, fields)
    unknown = tuple(_unknown(objects))
    if unknown:
        fields["unknown"] = unknown
    for name, kind in _RECORDS.items():
        if parts[name]:
            fields[name] = kind(**parts[name])
    return DomainDescription(**fields)


def _basics(objects: _Record, parts: dict[str, dict[str, Any]]) -> None:
    root, create, build = objects.root, objects.object("c_info"), objects.object("b_info")
    fields = parts[""]
    kind = create.word("type", {member.value: member for member in DomainType})
    fields["type"] = kind if kind is not None else DomainType.PV
    build.pass_over("type")
    uuid = create.text("uuid")
    if uuid is not None:
        try:
            fields["uuid"] = UUID(uuid)
        except ValueError:
            raise create.error("uuid", "a UUID", uuid) from None
    memory, most, target = parts["memory"], build.number("max_memkb"), build.number("target_memkb")
    memory["kib"] = target if target is not None else most if most is not None else _MEMORY_KIB
    if most is not None and most != memory["kib"]:
        memory["max_kib"] = most
    if build.flag("claim_mode") is False:  # xl claims by default
        memory["claim"] = False
    # While it is built a domain may have another label than when it runs.
    built, run = create.text("ssid_label"), build.text("exec_ssid_label")
    labels = {"label": run if run is not None else built, "init_label": built if run is not None else None}
    parts["security"].update({name: label for name, label in labels.items() if label is not None})
    for name, usual in _USUAL.items():
        action = root.word(name, _ACTIONS) or Action.DESTROY
        if action is not usual:
            parts["lifecycle"][name] = action


def _processors(objects: _Record, fields: dict[str, Any]) -> None:
    build = objects.object("b_info")
    available, most = build.numbers("avail_vcpus"), build.number("max_vcpus")
    fields["online"] = len(available) or 1
    if most is not None and most != fields["online"]:
        fields["maximum"] = most
    for key, field in (("vcpu_hard_affinity", "affinity"), ("vcpu_soft_affinity", "soft_affinity")):
        lists = tuple(cpu_list(row) for row in build.lists(key))
        if lists:
            alike = len(set(lists)) == 1 and len(lists) == (most or fields["online"])
            fields[field] = lists[:1] if alike else lists
    nodes = build.children("vnuma_nodes")
    objects.made.extend(nodes)
    fields["numa"] = tuple(
        NumaNode(
            node.number("memkb") or 0, cpu_list(node.numbers("vcpus")), node.number("pnode") or 0,
            node.numbers("distances"),
        )
        for node in nodes
    )  # fmt: skip
    if isinstance(build.raw("cpuid"), dict):
        policy = build.child("cpuid")
        objects.made.append(policy)
        leaves = policy.children("cpuid")
        if not policy.raw("msr"):
            policy.pass_over("msr")
    else:
        leaves = build.children("cpuid")  # before 4.18
    fields["registers"] = tuple(_leaf(leaf) for leaf in leaves)


def _leaf(leaf: Values) -> str:
    number, inner = leaf.number("leaf") or 0, leaf.number("subleaf")
    name = f"{number}" if number < 0x100 else f"{number:#x}"
    registers = [(register, leaf.text(register)) for register in ("eax", "ebx", "ecx", "edx")]
    bits = ",".join(f"{register}={text}" for register, text in registers if text is not None)
    return f"{name}{'' if inner is None else f',{inner}'}:{bits}"


def _features(objects: _Record, parts: dict[str, dict[str, Any]]) -> None:
    build, hvm, pvh = (objects.object(place) for place in ("b_info", "b_info.type.hvm", "b_info.type.pvh"))
    features, boot = parts["features"], parts["boot"]
    if features.get("msr_relaxed") is False:  # libxl's own default, which it writes out
        del features["msr_relaxed"]
    if hvm.flag("altp2m") and "altp2m" not in features:
        features["altp2m"] = Altp2m.MIXED
    if features.get("altp2m") is Altp2m.DISABLED:
        del features["altp2m"]
    enabled, disabled = hvm.numbers("viridian_enable"), hvm.numbers("viridian_disable")
    groups = ("defaults",) if hvm.flag("viridian") else ()
    every = set(range(len(_VIRIDIAN))) <= set(enabled)
    names = ("all",) if every else tuple(_VIRIDIAN[one] for one in enabled if one < len(_VIRIDIAN))
    against = tuple(f"!{_VIRIDIAN[one]}" for one in disabled if one < len(_VIRIDIAN))
    features["viridian"] = (*groups, *names, *against)
    if hvm.number("mca_caps"):
        features["machine_check"] = ("lmce",)
    platform = objects.object("c_info").child("platformdata")
    features["xend_platform"] = tuple((key, platform.text(key) or "") for key in platform.keys())  # noqa: SIM118
    sve = objects.object("b_info.arch_arm").text("sve_vl")
    if sve not in (None, "disabled"):
        features["sve"] = sve
    if pvh.flag("pvshim"):
        boot["shim"] = Shim(pvh.text("pvshim_path"), pvh.text("pvshim_cmdline"), pvh.text("pvshim_extra"))
    letters = hvm.text("boot") or ""
    if not set(letters) <= set(_ORDER):
        raise hvm.error("boot", "letters of a, c, d, n", letters)
    boot["order"] = tuple(_ORDER[letter] for letter in letters)
    offset = build.number("rtc_timeoffset")
    if offset:
        parts["clock"]["offset_seconds"] = offset - 2**32 if offset >= 2**31 else offset
    generation = hvm.numbers("ms_vm_genid")
    if any(generation):
        try:
            parts[""]["generation_id"] = str(UUID(bytes=bytes(generation)))
        except ValueError:
            raise hvm.error("ms_vm_genid", "16 bytes", generation) from None


def _small_devices(objects: _Record, fields: dict[str, Any]) -> None:
    root, build, hvm = objects.root, objects.object("b_info"), objects.object("b_info.type.hvm")
    ports, memory, nodes = build.children("ioports"), build.children("iomem"), root.children("dtdevs")
    objects.made.extend([*ports, *memory, *nodes])
    fields["io_ports"] = tuple(
        PortRange(first, first + (one.number("number") or 1) - 1)
        for one in ports
        for first in (one.number("first") or 0,)
    )
    fields["io_memory"] = tuple(
        MemoryRange(one.number("start") or 0, one.number("number") or 0, one.number("gfn")) for one in memory
    )
    fields["device_tree_devices"] = tuple(one.text("path") or "" for one in nodes)
    one = hvm.text("serial")
    fields["serials"] = tuple(map(Serial, hvm.texts("serial_list") or ((one,) if one else ())))
    one = hvm.text("usbdevice")
    words = hvm.texts("usbdevice_list") or ((one,) if one else ())
    fields["inputs"] = tuple(Input(word) for word in words if word in _INPUTS)
    fields["usb_devices_emulated"] = tuple(word for word in words if word not in _INPUTS)
    fields["sound"] = tuple(word for word in (hvm.text("soundhw") or "").split(",") if word)
    root.pass_over("rdms")


def _screens(objects: _Record, fields: dict[str, Any]) -> None:
    build, hvm = objects.object("b_info"), objects.object("b_info.type.hvm")
    if fields["type"] is DomainType.HVM:  # frame buffers of its own are nothing that the model has: unknown
        fields["graphics"] = _hvm_graphics(objects, hvm)
        _video(objects, build, hvm, fields)
        return
    buffers = objects.root.children("vfbs")
    objects.made.extend(buffers)
    build.pass_over("video_memkb")
    fields["graphics"] = tuple(one for buffer in buffers for one in frame_buffer(buffer))
    # xl gives a keyboard to each frame buffer.
    keyboards = fields.get("keyboards", ())
    given = [one for one in keyboards[: len(buffers)] if one in (Keyboard(), Keyboard(backend_type="qemu"))]
    fields["keyboards"] = keyboards[len(given) :]


def _hvm_graphics(objects: _Record, hvm: Values) -> tuple[Graphics, ...]:
    screen, window = objects.object("b_info.type.hvm.vnc"), objects.object("b_info.type.hvm.sdl")
    spice, keymap = objects.object("b_info.type.hvm.spice"), hvm.text("keymap")
    on, shown_in, spiced = screen.flag("enable"), window.flag("enable"), spice.flag("enable")
    if not (screen.keys() or shown_in or spiced or keymap) or (on is False and not (shown_in or spiced)):
        return ()
    shown = []
    if on is not False:
        shown.append(vnc(screen))
    if shown_in:
        shown.append(sdl(window))
    if spiced:
        shown.append(_spice(spice))
    shown[0] = shown[0]._replace(keymap=keymap)
    return tuple(shown)


def _spice(info: Values) -> Graphics:
    open_to_all = info.flag("disable_ticketing")
    said = Spice(
        tls_port=info.number("tls_port") or None,
        ticketing=None if open_to_all is None else not open_to_all,
        agent_mouse=info.flag("agent_mouse"),
        vdagent=info.flag("vdagent"),
        clipboard_sharing=info.flag("clipboard_sharing"),
        usb_redirection=info.number("usbredirection") or None,
        image_compression=info.text("image_compression"),
        streaming_video=info.text("streaming_video"),
    )
    return Graphics(
        GraphicsType.SPICE,
        info.text("host"),
        info.number("port") or None,
        password=info.text("passwd"),
        spice=None if said == Spice() else said,
    )


def _video(objects: _Record, build: Values, hvm: Values, fields: dict[str, Any]) -> None:
    model = objects.object("b_info.type.hvm.vga").word("kind", _CARDS)
    ram = build.number("video_memkb")
    passed = None
    kind = hvm.word("gfx_passthru_kind", {"default": "default", "igd": "igd"})
    if hvm.flag("gfx_passthru"):
        passed = kind or "default"
    if model is not None or ram is not None or passed is not None:
        fields["video"] = Video(model, ram, passed)


def _unknown(objects: _Record) -> Iterable[Unknown]:
    """What nobody asked for, with its place."""
    for values in objects.made:
        values.pass_over(*_DERIVED.get(values.place, ()))
        for key, value in values.unasked().items():
            yield Unknown("libxl-json", values.at(key), json.dumps(value, ensure_ascii=False))
