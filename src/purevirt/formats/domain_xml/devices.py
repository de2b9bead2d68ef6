"""The devices of a <domain>: for each kind its table, and how the table's values are those of a record.

`joined` makes a record of values, `split` values of a record; `split` gives None for a device that XML cannot say,
which is then carried. A kind has a `match` where one element stands for several.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from purevirt._typing import Any, NamedTuple
from purevirt.formats.domain_xml import hardware, screens
from purevirt.formats.domain_xml.shapes import (
    NUMBER,
    PRESENT,
    SILENT,
    TEXT,
    Kind,
    Shape,
    Values,
    up_to,
    words,
)
from purevirt.model.description import (
    Channel,
    ChannelConnection,
    Disk,
    DiskBackend,
    DiskDevice,
    DiskFormat,
    Interface,
    Rate,
    Serial,
)

__all__ = ["DEVICES", "Device"]


class Device(NamedTuple):
    """A kind of device: its element, the field of the description, its table, and both ways of its values."""

    element: str
    field: str
    shape: Shape
    joined: Callable[[Values], Any]
    split: Callable[[Any], Values | None]
    match: dict[str, tuple[str | None, ...]] = {}  # noqa: RUF012 - a NamedTuple's default


ALIAS = (("alias", "_alias", SILENT), ("alias/@name", "_alias", SILENT))

_PATH = re.compile(r"/.+", re.DOTALL)
_TARGET = re.compile(r"(?:fd|hd|sd|vd|xvd|ubd)[a-zA-Z0-9_]+")
_BUSES = {"xvd": "xen", "hd": "ide", "sd": "scsi", "fd": "fdc", "vd": "virtio"}


def _implied_bus(target: str) -> str | None:
    return next((bus for prefix, bus in _BUSES.items() if target.startswith(prefix)), None)


_FORMATS = {
    "raw": DiskFormat.RAW,
    "aio": DiskFormat.RAW,
    "qcow": DiskFormat.QCOW,
    "qcow2": DiskFormat.QCOW2,
    "qed": DiskFormat.QED,
    "vpc": DiskFormat.VHD,
    "vhd": DiskFormat.VHD,
}
_BACKENDS = {"phy": DiskBackend.PHY, "tap": DiskBackend.TAP, "qemu": DiskBackend.QDISK}
_BUS_WORDS = ("ide", "fdc", "scsi", "virtio", "xen", "usb", "sata")

SERIAL_NUMBER = Kind(str, lambda text: text if re.fullmatch(r"[A-Za-z0-9_.+ -]+", text) else None)
DISK = Shape(
    (
        ("@type", "_type", words({"file": False, "block": True})),
        ("@device", "device", words({member.value: member for member in DiskDevice})),
        ("driver/@name", "backend", words(_BACKENDS, "file")),
        ("driver/@type", "format", words(_FORMATS)),
        ("driver/@discard", "discard", words({"unmap": True, "ignore": False})),
        ("source/@file", "_file", TEXT),
        ("source/@dev", "_dev", TEXT),
        ("source/@index", "_index", SILENT),
        ("backingStore", "_backing", SILENT),
        ("backenddomain/@name", "backend_domain", TEXT),
        ("target/@dev", "target", TEXT),
        ("target/@bus", "bus", words({word: word for word in _BUS_WORDS})),
        ("target/@removable", "removable", words({"on": True, "off": False})),
        ("readonly", "read_only", PRESENT),
        ("shareable", "shareable", PRESENT),
        ("serial", "serial", SERIAL_NUMBER),
        *(
            (f"address/@{name}", "_address", SILENT)
            for name in ("type", "controller", "bus", "target", "unit")
        ),
        *ALIAS,
    )
)


def _disk(values: Values) -> Disk:
    values.pop("_alias", None)
    target = values.get("target")
    if not target:
        raise ValueError("<disk> names no target, expected one like <target dev='xvda'/>")
    block = values.pop("_type", False)
    file, device = values.pop("_file", None), values.pop("_dev", None)
    source = (device or file) if block else (file or device)
    values["source"] = source
    if source is not None and source.startswith("/dev/") is not block:
        values["from_device"] = block
    if values.get("bus") == _implied_bus(target):
        values.pop("bus", None)
    if values.get("device") is DiskDevice.CDROM:
        values["read_only"] = True
    return Disk(**values)


def _split_disk(disk: Disk) -> Values | None:
    if _TARGET.fullmatch(disk.target) is None or (disk.source is None and disk.device is DiskDevice.DISK):
        return None
    if disk.source is not None and _PATH.fullmatch(disk.source) is None:
        return None
    values: Values = disk._asdict()
    block = disk.from_device
    if block is None:
        block = disk.source is not None and disk.source.startswith("/dev/")
    if disk.script is not None or disk.colo is not None:
        return None  # what it is made of cannot be told
    if disk.device is DiskDevice.LUN and not block:
        return None  # the schema has LUNs of block devices only
    values.update(_type=block, _file=None if block else disk.source, _dev=disk.source if block else None)
    values["bus"] = disk.bus or _implied_bus(disk.target)
    return values


NAME = Kind(str, lambda text: text if re.fullmatch(r"[a-zA-Z0-9_.\-\\:/]+", text) else None)
FILE_NAME = Kind(str, lambda text: text if text.isprintable() else None)
INTERFACE = Shape(
    (
        ("@type", "_type", words({word: word for word in ("bridge", "network", "ethernet")})),
        ("mac/@address", "mac", TEXT),
        ("source/@bridge", "bridge", NAME),
        ("source/@network", "network", TEXT),
        ("virtualport/@type", "_port", words({"openvswitch": "vif-openvswitch"})),
        ("vlan/tag/@id", "vlan", up_to(4095)),
        (
            "ip*",
            "_addresses",
            (("@family", "family", TEXT), ("@address", "address", TEXT), ("@prefix", "prefix", NUMBER)),
        ),
        ("script/@path", "script", FILE_NAME),
        ("backenddomain/@name", "backend_domain", TEXT),
        ("target/@dev", "name", NAME),
        ("model/@type", "_model", TEXT),
        ("mtu/@size", "mtu", up_to(65535)),
        ("bandwidth/outbound/@average", "_average", NUMBER),
        *ALIAS,
    )
)
_MAC = re.compile(r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}")
_INTERVAL_US = 50_000
_MODEL = re.compile(r"[a-zA-Z0-9\-_]+")


def _interface(values: Values) -> Interface:
    values.pop("_alias", None)
    if "mac" in values and _MAC.fullmatch(values["mac"]) is None:
        raise ValueError(
            f"<mac>: address is {values['mac']!r}, expected six groups of hexadecimal digits like 00:16:3e:00:00:01"
        )
    kind = values.pop("_type", None)
    for word in ("bridge", "network"):
        if kind == word and word not in values:
            raise ValueError(f"<interface type='{word}'> names none, expected <source {word}='…'/>")
    model = values.pop("_model", None)
    if model == "netfront":
        values["emulated"] = False
    elif model is not None:
        values["model"] = model
    port = values.pop("_port", None)
    if port is not None:
        values.setdefault("script", port)
    values["addresses"] = tuple(
        one.get("address", "") + (f"/{one['prefix']}" if "prefix" in one else "")
        for one in values.pop("_addresses", ())
    )
    average = values.pop("_average", None)
    if average is not None:
        values["rate"] = Rate(average * 1024 // 20, _INTERVAL_US)
    return Interface(**values)


_ADDRESS = re.compile(r"([0-9]+(?:\.[0-9]+){3}|[0-9a-fA-F:]*:[0-9a-fA-F:.]*)(?:/([0-9]{1,3}))?")


def _split_interface(interface: Interface) -> Values | None:
    if interface.bridge and NAME.write(interface.bridge) is None:
        interface = interface._replace(bridge=None)
    values: Values = interface._asdict()
    if interface.mac is not None and _MAC.fullmatch(interface.mac) is None:
        values["mac"] = None
    values["_type"] = "bridge" if interface.bridge else "network" if interface.network else "ethernet"
    if interface.bridge:
        values["network"] = None
    if interface.model is not None:
        values["_model"] = interface.model if _MODEL.fullmatch(interface.model) else None
    elif interface.emulated is False:
        values["_model"] = "netfront"
    matches = [_ADDRESS.fullmatch(one) for one in interface.addresses]
    values["_addresses"] = [
        {
            "family": "ipv6" if ":" in match[1] else "ipv4",
            "address": match[1],
            "prefix": None if match[2] is None else int(match[2]),
        }
        for match in matches
        if match is not None
    ]
    if interface.rate is not None and interface.rate.interval_us == _INTERVAL_US:
        average = -(-interface.rate.bytes * 20 // 1024)
        if average * 1024 // 20 == interface.rate.bytes:
            values["_average"] = average
    return values


SERIAL = Shape(
    (
        ("@type", "_type", TEXT),
        ("@tty", "_tty", SILENT),
        ("source/@mode", "mode", words({"bind": "bind", "connect": "connect"})),
        ("source/@host", "host", TEXT),
        ("source/@service", "service", TEXT),
        ("source/@path", "path", TEXT),
        ("protocol/@type", "protocol", words({"raw": "tcp", "telnet": "telnet"})),
        ("target/@port", "port", NUMBER),
        *ALIAS,
    )
)
_TCP = re.compile(r"(tcp|telnet):([^:,]+):([^:,]+)(,server,nowait)?")
_UNIX = re.compile(r"unix:([^,]+)(,server,nowait)?")


def _serial(values: Values) -> Serial:
    kind = values.get("_type", "pty")
    served = ",server,nowait" if values.get("mode", "bind") == "bind" else ""
    if kind in ("pty", "stdio", "vc"):
        return Serial(kind)
    if kind == "null":
        return Serial("none")
    if kind == "dev" and "path" in values:
        return Serial(values["path"])
    if kind in ("file", "pipe") and "path" in values:
        return Serial(f"{kind}:{values['path']}")
    if kind == "unix" and "path" in values:
        return Serial(f"unix:{values['path']}{served}")
    if kind == "tcp" and "host" in values and "service" in values:
        return Serial(f"{values.get('protocol', 'tcp')}:{values['host']}:{values['service']}{served}")
    raise ValueError(
        f"<serial type={kind!r}> is not to be had, expected pty, dev, file, pipe, tcp, unix, null, stdio or vc "
        "with its source"
    )


def _split_serial(serial: Serial) -> Values | None:
    text = serial.connected
    if text in ("pty", "stdio", "vc"):
        return {"_type": text}
    if text == "none":
        return {"_type": "null"}
    kind, colon, path = text.partition(":")
    if text.startswith("/"):
        return {"_type": "dev", "path": text}
    if colon and kind in ("file", "pipe") and path.startswith("/"):
        return {"_type": kind, "path": path}
    match = _UNIX.fullmatch(text)
    if match is not None:
        return {"_type": "unix", "mode": "bind" if match[2] else "connect", "path": match[1]}
    match = _TCP.fullmatch(text)
    if match is None:
        return None
    return {
        "_type": "tcp",
        "mode": "bind" if match[4] else "connect",
        "host": match[2],
        "service": match[3],
        "protocol": match[1],
    }


_CONNECTIONS = {"pty": ChannelConnection.PTY, "unix": ChannelConnection.SOCKET}
CHANNEL = Shape(
    (
        ("@type", "connection", words(_CONNECTIONS)),
        ("source/@mode", "_mode", words({"bind": "bind"})),
        ("source/@path", "path", TEXT),
        ("target/@type", "_target", TEXT),
        ("target/@name", "name", TEXT),
        ("target/@state", "_state", SILENT),
        *ALIAS,
    )
)


def _channel(values: Values) -> Channel | None:
    if values.get("_target", "xen") != "xen":
        return None  # of another hypervisor
    if "name" not in values:
        raise ValueError("<channel> has no name, expected <target type='xen' name='…'/>")
    connection = values.get("connection", ChannelConnection.PTY)
    # a terminal's path is what a running domain shows
    path = values.get("path") if connection is ChannelConnection.SOCKET else None
    return Channel(values["name"], connection, path)


def _split_channel(channel: Channel) -> Values | None:
    socket = channel.connection is ChannelConnection.SOCKET
    values: Values = {"connection": channel.connection, "_target": "xen", "name": channel.name}
    if socket and channel.path is not None:
        values.update(_mode="bind", path=channel.path)
    return values


DEVICES: tuple[Device, ...] = (
    Device("disk", "disks", DISK, _disk, _split_disk, {"type": ("file", "block", None)}),
    Device(
        "controller",
        "usb_controllers",
        hardware.CONTROLLER,
        hardware.controller,
        hardware.split_controller,
        {"type": ("usb",), "model": ("qusb1", "qusb2", None)},
    ),
    Device(
        "filesystem",
        "directories",
        hardware.FILESYSTEM,
        hardware.directory,
        hardware.split_directory,
        {"type": ("mount", None)},
    ),
    Device(
        "interface",
        "interfaces",
        INTERFACE,
        _interface,
        _split_interface,
        {"type": ("bridge", "network", "ethernet")},
    ),
    Device("serial", "serials", SERIAL, _serial, _split_serial),
    Device("channel", "channels", CHANNEL, _channel, _split_channel, {"type": ("pty", "unix")}),
    Device(
        "input",
        "inputs",
        screens.INPUT,
        screens.input_device,
        screens.split_input,
        {"type": ("tablet", "mouse", "keyboard"), "bus": ("usb", None)},
    ),
    Device(
        "graphics",
        "graphics",
        screens.GRAPHICS,
        screens.graphics,
        screens.split_graphics,
        {"type": ("vnc", "sdl", "spice")},
    ),
    Device(
        "hostdev",
        "pci_devices",
        hardware.HOST_PCI,
        hardware.pci,
        hardware.split_pci,
        {"mode": ("subsystem",), "type": ("pci",)},
    ),
    Device(
        "hostdev",
        "usb_devices",
        hardware.HOST_USB,
        hardware.usb,
        hardware.split_usb,
        {"mode": ("subsystem",), "type": ("usb",)},
    ),
    Device("sound", "sound", screens.SOUND, screens.sound, screens.split_sound),
    Device("video", "video", screens.VIDEO, screens.video, screens.split_video),
)
"""In the order in which libvirt writes them."""
