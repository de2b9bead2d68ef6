"""A whole `(vm …)` <-> a whole description, by the table and the modules for what is no table's.

`described` reads. `canonical` says how a description would be written: one text for one meaning, so that two
descriptions differ in a text where their canonical forms do. `document` turns that into text, `halted` into what xend
would show.
"""

from __future__ import annotations

import purevirt.wire.sxp as sxp
from purevirt._typing import Any, NamedTuple
from purevirt.errors import RemoteProtocolError
from purevirt.formats.xend_sxpr.vm import devices, pci
from purevirt.formats.xend_sxpr.vm.disks import write_disk
from purevirt.formats.xend_sxpr.vm.image import KINDS as IMAGES
from purevirt.formats.xend_sxpr.vm.image import floppy, read_image, write_image
from purevirt.formats.xend_sxpr.vm.machine import read_machine, write_machine
from purevirt.formats.xend_sxpr.vm.pairs import Pairs
from purevirt.formats.xend_sxpr.vm.screens import (
    read_frame_buffer,
    read_screens,
    write_frame_buffers,
    write_screens,
)
from purevirt.formats.xend_sxpr.vm.source import Source, shown
from purevirt.formats.xend_sxpr.vm.table import IMAGE, TOP
from purevirt.model.description import DomainDescription, PciDevice, Unknown
from purevirt.model.domain import DomainType
from purevirt.wire.sxp.places import PlacedList

__all__ = ["CARRIED", "FORMAT", "HEADS", "Canonical", "Expression", "canonical", "described", "device_pairs"]

FORMAT = "xen-sxpr"
"""The name of the format, which is libvirt's."""
CARRIED = "purevirt"
"""The pair in which what xend has no words for is carried; xend passed over keys that it did not know."""
HEADS = ("vm", "domain")

_KNOWN = {row.key for row in (*TOP, *IMAGE)} | {
    "name", "uuid", "memory", "maxmem", "vcpus", "vcpu_avail", "cpus", "cpu", "restart", "bootloader_args", "image",
    CARRIED,
}  # fmt: skip
_KINDS = ("vbd", "vif", "vfb", "vkbd", "vusb", "vtpm", "ioports", "irq", "pci")
"""The kinds of devices, in the order in which they are written."""

Expression = tuple[sxp.Value, ...]

_RECORDS: dict[str, Any] = {
    name: default
    for name, default in DomainDescription._field_defaults.items()
    if hasattr(default, "_fields")
}


class Canonical(NamedTuple):
    """The pairs of the domain by their keys, its image, its devices, and what is unknown, each an expression."""

    pairs: dict[str, Expression]
    image: Expression | None
    devices: tuple[Expression, ...]
    unknown: tuple[Expression, ...]


# --- reading


def described(source: Source) -> DomainDescription:
    """What a text says, without what it carries. ConfigError, with line and column, for what it cannot mean."""
    head = sxp.head(source.root)
    if head not in HEADS:
        raise source.error(f"expected (vm …) or (domain …), found {shown(source.root)}", source.root)
    top = Pairs(source, source.root, head)
    into: dict[str, dict[str, Any]] = {name: {} for name in ("", *_RECORDS)}
    for key, record, field, kind in TOP:
        _put(into[record], field, kind.read(top, key) if top.has(key) else None)
    read_machine(top, into)
    top.pass_over(CARRIED)
    image = _image(top)
    fields = into[""]
    domain_type = fields["type"] = DomainType.PV if image is None else IMAGES[image.what]
    _read_image(top, image, into, domain_type)
    made = _Devices(top, fields)
    made.read_all(domain_type)
    left = [*top.left()]
    unknown = [Unknown(FORMAT, str(pair[0]), sxp.text(pair)) for pair in left]
    unknown += [Unknown(FORMAT, "image", sxp.text(pair)) for pair in (image.left() if image else ())]
    fields["unknown"] = (*unknown, *made.unknown)
    for name, default in _RECORDS.items():
        if into[name]:
            fields[name] = type(default)(**into[name])
    return DomainDescription(**fields)


def _put(into: dict[str, Any], field: str, value: Any) -> None:
    if value is not None:
        into[field] = value


def _image(top: Pairs) -> Pairs | None:
    found = top.value("image")
    if found is None:
        return None
    kind = sxp.head(found)
    if kind not in IMAGES or not isinstance(found, PlacedList):
        expected = ", ".join(f"({word} …)" for word in IMAGES)
        top.fail(f"image: expected one of {expected}, found {shown(found)}", found)
    return Pairs(top.source, found, kind)


def _read_image(top: Pairs, image: Pairs | None, into: dict[str, dict[str, Any]], kind: DomainType) -> None:
    """xend took what is in the table of the domain's own pairs too."""
    for key, record, field, meant in IMAGE:
        if image is not None and image.has(key):
            _put(into[record], field, meant.read(image, key))
        elif top.has(key):
            _put(into[record], field, meant.read(top, key))
    if image is None:
        return
    read_image(image, into, kind)
    if kind is DomainType.HVM:
        into[""]["graphics"] = tuple(read_screens(image))


class _Devices:
    """The devices of a domain, as they are read into the tuples of its description."""

    def __init__(self, top: Pairs, fields: dict[str, Any]) -> None:
        self.top = top
        self.fields = fields
        self.found: dict[str, list[Any]] = {}
        self.unknown: list[Unknown] = []

    def read_all(self, kind: DomainType) -> None:
        screens = [*self.fields.get("graphics", ())]
        shown_already, buffers = bool(screens), 0
        for pair in [pair for pair in self.top.all if pair[0] == "device"]:
            word, pairs = _device(self.top, pair)
            if word == "vfb":
                self.top.known(pair)
                buffers += 1
                if shown_already:
                    continue
                place = f"vfb[{len(screens)}]"
                screens += read_frame_buffer(pairs)
                self._keep(place, pairs)
            elif word == "vkbd" and buffers > 0:
                self.top.known(pair)
                buffers -= 1  # that frame buffer's own
            elif word == "console":
                self.top.known(pair)  # every domain has one
            elif word == "pci":
                self.top.known(pair)
                self._read_pci(pairs)
            elif word in devices.KINDS:
                self.top.known(pair)
                field, read, name = devices.KINDS[word]
                there = self.found.setdefault(field, [])
                place = f"{name}[{len(there)}]"
                there.append(read(pairs, len(there)))
                self._keep(place, pairs)
        # in the order in which devices are written
        self.unknown.sort(key=lambda item: _KINDS.index(item.place.partition("[")[0]))
        if screens:
            self.fields["graphics"] = tuple(screens)
        for field, records in self.found.items():
            self.fields[field] = (*records, *self.fields.get(field, ()))

    def _read_pci(self, pairs: Pairs) -> None:
        there = self.found.setdefault("pci_devices", [])
        for device, inner in pci.read_pci(pairs):
            place = f"pci[{len(there)}]"
            there.append(device)
            self._keep(place, inner)
        self._keep("pci", pairs)

    def _keep(self, place: str, pairs: Pairs) -> None:
        self.unknown += [Unknown(FORMAT, place, sxp.text(pair)) for pair in pairs.left()]


def _device(top: Pairs, pair: PlacedList) -> tuple[str, Pairs]:
    inner = pair[1] if len(pair) == 2 else None
    word = sxp.head(inner) if inner is not None else None
    if word is None or not isinstance(inner, PlacedList):
        top.fail("device: expected one like (device (vbd (uname …) (dev …) (mode …)))", pair)
    if word in devices.KINDS or word in ("vfb", "pci"):
        return word, Pairs(top.source, inner, word)
    return word, Pairs(top.source, PlacedList(), word)  # whatever is in it


def device_pairs(source: Source) -> tuple[str, Pairs]:
    """One device alone, `(vbd …)` or `(device (vbd …))`: its kind and its pairs."""
    root = source.root
    if sxp.head(root) == "device" and len(root) == 2 and isinstance(root[1], PlacedList):
        root = root[1]
    word = sxp.head(root)
    known = [*devices.KINDS, "pci"]
    if word not in known:
        expected = ", ".join(known)
        raise source.error(f"expected a device of one of the kinds {expected}, found {shown(root)}", root)
    return word, Pairs(source, root, word)


# --- writing


def canonical(description: DomainDescription) -> Canonical:
    """How a description is written, without what cannot be said."""
    unknown = [item for item in description.unknown if item.format == FORMAT]
    pairs: dict[str, Expression] = {
        key: (key, value) for key, value in write_machine(description).items()
    } | _rows(TOP, description)
    image = _written_image(description, [item.text for item in unknown if item.place == "image"])
    made = _written_devices(description, unknown)
    written = {*pairs, *(("image",) if image is not None else ())}
    kept = []
    for item in unknown:
        node = _node(item.text)
        if node is not None and sxp.head(node) == item.place and _is_unknown(node, item.place, written):
            kept.append(_frozen(node))
    return Canonical(pairs, image, made, tuple(kept))


def _rows(table: Any, description: DomainDescription) -> dict[str, Expression]:
    found: dict[str, Expression] = {}
    for key, record, field, kind in table:
        holder: Any = getattr(description, record) if record else description
        value = getattr(holder, field)
        if value is not None:
            written = kind.write(value)
            if written is not None:
                found[key] = (key, written)
    return found


def _written_image(description: DomainDescription, unknown: list[str]) -> Expression | None:
    hvm = description.type is DomainType.HVM
    pairs: list[Expression] = [*write_image(description), *_rows(IMAGE, description).values()]
    if hvm:
        pairs += write_screens(description.graphics)
    pairs += [_frozen(node) for node in map(_node, unknown) if node is not None]
    if not pairs and not hvm and description.boot.bootloader is not None:
        return None  # the boot loader will find one
    return ("image", ("hvm" if hvm else "linux", *pairs))


def _written_devices(description: DomainDescription, unknown: list[Unknown]) -> tuple[Expression, ...]:
    by_place: dict[str, list[Expression]] = {}
    for item in unknown:
        node = _node(item.text)
        if node is not None:
            by_place.setdefault(item.place, []).append(_frozen(node))
    made: list[Expression] = []

    hvm = description.type is DomainType.HVM
    disks = [disk for disk in description.disks if not floppy(disk)]
    rows: list[tuple[str, Any, Any]] = [
        ("vbd", disks, write_disk),
        ("vif", description.interfaces, devices.write_vif),
        ("vfb", [] if hvm else write_frame_buffers(description.graphics), lambda settings: settings),
        ("vkbd", description.keyboards, devices.write_keyboard),
        ("vusb", description.usb_controllers, devices.write_usb_controller),
        ("vtpm", description.tpms, devices.write_vtpm),
        ("ioports", description.io_ports, devices.write_ports),
        ("irq", description.interrupts, lambda number: (("irq", number),) if number >= 0 else None),
    ]
    for word, records, write in rows:
        for index, record in enumerate(records):
            settings = write(record)
            if settings is None:
                continue
            made.append((word, *settings, *by_place.get(f"{word}[{index}]", ())))
            if word == "vfb":
                made.append(("vkbd",))
    passed = _written_pci(description.pci_devices, by_place)
    return (*made, passed) if passed is not None else tuple(made)


def _written_pci(passed: tuple[PciDevice, ...], by_place: dict[str, list[Expression]]) -> Expression | None:
    made = []
    for index, device in enumerate(passed):
        written = pci.write_pci(device)
        if written is not None:
            made.append((*written, *by_place.get(f"pci[{index}]", ())))
    return ("pci", *made, *by_place.get("pci", ())) if made else None


def _is_unknown(node: sxp.Node, key: str, written: set[str]) -> bool:
    """Whether it will be unknown again: nobody asks for it, or what counts stands before it."""
    if key == "device" and isinstance(node, list):
        word = sxp.head(node[1]) if len(node) == 2 else None
        return word is not None and word not in (*devices.KINDS, "vfb", "pci", "console")
    return key in written or key not in _KNOWN


def _node(text: str) -> sxp.Node | None:
    """What is unknown, as an expression; None if it is none any more."""
    try:
        node = sxp.parse_one(text.encode("ascii"))
    except (UnicodeEncodeError, RemoteProtocolError):
        return None
    return node if sxp.head(node) is not None and sxp.text(node) == text else None


def _frozen(node: sxp.Node) -> Expression:
    assert isinstance(node, list)
    return tuple(_frozen(one) if isinstance(one, list) else one for one in node)
