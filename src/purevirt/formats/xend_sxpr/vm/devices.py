"""`(vif …)`, `(vkbd)`, `(pci …)`, `(vusb …)`, `(vtpm …)`, `(ioports …)`, `(irq …)` <-> records; disks are in `disks`.

`KINDS` says for each kind of device in which tuple of the description its records are. A kind that is not there, such
as vscsi, is kept as it stands. What xend made up for itself (uuid, devid, location) says nothing.

Source: the device controllers of xend of Xen 4.1 (tools/python/xen/xend/server/).
"""

from __future__ import annotations

import re
from collections.abc import Callable

import purevirt.wire.sxp as sxp
from purevirt._typing import Any, NamedTuple
from purevirt.formats.xend_sxpr.vm.disks import backend, read_disk
from purevirt.formats.xend_sxpr.vm.pairs import Pairs
from purevirt.formats.xend_sxpr.vm.source import sayable, shown
from purevirt.formats.xl_config.vif import read_rate, write_rate
from purevirt.model.description import Interface, Keyboard, PortRange, UsbController, Vtpm

__all__ = [
    "KINDS",
    "Settings",
    "write_keyboard",
    "write_ports",
    "write_usb_controller",
    "write_vif",
    "write_vtpm",
]

Settings = tuple[tuple[str, sxp.Value], ...]

_MAC = re.compile(r"[0-9a-fA-F]{1,2}(?:[:-][0-9a-fA-F]{1,2}){5}")
_PROPER_MAC = re.compile(r"[0-9a-fA-F]{2}(?::[0-9a-fA-F]{2}){5}")
_CARDS = {"ioemu": True, "netfront": False, "paravirtualised": False}
_HEX = re.compile(r"(?:0x)?([0-9a-fA-F]{1,8})")


class DeviceKind(NamedTuple):
    """The tuple of the description, how a record is read, and what such a device is called when it is written."""

    field: str
    read: Callable[[Pairs, int], Any]
    word: str


# --- network interfaces


def _read_vif(pairs: Pairs, index: int) -> Interface:
    pairs.pass_over("uuid", "devid")
    card, rate = pairs.text("type"), pairs.text("rate")
    if card is not None and card not in _CARDS:
        expected = ", ".join(_CARDS)
        pairs.fail(
            f"type: expected one of {expected}, found {card!r}", pairs.take("type") or pairs.expression
        )
    made = None
    if rate is not None:
        try:
            made = read_rate(rate)
        except ValueError as error:
            pairs.fail(f"rate: expected {error}, found {rate!r}", pairs.take("rate") or pairs.expression)
    return Interface(
        mac=_mac(pairs),
        bridge=pairs.text("bridge"),
        script=pairs.text("script"),
        model=pairs.text("model"),
        emulated=None if card is None else _CARDS[card],
        name=pairs.text("vifname"),
        addresses=tuple((pairs.text("ip") or "").split()),
        rate=made,
        backend_domain=backend(pairs),
    )


def _mac(pairs: Pairs) -> str | None:
    text = pairs.text("mac")
    if text is None or _PROPER_MAC.fullmatch(text):
        return text
    if not _MAC.fullmatch(text):
        message = f"mac: expected six groups of hexadecimal digits like 00:16:3e:00:00:01, found {text!r}"
        pairs.fail(message, pairs.take("mac") or pairs.expression)
    return ":".join(f"{int(group, 16):02x}" for group in re.split("[:-]", text))


def write_vif(one: Interface) -> Settings | None:
    """None for what would be on another network: one that libvirt knows, or a VLAN."""
    if one.network is not None or one.vlan is not None:
        return None
    card = {True: "ioemu", False: "netfront", None: None}[one.emulated]
    whole = all(len(address.split()) == 1 for address in one.addresses)
    return _said(
        ("bridge", one.bridge),
        ("mac", one.mac if one.mac is not None and _PROPER_MAC.fullmatch(one.mac) else None),
        ("script", one.script),
        ("model", one.model),
        ("type", card),
        ("ip", " ".join(one.addresses) if whole else None),
        ("vifname", one.name),
        ("rate", None if one.rate is None else write_rate(one.rate)),
        ("backend", one.backend_domain),
    )


# --- the others


def _read_keyboard(pairs: Pairs, index: int) -> Keyboard:
    pairs.pass_over("uuid", "devid")
    return Keyboard(backend_domain=backend(pairs))


def write_keyboard(one: Keyboard) -> Settings:
    return _said(("backend", one.backend_domain))


def _read_usb_controller(pairs: Pairs, index: int) -> UsbController:
    """What is plugged in is told by its place on the host's buses, for which the model has no words."""
    pairs.pass_over("uuid", "devid")
    return UsbController("pv", pairs.number("usb-ver"), pairs.number("num-ports"), backend(pairs))


def write_usb_controller(one: UsbController) -> Settings | None:
    if one.type not in (None, "pv"):
        return None
    return _said(("usb-ver", one.version), ("num-ports", one.ports), ("backend", one.backend_domain))


def _read_vtpm(pairs: Pairs, index: int) -> Vtpm:
    return Vtpm(pairs.text("backend") or "0", pairs.text("uuid"))


def write_vtpm(one: Vtpm) -> Settings | None:
    return _said(("backend", one.backend_domain), ("uuid", one.uuid)) if one.backend_domain else None


def _read_ports(pairs: Pairs, index: int) -> PortRange:
    """Numbers are hexadecimal, whether they say so or not."""
    first, last = (_port(pairs, key) for key in ("from", "to"))
    if not first <= last <= 0xFFFF:
        message = f"ioports: expected a range of ports up to 0xffff, found {first:#x} to {last:#x}"
        pairs.fail(message, pairs.expression)
    return PortRange(first, last)


def _port(pairs: Pairs, key: str) -> int:
    found = pairs.text(key)
    match = _HEX.fullmatch(found or "")
    if match is None:
        what = "nothing" if found is None else repr(found)
        message = f"ioports: expected ({key} 0x3f8), a hexadecimal number, found {what}"
        pairs.fail(message, pairs.take(key) or pairs.expression)
    return int(match[1], 16)


def write_ports(ports: PortRange) -> Settings | None:
    if not 0 <= ports.first <= ports.last <= 0xFFFF:
        return None
    return ("from", f"{ports.first:#x}"), ("to", f"{ports.last:#x}")


def _read_interrupt(pairs: Pairs, index: int) -> int:
    number = pairs.number("irq")
    if number is None:
        pairs.fail(f"expected (irq (irq NUMBER)), found {shown(pairs.expression)}", pairs.expression)
    return number


def _said(*pairs: tuple[str, sxp.Value]) -> Settings:
    """Without what is not said, or cannot be."""
    return tuple(
        (key, value)
        for key, value in pairs
        if value is not None
        and not (isinstance(value, str) and (value == "" or not sayable(value)))
        and not (isinstance(value, int) and value < 0)
    )


KINDS = {
    name: DeviceKind(*row)
    for name, row in {
        "vbd": ("disks", read_disk, "vbd"),
        "tap": ("disks", read_disk, "vbd"),
        "tap2": ("disks", read_disk, "vbd"),
        "vif": ("interfaces", _read_vif, "vif"),
        "vif2": ("interfaces", _read_vif, "vif"),
        "vkbd": ("keyboards", _read_keyboard, "vkbd"),
        "vusb": ("usb_controllers", _read_usb_controller, "vusb"),
        "vtpm": ("tpms", _read_vtpm, "vtpm"),
        "ioports": ("io_ports", _read_ports, "ioports"),
        "irq": ("interrupts", _read_interrupt, "irq"),
    }.items()
}
