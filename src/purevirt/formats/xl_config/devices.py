"""The lists of devices in an xl.cfg, each with its language: which list is which tuple of the description.

Disks and network interfaces have modules of their own, `disk` and `vif`; sound cards are in `sound`. What xl refuses
in a string is an error here too, and a device that its string cannot say is not written at all.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from uuid import UUID

from purevirt._typing import Any, NamedTuple
from purevirt.formats.xl_config import disk, sound, vif
from purevirt.formats.xl_config.reading import Reader
from purevirt.formats.xl_config.specs import FLAG, NUMBER, TEXT, Option, Part, Spec, listed, parts, words
from purevirt.formats.xl_config.spelling import Plain
from purevirt.formats.xl_config.syntax import Atom, Value
from purevirt.model.description import (
    P9,
    Channel,
    ChannelConnection,
    Connector,
    Display,
    Keyboard,
    MemoryRange,
    PciDevice,
    PortRange,
    Pvcalls,
    UsbController,
    UsbDevice,
    Virtio,
    Vtpm,
)

__all__ = ["LISTS", "DeviceList"]


class DeviceList(NamedTuple):
    """A list in the file, the tuple in the description, and how an item is read and written.

    `write` takes a record and the version of Xen, and gives None for what cannot be said.
    """

    name: str
    field: str
    read: Callable[[Reader, str, int, Any], Any]
    write: Callable[[Any, tuple[int, int]], Plain | None]


def _spec(
    name: str, field: str, spec: Spec, *, later: tuple[str, ...] = ()
) -> tuple[str, str, Callable[..., Any], Callable[[Any, tuple[int, int]], str | None]]:
    """A list whose strings have no rules beyond a table's. `later` are keys that came with Xen 4.20."""

    def write(record: Any, xen: tuple[int, int]) -> str | None:
        return spec.write(record, () if xen >= (4, 20) else later)

    return name, field, spec.read, write


def _connector(text: str) -> Connector:
    name, colon, size = text.rpartition(":")
    width, x, height = size.partition("x")
    if not (name and colon and x and width.isdecimal() and height.isdecimal() and size.isascii()):
        raise ValueError("connectors like id0:1920x1080;id1:800x600")
    return Connector(name, int(width), int(height))


def _connectors() -> Option:
    option = listed("connectors", "connectors", _connector)

    def write(connectors: tuple[Connector, ...]) -> str | None:
        texts = [f"{one.unique_id}:{one.width}x{one.height}" for one in connectors]
        if not texts or any(";" in text or "," in text or text.startswith(":") for text in texts):
            return None
        return ";".join(texts)

    return option._replace(write=write)


def _uuid(text: str) -> str:
    try:
        if str(UUID(text)) == text.lower():
            return text
    except ValueError:
        pass
    raise ValueError("a UUID like 01234567-89ab-cdef-0123-456789abcdef")


_P9 = Spec(
    P9,
    TEXT("tag", "tag"),
    TEXT("path", "path"),
    TEXT("security_model", "security_model"),
    TEXT("backend", "backend_domain"),
    words("type", "backend_type", {"qemu": "qemu", "xen_9pfsd": "xen9pfsd"}),
    NUMBER("max-space", "max_space_mib"),
    NUMBER("max-files", "max_files"),
    NUMBER("max-open-files", "max_open_files"),
    FLAG("auto-delete", "auto_delete"),
    needed={"tag": "tag=…", "path": "path=…", "security_model": "security_model=none"},
)
_KEYBOARD = Spec(
    Keyboard,
    TEXT("unique-id", "unique_id"),
    TEXT("backend", "backend_domain"),
    words("backend-type", "backend_type", {"qemu": "qemu", "linux": "linux"}),
    FLAG("feature-disable-keyboard", "disable_keyboard"),
    FLAG("feature-disable-pointer", "disable_pointer"),
    FLAG("feature-abs-pointer", "absolute_pointer"),
    FLAG("feature-raw-pointer", "raw_pointer"),
    FLAG("feature-multi-touch", "multi_touch"),
    NUMBER("multi-touch-width", "multi_touch_width"),
    NUMBER("multi-touch-height", "multi_touch_height"),
    NUMBER("multi-touch-num-contacts", "multi_touch_contacts"),
    NUMBER("width", "width"),
    NUMBER("height", "height"),
)
_DISPLAY = Spec(
    Display,
    TEXT("backend", "backend_domain"),
    FLAG("be-alloc", "backend_allocates"),
    _connectors(),
    needed={"connectors": "connectors=…"},
)
_USB_CONTROLLER = Spec(
    UsbController,
    words("type", "type", {word: word for word in ("pv", "qusb", "devicemodel", "auto")}),
    NUMBER("version", "version"),
    NUMBER("ports", "ports"),
    unsayable=("backend_domain",),
)
_USB_DEVICE = Spec(
    UsbDevice,
    NUMBER("hostbus", "host_bus"),
    NUMBER("hostaddr", "host_address"),
    NUMBER("controller", "controller"),
    NUMBER("port", "port"),
    needed={"host_bus": "hostbus=…", "host_address": "hostaddr=…"},
    fixed={"type": "hostdev"},
)
_VTPM = Spec(
    Vtpm,
    TEXT("backend", "backend_domain"),
    Option("uuid", "uuid", _uuid, lambda text: text if re.fullmatch(r"[0-9a-fA-F-]{36}", text) else None),
    needed={"backend_domain": "backend=…"},
)
_PVCALLS = Spec(Pvcalls, TEXT("backend", "backend_domain"))
_CHANNEL = Spec(
    Channel,
    TEXT("name", "name"),
    words("connection", "connection", {member.value: member for member in ChannelConnection}),
    TEXT("path", "path"),
    TEXT("backend", "backend_domain"),
    needed={"name": "name=…", "connection": "connection=pty or connection=socket"},
)
_VIRTIO = Spec(
    Virtio,
    Option(
        "type",
        "type",
        str,
        lambda text: text if re.fullmatch(r"virtio,[^,]+|(?!virtio)[^,]*", text) else None,
    ),
    words("transport", "transport", {word: word for word in ("mmio", "pci")}),
    TEXT("backend", "backend_domain"),
    FLAG("grant_usage", "grant_usage"),
)


def _read_channel(reader: Reader, name: str, index: int, item: Atom) -> Channel:
    """Here xl takes spaces away on both sides of = too."""
    given = (
        Part(part.key.strip(), None if part.value is None else part.value.strip(), part.offset)
        for part in parts(item.value)
    )
    made: Channel = _CHANNEL.made(reader, name, item, _CHANNEL.fields(reader, name, index, item, given))
    if made.connection is ChannelConnection.SOCKET and made.path is None:
        reader.fail(f"{name}: {item.value!r} lacks path=…, which connection=socket needs", item)
    return made


def _write_channel(channel: Channel, xen: tuple[int, int]) -> str | None:
    texts = (channel.name, channel.path or "", channel.backend_domain or "")
    if any(text != text.strip() or "=" in text or '"' in text for text in texts):
        return None
    if channel.connection is not ChannelConnection.SOCKET:
        return _CHANNEL.write(channel._replace(path=None))  # which xl passes over
    return None if channel.path is None else _CHANNEL.write(channel)


def _write_keyboard(keyboard: Keyboard, xen: tuple[int, int]) -> str | None:
    """xl insists on the type of the backend, for which libxl would take QEMU.

    It insists on all three numbers where multi-touch is said, and switches it on where one of them is.
    """
    touches = (keyboard.multi_touch_width, keyboard.multi_touch_height, keyboard.multi_touch_contacts)
    if keyboard.multi_touch is not None and any(
        (one is not None) is not keyboard.multi_touch for one in touches
    ):
        return None
    return _KEYBOARD.write(keyboard if keyboard.backend_type else keyboard._replace(backend_type="qemu"))


def _read_virtio(reader: Reader, name: str, index: int, item: Atom) -> Virtio:
    """The one value with a comma in it: type=virtio,device22."""
    given: list[Part] = []
    for part in parts(item.value):
        if part.value is None and given and given[-1].text == "type=virtio":
            given[-1] = Part("type", f"virtio,{part.key}", given[-1].offset)
        else:
            given.append(part)
    made: Virtio = _VIRTIO.made(reader, name, item, _VIRTIO.fields(reader, name, index, item, iter(given)))
    return made


# --- PCI devices: xl-pci-configuration(5)

_BDF = re.compile(r"(?:([0-9a-fA-F]{1,4}):)?([0-9a-fA-F]{1,2}):([0-9a-fA-F]{1,2})\.([0-7*])")
_VSLOT = re.compile(r"(?:0x)?([0-9a-fA-F]{1,2})")


def _address(text: str) -> str:
    match = _BDF.fullmatch(text)
    if match is None or int(match[3], 16) > 31:
        raise ValueError("an address like 0000:03:00.0")
    domain, bus, slot = (int(group or "0", 16) for group in match.groups()[:3])
    return f"{domain:04x}:{bus:02x}:{slot:02x}.{match[4]}"


def _write_address(text: str) -> str | None:
    match = _BDF.fullmatch(text)
    return text if match is not None and int(match[3], 16) <= 31 else None


def _slot(text: str) -> int:
    match = _VSLOT.fullmatch(text)
    if match is None or int(match[1], 16) > 31:
        raise ValueError("a slot from 0 to 1f, in hexadecimal")
    return int(match[1], 16)


_PCI = Spec(
    PciDevice,
    Option("bdf", "address", _address, _write_address),
    TEXT("name", "name"),
    Option("vslot", "slot", _slot, lambda slot: f"{slot:x}" if 0 <= slot <= 31 else None),
    FLAG("permissive", "permissive"),
    FLAG("msitranslate", "msi_translate"),
    FLAG("seize", "seize"),
    FLAG("power_mgmt", "power_management"),
    words("rdm_policy", "reserved_memory", {"strict": "strict", "relaxed": "relaxed"}),
)


def _read_pci(reader: Reader, name: str, index: int, item: Atom) -> PciDevice:
    given: list[Part] = []
    for position, part in enumerate(parts(item.value)):
        if position == 0 and part.value is None:
            bdf, at, slot = part.key.partition("@")
            given.append(Part("bdf", bdf, part.offset))
            if at:
                given.append(Part("vslot", slot, part.offset + len(bdf) + 1))
        else:
            given.append(part)
    made: PciDevice = _PCI.made(reader, name, item, _PCI.fields(reader, name, index, item, iter(given)))
    if (made.address is None) == (made.name is None):
        reader.fail(f"{name}: {item.value!r} has to have either an address like 0000:03:00.0 or name=…", item)
    return made


def _write_pci(device: PciDevice, xen: tuple[int, int]) -> str | None:
    if (device.address is None) == (device.name is None):
        return None
    text = _PCI.write(device)
    return None if text is None else text.removeprefix("bdf=")


# --- ports and memory, in hexadecimal

_PORTS = re.compile(r"(?:0x)?([0-9a-fA-F]+)(?:-(?:0x)?([0-9a-fA-F]+))?")
_MEMORY = re.compile(r"(?:0x)?([0-9a-fA-F]+),(?:0x)?([0-9a-fA-F]+)(?:@(?:0x)?([0-9a-fA-F]+))?")


def _read_ports(reader: Reader, name: str, index: int, item: Atom) -> PortRange:
    match = _PORTS.fullmatch(item.value)
    first, last = (int(match[1], 16), int(match[2] or match[1], 16)) if match else (1, 0)
    if not first <= last <= 0xFFFF:
        reader.fail(f"{name}: expected ports like 2f8-2ff or 3f8, in hexadecimal, found {item.value!r}", item)
    return PortRange(first, last)


def _write_ports(ports: PortRange, xen: tuple[int, int]) -> str | None:
    if not 0 <= ports.first <= ports.last <= 0xFFFF:
        return None
    return f"{ports.first:x}" if ports.first == ports.last else f"{ports.first:x}-{ports.last:x}"


def _read_memory(reader: Reader, name: str, index: int, item: Atom) -> MemoryRange:
    match = _MEMORY.fullmatch(item.value)
    if match is None:
        message = (
            f"{name}: expected FRAME,COUNT or FRAME,COUNT@GUESTFRAME in hexadecimal, found {item.value!r}"
        )
        reader.fail(message, item)
    return MemoryRange(int(match[1], 16), int(match[2], 16), int(match[3], 16) if match[3] else None)


def _write_memory(memory: MemoryRange, xen: tuple[int, int]) -> str | None:
    if min(memory.first_frame, memory.frames, memory.guest_frame or 0) < 0:
        return None
    at = "" if memory.guest_frame is None else f"@{memory.guest_frame:x}"
    return f"{memory.first_frame:x},{memory.frames:x}{at}"


def _read_sound(reader: Reader, name: str, index: int, item: Value) -> Any:
    return sound.read(reader, name, item)


LISTS = tuple(
    DeviceList(*row)
    for row in (
        ("disk", "disks", disk.read, disk.write),
        ("vif", "interfaces", vif.read, vif.write),
        _spec(
            "p9",
            "directories",
            _P9,
            later=("type", "max-space", "max-files", "max-open-files", "auto-delete"),
        ),
        ("channel", "channels", _read_channel, _write_channel),
        ("vkb", "keyboards", _KEYBOARD.read, _write_keyboard),
        _spec("vdispl", "displays", _DISPLAY),
        ("vsnd", "sound_cards", _read_sound, sound.write),
        _spec("usbctrl", "usb_controllers", _USB_CONTROLLER),
        _spec("usbdev", "usb_devices", _USB_DEVICE),
        ("pci", "pci_devices", _read_pci, _write_pci),
        ("ioports", "io_ports", _read_ports, _write_ports),
        ("iomem", "io_memory", _read_memory, _write_memory),
        _spec("vtpm", "tpms", _VTPM),
        _spec("pvcalls", "socket_calls", _PVCALLS),
        ("virtio", "virtio_devices", _read_virtio, lambda record, xen: _VIRTIO.write(record)),
    )
)
