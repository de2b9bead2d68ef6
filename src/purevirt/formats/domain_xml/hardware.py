"""What a <domain> is given of its host: shared directories, PCI and USB devices, USB controllers. See `devices`."""

from __future__ import annotations

import re

from purevirt.formats.domain_xml.shapes import (
    NUMBER,
    SILENT,
    TEXT,
    YES_NO,
    Kind,
    Shape,
    Values,
    silent,
    up_to,
    words,
)
from purevirt.model.description import P9, PciDevice, UsbController, UsbDevice

__all__ = [
    "CONTROLLER",
    "FILESYSTEM",
    "HOST_PCI",
    "HOST_USB",
    "controller",
    "directory",
    "pci",
    "split_controller",
    "split_directory",
    "split_pci",
    "split_usb",
    "usb",
]

# --- directories and the host's devices

_ACCESS = {"squash": "none", "passthrough": "passthrough", "mapped": "mapped"}
FILESYSTEM = Shape(
    (
        ("@type", "_type", words({"mount": "mount"})),
        ("@accessmode", "security_model", words(_ACCESS)),
        ("source/@dir", "path", TEXT),
        ("target/@dir", "tag", TEXT),
        ("alias/@name", "_alias", SILENT),
    )
)


def directory(values: Values) -> P9:
    if "tag" not in values or "path" not in values:
        raise ValueError("<filesystem> lacks a directory, expected <source dir='…'/> and <target dir='…'/>")
    return P9(values["tag"], values["path"], values.get("security_model", "passthrough"))


def split_directory(shared: P9) -> Values | None:
    if shared.security_model not in _ACCESS.values() or not shared.path.startswith("/"):
        return None
    return {"_type": "mount", **shared._asdict()}


def _hex(most: int, digits: int) -> Kind:
    def read(text: str) -> int:
        try:
            number = int(text, 16 if text.startswith(("0x", "0X")) else 10)
        except ValueError:
            number = -1
        if not 0 <= number <= most:
            raise ValueError(f"a number up to {most:#x}")
        return number

    return Kind(read, lambda number: f"{number:#0{digits + 2}x}")


HOST_PCI = Shape(
    (
        ("@mode", "_mode", words({"subsystem": "subsystem"})),
        ("@type", "_type", words({"pci": "pci"})),
        ("@managed", "seize", YES_NO),
        ("driver/@name", "_driver", words({}, "xen")),
        ("source/@writeFiltering", "permissive", words({"no": True, "yes": False})),
        ("source/address/@domain", "domain", _hex(0xFFFF, 4)),
        ("source/address/@bus", "bus", _hex(0xFF, 2)),
        ("source/address/@slot", "slot", _hex(0x1F, 2)),
        ("source/address/@function", "function", _hex(7, 1)),
        ("alias/@name", "_alias", SILENT),
    )
)
_BDF = re.compile(r"([0-9a-f]{4}):([0-9a-f]{2}):([01][0-9a-f])\.([0-7])")


def pci(values: Values) -> PciDevice:
    if "bus" not in values or "slot" not in values:
        raise ValueError("<hostdev type='pci'> has no address, expected <source><address bus='…' slot='…'/>")
    address = (
        f"{values.get('domain', 0):04x}:{values['bus']:02x}:{values['slot']:02x}.{values.get('function', 0)}"
    )
    return PciDevice(address, permissive=values.get("permissive"), seize=values.get("seize"))


def split_pci(device: PciDevice) -> Values | None:
    match = _BDF.fullmatch(device.address or "")
    if match is None:
        return None
    domain, bus, slot, function = (int(group, 16) for group in match.groups())
    return {
        "_mode": "subsystem",
        "_type": "pci",
        "seize": device.seize,
        "permissive": device.permissive,
        "domain": domain,
        "bus": bus,
        "slot": slot,
        "function": function,
    }


HOST_USB = Shape(
    (
        ("@mode", "_mode", words({"subsystem": "subsystem"})),
        ("@type", "_type", words({"usb": "usb"})),
        ("@managed", "_managed", silent("no")),
        ("source/address/@bus", "bus", up_to(999)),
        ("source/address/@device", "device", up_to(999)),
        ("alias/@name", "_alias", SILENT),
    )
)


def usb(values: Values) -> UsbDevice | None:
    if "bus" not in values or "device" not in values:
        return None  # known by vendor and product: that is not in the model
    return UsbDevice(values["bus"], values["device"])


def split_usb(device: UsbDevice) -> Values | None:
    return {"_mode": "subsystem", "_type": "usb", "bus": device.host_bus, "device": device.host_address}


CONTROLLER = Shape(
    (
        ("@type", "_type", words({"usb": "usb"})),
        ("@index", "_index", NUMBER),
        ("@model", "_model", words({"qusb1": 1, "qusb2": 2})),
        ("@ports", "ports", NUMBER),
        ("alias/@name", "_alias", SILENT),
    )
)


def controller(values: Values) -> UsbController:
    version = values.get("_model")
    return UsbController(None if version is None else "qusb", version, values.get("ports"))


def split_controller(one: UsbController) -> Values | None:
    values: Values = {"_type": "usb", "ports": one.ports}
    if one.type == "qusb" and one.version in (1, 2):
        values["_model"] = one.version
    elif one.type is not None or one.version is not None:
        return None
    return values
