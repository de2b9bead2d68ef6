"""Settings of an xl.cfg that say one thing together, or one thing in several ways: read and written as a group.

Old spellings are read as what they mean (`builder` is `type`, `root` and `extra` are `cmdline`, a `kernel` that is
hvmloader is none), and written in the new way only where something changes. Here are type, memory, boot and features;
`processors` has what says CPUs, `screens` what is seen.
"""

from __future__ import annotations

from collections.abc import Callable

from purevirt._typing import Any, NamedTuple
from purevirt.formats.xl_config import kinds
from purevirt.formats.xl_config.processors import (
    read_affinity,
    read_cpuid,
    read_vnuma,
    write_affinity,
    write_cpuid,
    write_vnuma,
)
from purevirt.formats.xl_config.reading import Parts, Reader
from purevirt.formats.xl_config.screens import read_graphics, read_video, write_graphics, write_video
from purevirt.formats.xl_config.specs import parts as spec_parts
from purevirt.formats.xl_config.spelling import Plain
from purevirt.formats.xl_config.syntax import Items
from purevirt.model.description import Altp2m, BootDevice, DomainDescription, Firmware, Input, Serial, Shim
from purevirt.model.domain import DomainType

__all__ = ["GROUPS", "Group", "read_type"]

Written = dict[str, "Plain | None"]

_MEMORY_KIB = 32 * 1024
"""What libxl gives a domain that is given nothing (libxl_create.c of 4.17: max_memkb)."""


class Group(NamedTuple):
    """The names of a group's settings, and how it is read into the parts of a description, and written.

    `read` is called where one of the names is in the file (or `always`); what it does not take stays unknown. What
    `write` does not give is taken away where the group changes.
    """

    names: tuple[str, ...]
    read: Callable[[Reader, Parts, DomainType], None]
    write: Callable[[DomainDescription], Written]
    always: bool = False


_TYPES = {member.value: member for member in DomainType}
_BUILDERS = {"generic": DomainType.PV, **_TYPES}


def read_type(reader: Reader) -> DomainType:
    """PV where nothing is said, as on x86."""
    old = reader.text("builder")
    text = reader.text("type")
    name, known, given = ("type", _TYPES, text) if text is not None else ("builder", _BUILDERS, old)
    if given is None:
        return DomainType.PV
    if given not in known:
        reader.fail(f"{name}: expected one of {', '.join(known)}, found {given!r}", reader.values[name])
    return known[given]


def _read_type(reader: Reader, parts: Parts, kind: DomainType) -> None:
    parts[""]["type"] = kind


def _read_memory(reader: Reader, parts: Parts, kind: DomainType) -> None:
    memory, most = reader.number("memory"), reader.number("maxmem")
    fields = parts["memory"]
    if memory is None:
        fields["kib"] = _MEMORY_KIB if most is None else most * 1024
    else:
        fields["kib"] = memory * 1024
        if most is not None:
            fields["max_kib"] = most * 1024


def _write_memory(description: DomainDescription) -> Written:
    memory = description.memory
    written: Written = {"memory": kinds.mebibytes(max(memory.kib, 0))}
    if memory.max_kib is not None and memory.max_kib >= 0:
        written["maxmem"] = kinds.mebibytes(memory.max_kib)
    return written


# --- boot

_FIRMWARE = {"uefi": Firmware.OVMF, **{member.value: member for member in Firmware}}
_PV_FIRMWARE = ("pvgrub32", "pvgrub64")


def _read_firmware(reader: Reader, parts: Parts, kind: DomainType) -> None:
    fields = parts["boot"]
    if reader.has("bios"):
        fields["firmware"] = kinds.word(Firmware).read(reader, "bios", reader.take("bios"))  # type: ignore[arg-type]
    override, firmware = reader.text("firmware_override"), reader.text("firmware")
    if override is not None:
        fields["loader"] = override
    if firmware is None:
        return
    if kind is not DomainType.HVM:
        if firmware not in _PV_FIRMWARE:
            words = ", ".join(_PV_FIRMWARE)
            reader.fail(f"firmware: expected one of {words}, found {firmware!r}", reader.values["firmware"])
        fields["loader"] = firmware
    elif firmware in _FIRMWARE:
        fields["firmware"] = _FIRMWARE[firmware]
    elif firmware != "bios":
        fields["loader"] = firmware


def _write_firmware(description: DomainDescription) -> Written:
    boot, hvm = description.boot, description.type is DomainType.HVM
    written: Written = {}
    if boot.firmware is not None:
        written["bios"] = boot.firmware.value
    loader = boot.loader
    if loader is not None and (loader not in (*_FIRMWARE, "bios") if hvm else loader in _PV_FIRMWARE):
        written["firmware"] = loader
    return written


def _read_kernel(reader: Reader, parts: Parts, kind: DomainType) -> None:
    kernel = reader.text("kernel")
    if kernel is not None and not _is_loader(kernel, kind):
        parts["boot"]["kernel"] = kernel


def _is_loader(kernel: str, kind: DomainType) -> bool:
    """HVM guests were started by naming hvmloader; xl takes no notice of that."""
    return kind is DomainType.HVM and kernel.rpartition("/")[2] == "hvmloader"


def _write_kernel(description: DomainDescription) -> Written:
    kernel = description.boot.kernel
    if kernel is None or _is_loader(kernel, description.type):
        return {}
    return {"kernel": kernel}


def _read_command_line(reader: Reader, parts: Parts, kind: DomainType) -> None:
    line, root, extra = reader.text("cmdline"), reader.text("root"), reader.text("extra")
    if line is None:
        words = ([] if root is None else [f"root={root}"]) + ([] if extra is None else [extra])
        line = " ".join(words)
    parts["boot"]["command_line"] = line


def _write_command_line(description: DomainDescription) -> Written:
    line = description.boot.command_line
    return {} if line is None else {"cmdline": line}


_ORDER = {"a": BootDevice.FLOPPY, "c": BootDevice.DISK, "d": BootDevice.CDROM, "n": BootDevice.NETWORK}
_LETTERS = {device: letter for letter, device in _ORDER.items()}


def _read_order(reader: Reader, parts: Parts, kind: DomainType) -> None:
    letters = reader.text("boot") or ""
    if not set(letters) <= set(_ORDER):
        message = (
            f"boot: expected letters of a (floppy), c (disk), d (CD-ROM), n (network), found {letters!r}"
        )
        reader.fail(message, reader.values["boot"])
    parts["boot"]["order"] = tuple(_ORDER[letter] for letter in letters)


def _write_order(description: DomainDescription) -> Written:
    order = description.boot.order
    return {"boot": "".join(_LETTERS[device] for device in order)} if order else {}


_SHIM = {"pvshim_path": "path", "pvshim_cmdline": "command_line", "pvshim_extra": "extra"}


def _read_shim(reader: Reader, parts: Parts, kind: DomainType) -> None:
    if reader.flag("pvshim"):
        texts = {field: reader.text(name) for name, field in _SHIM.items()}
        parts["boot"]["shim"] = Shim(**texts)


def _write_shim(description: DomainDescription) -> Written:
    shim = description.boot.shim
    if shim is None:
        return {}
    texts = {name: getattr(shim, field) for name, field in _SHIM.items()}
    return {"pvshim": 1, **{name: text for name, text in texts.items() if text is not None}}


# --- features

_ALTP2M = kinds.word(Altp2m, numbered=tuple(Altp2m))


def _read_altp2m(reader: Reader, parts: Parts, kind: DomainType) -> None:
    old = reader.flag("altp2mhvm")
    found = reader.take("altp2m")
    if found is not None:
        parts["features"]["altp2m"] = _ALTP2M.read(reader, "altp2m", found)
    elif old is not None:
        parts["features"]["altp2m"] = Altp2m.MIXED if old else Altp2m.DISABLED


def _write_altp2m(description: DomainDescription) -> Written:
    mode = description.features.altp2m
    return {} if mode is None else {"altp2m": mode.value}


def _read_viridian(reader: Reader, parts: Parts, kind: DomainType) -> None:
    found = reader.take("viridian")
    if isinstance(found, Items):
        groups = tuple(item.value for item in reader.atoms("viridian", found))
    else:
        assert found is not None
        groups = ("defaults",) if reader.as_number("viridian", found) else ()
    parts["features"]["viridian"] = groups


def _write_viridian(description: DomainDescription) -> Written:
    return {"viridian": kinds.listed(description.features.viridian)}


def _read_reserved(reader: Reader, parts: Parts, kind: DomainType) -> None:
    found = reader.as_atom("rdm", reader.take("rdm"))  # type: ignore[arg-type]
    known = {"strategy": ("host", "ignore"), "policy": ("strict", "relaxed")}
    for part in spec_parts(found.value):
        if part.value not in known.get(part.key, ()):
            message = f"rdm: expected strategy=host or policy=strict|relaxed, found {part.text!r}"
            reader.fail(message, found, part.offset)
        parts["reserved_memory"][part.key] = part.value


def _write_reserved(description: DomainDescription) -> Written:
    rules = description.reserved_memory
    words = []
    if rules.strategy in ("host", "ignore"):
        words.append(f"strategy={rules.strategy}")
    if rules.policy in ("strict", "relaxed"):
        words.append(f"policy={rules.policy}")
    return {"rdm": ",".join(words)} if words else {}


def _read_generation(reader: Reader, parts: Parts, kind: DomainType) -> None:
    word = reader.text("ms_vm_genid")
    if word not in ("generate", "none"):
        message = f"ms_vm_genid: expected generate or none, found {word!r}"
        reader.fail(message, reader.values["ms_vm_genid"])
    parts[""]["generation_id"] = word if word == "generate" else None


def _write_generation(description: DomainDescription) -> Written:
    return {"ms_vm_genid": "generate"} if description.generation_id == "generate" else {}


# --- small devices

_INPUTS = ("tablet", "mouse", "keyboard")


def _read_usb_devices(reader: Reader, parts: Parts, kind: DomainType) -> None:
    words = kinds.LIST_OR_ONE.read(reader, "usbdevice", reader.take("usbdevice"))  # type: ignore[arg-type]
    parts[""]["inputs"] = tuple(Input(word) for word in words if word in _INPUTS)
    parts[""]["usb_devices_emulated"] = tuple(word for word in words if word not in _INPUTS)


def _write_usb_devices(description: DomainDescription) -> Written:
    inputs = [one.type for one in description.inputs if one.type in _INPUTS]
    return {"usbdevice": kinds.listed((*inputs, *description.usb_devices_emulated))}


def _read_serial(reader: Reader, parts: Parts, kind: DomainType) -> None:
    words = kinds.LIST_OR_ONE.read(reader, "serial", reader.take("serial"))  # type: ignore[arg-type]
    parts[""]["serials"] = tuple(map(Serial, words))


def _write_serial(description: DomainDescription) -> Written:
    return {"serial": kinds.listed(tuple(one.connected for one in description.serials))}


def _read_sound(reader: Reader, parts: Parts, kind: DomainType) -> None:
    words = (reader.text("soundhw") or "").split(",")
    parts[""]["sound"] = tuple(word.strip() for word in words if word.strip())


def _write_sound(description: DomainDescription) -> Written:
    words = description.sound
    if not words or any("," in word or not word or word != word.strip() for word in words):
        return {}
    return {"soundhw": ",".join(words)}


def _group(names: str, read: Any, write: Any, *, always: bool = False) -> Group:
    return Group(tuple(names.split()), read, write, always)


GROUPS = (
    Group(("type", "builder"), _read_type, lambda description: {"type": description.type.value}, always=True),
    _group("memory maxmem", _read_memory, _write_memory, always=True),
    _group("cpus", read_affinity("cpus", "affinity"), write_affinity("cpus", "affinity")),
    _group(
        "cpus_soft", read_affinity("cpus_soft", "soft_affinity"), write_affinity("cpus_soft", "soft_affinity")
    ),
    _group("cpuid", read_cpuid, write_cpuid),
    _group("vnuma", read_vnuma, write_vnuma),
    _group("kernel", _read_kernel, _write_kernel),
    _group("cmdline root extra", _read_command_line, _write_command_line),
    _group("boot", _read_order, _write_order),
    _group("bios firmware firmware_override", _read_firmware, _write_firmware),
    _group("pvshim pvshim_path pvshim_cmdline pvshim_extra", _read_shim, _write_shim),
    _group("altp2m altp2mhvm", _read_altp2m, _write_altp2m),
    _group("viridian", _read_viridian, _write_viridian),
    _group("rdm", _read_reserved, _write_reserved),
    _group("ms_vm_genid", _read_generation, _write_generation),
    _group("usbdevice", _read_usb_devices, _write_usb_devices),
    _group("serial", _read_serial, _write_serial),
    _group("soundhw", _read_sound, _write_sound),
    _group("vga stdvga videoram gfx_passthru", read_video, write_video),
    _group(
        "vnc vnclisten vncdisplay vncunused vncpasswd keymap sdl opengl display xauthority spice spicehost spiceport"
        " spicetls_port spicedisable_ticketing spicepasswd spiceagent_mouse spicevdagent spice_clipboard_sharing"
        " spiceusbredirection spice_image_compression spice_streaming_video vfb",
        read_graphics,
        write_graphics,
    ),
)
