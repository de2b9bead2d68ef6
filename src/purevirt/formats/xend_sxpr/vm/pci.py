"""`(pci (dev (domain 0x0)(bus 0x3)(slot 0x0)(func 0x0)(vdevfn 0x100)(opts ((permissive 1))))…)` <-> PCI devices.

One such device holds all of a domain's. Numbers are hexadecimal, whether they say so or not. Where the guest finds a
device is told by `vdevfn` (slot * 8 + function; 0x100: anywhere), by older clients as `vslot` or `vslt`, in which 0
is anywhere too.
"""

from __future__ import annotations

import re

import purevirt.wire.sxp as sxp
from purevirt._typing import Any
from purevirt.formats.xend_sxpr.vm.pairs import Pairs
from purevirt.formats.xend_sxpr.vm.source import shown
from purevirt.model.description import PciDevice
from purevirt.wire.sxp.places import PlacedList

__all__ = ["read_pci", "write_pci"]

_ADDRESS = re.compile(r"([0-9a-fA-F]{4}):([0-9a-fA-F]{2}):([0-9a-fA-F]{2})\.([0-7])")
_HEX = re.compile(r"(?:0x)?([0-9a-fA-F]{1,4})")
_ANYWHERE = 0x100
_OPTIONS = {"permissive": "permissive", "msitranslate": "msi_translate", "power_mgmt": "power_management"}


def read_pci(pairs: Pairs) -> list[tuple[PciDevice, Pairs]]:
    """The devices, each with the pairs it was read from."""
    pairs.pass_over("uuid", "devid")
    if pairs.text("backend") not in (None, "0", "Domain-0"):
        pairs.unknown(pairs.take("backend") or pairs.expression)
    found = []
    for pair in pairs.all:
        if pair[0] == "dev":
            pairs.known(pair)
            device = Pairs(pairs.source, pair, "dev")
            found.append((_read(device), device))
    return found


def _read(pairs: Pairs) -> PciDevice:
    domain = _number(pairs, "domain", 0)
    bus, slot, function = (_number(pairs, key, None) for key in ("bus", "slot", "func"))
    if bus > 0xFF or slot > 0x1F or function > 7:
        message = "pci: expected a bus up to 0xff, a slot up to 0x1f and a func up to 7"
        pairs.fail(message, pairs.expression)
    pairs.pass_over("uuid", "key", "devid")
    device = PciDevice(f"{domain:04x}:{bus:02x}:{slot:02x}.{function:x}", slot=_slot(pairs))
    return device._replace(**_options(pairs))


def _slot(pairs: Pairs) -> int | None:
    if pairs.has("vdevfn"):
        number = _number(pairs, "vdevfn", _ANYWHERE)
        return None if number >= _ANYWHERE else number >> 3
    number = _number(pairs, pairs.key("vslot", "vslt"), 0)
    return None if number == 0 or number >= _ANYWHERE else number


def _number(pairs: Pairs, key: str, default: int | None) -> int:
    text = pairs.text(key)
    if text is None and default is not None:
        return default
    match = _HEX.fullmatch(text or "")
    if match is None:
        what = "nothing" if text is None else repr(text)
        message = f"pci: expected ({key} 0x3), a hexadecimal number, found {what}"
        pairs.fail(message, pairs.take(key) or pairs.expression)
    return int(match[1], 16)


def _options(pairs: Pairs) -> dict[str, Any]:
    """A list of pairs; those that are not known make all of it unknown."""
    pair = pairs.take("opts")
    if pair is None:
        return {}
    found: dict[str, Any] = {}
    for option in pair[1] if len(pair) == 2 and isinstance(pair[1], list) else pair[1:]:
        if not isinstance(option, PlacedList):
            pairs.fail(f"opts: expected pairs like (permissive 1), found {shown(option)}", option)
        key = sxp.head(option)
        if key not in _OPTIONS or len(option) != 2 or option[1] not in ("0", "1"):
            pairs.unknown(pair)
            return {}
        found[_OPTIONS[key]] = option[1] == "1"
    return found


def write_pci(device: PciDevice) -> tuple[sxp.Value, ...] | None:
    """`(dev …)`; None for what xend could not have had."""
    match = _ADDRESS.fullmatch(device.address or "")
    if match is None or device.name is not None:
        return None
    vdevfn = _ANYWHERE
    if device.slot is not None:
        if not 0 <= device.slot < 0x20:
            return None
        vdevfn = device.slot << 3
    written: list[sxp.Value] = [
        "dev",
        *(
            (key, f"0x{number}")
            for key, number in zip(("domain", "bus", "slot", "func"), match.groups(), strict=True)
        ),
        ("vdevfn", f"{vdevfn:#x}"),
    ]
    options = [
        (key, int(value)) for key, field in _OPTIONS.items() if (value := getattr(device, field)) is not None
    ]
    if options:
        written.append(("opts", tuple(options)))
    return tuple(written)
