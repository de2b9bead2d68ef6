"""A whole <domain> <-> a whole description, by the tables of `machine` and `devices`.

`described` reads. `canonical` is how a description is written: one element for one meaning, so that two descriptions
differ in an XML where their canonical elements do.
"""

from __future__ import annotations

import re

from purevirt._typing import Any, NamedTuple
from purevirt.errors import ConfigError
from purevirt.formats import carried
from purevirt.formats.carried import Carried
from purevirt.formats.domain_xml import live
from purevirt.formats.domain_xml.devices import DEVICES, Device
from purevirt.formats.domain_xml.machine import DOMAIN, from_values, to_values
from purevirt.formats.domain_xml.shapes import Values
from purevirt.formats.xml import Element, Made, Tree, parse
from purevirt.formats.xml.making import sayable
from purevirt.model.description import DomainDescription, Serial, Unknown
from purevirt.model.domain import DomainType

__all__ = ["CARRIED", "NAMESPACE", "Said", "canonical", "described", "made_device", "matching", "read_device"]

NAMESPACE = "https://purevirt.org/xmlns/description/1"
CARRIED = "purevirt:description"
"""The element of <metadata> in which what libvirt has no words for is carried."""

_STEP = re.compile(r"([^/\[\]]+)(?:\[([^\]]*)\])?")
_BY_ELEMENT: dict[str, list[Device]] = {}
for _device in DEVICES:
    _BY_ELEMENT.setdefault(_device.element, []).append(_device)


class Said(NamedTuple):
    """What an XML says: the description, without what it carries; the number of a running domain; what is carried."""

    description: DomainDescription
    domid: int | None
    carried: tuple[Carried, ...]


def described(tree: Tree) -> Said:
    """ConfigError, with line and column, for what an XML cannot mean."""
    root = tree.root
    if root.name != "domain":
        raise tree.error(f"expected <domain>, found <{root.name}>", root)
    if root.attributes.get("type") != "xen":
        found = root.attributes.get("type")
        raise tree.error(f"<domain>: type is {found!r}, expected 'xen'", root)
    head = Element(root.name, root.attributes, root.start)
    devices: Element | None = None
    metadata: Element | None = None
    for child in root.children:
        if child.name == "devices" and devices is None:
            devices = child
        elif child.name == "metadata" and metadata is None:
            metadata = child
        elif child.name in ("devices", "metadata"):
            raise tree.error(f"a second <{child.name}> in <domain>, expected one", child)
        else:
            head.children.append(child)
    values: Values = {}
    unknown: list[Unknown] = []
    DOMAIN.read(tree, head, "domain", values, unknown)
    if not values.get("name"):
        raise tree.error("<domain> has no name, expected <name>…</name>", root)
    if "type" not in values and values.get("bootloader"):
        values["type"] = DomainType.PV  # as libvirt has it
    if "type" not in values:
        raise tree.error("<domain> does not say what it runs, expected <os><type>hvm, linux or xenpvh", root)
    try:
        fields = from_values(values)
    except ValueError as error:
        raise tree.error(str(error), _named(root, str(error))) from None
    lines: tuple[Carried, ...] = ()
    if metadata is not None:
        lines = _metadata(tree, metadata, fields, unknown)
    if devices is not None:
        _devices(tree, devices, fields, unknown, running="_domid" in values)
    if unknown:
        unknown.sort(key=lambda one: one.place)  # one order, wherever the devices stand
        fields["unknown"] = tuple(unknown)
    return Said(DomainDescription(**fields), values.get("_domid"), lines)


def _metadata(
    tree: Tree, metadata: Element, fields: dict[str, Any], unknown: list[Unknown]
) -> tuple[Carried, ...]:
    others, lines = [], []
    for child in metadata.children:
        if child.name != CARRIED:
            others.append(tree.source(child))
            continue
        for item in child.children:
            try:
                lines.append(carried.parse_line(item.text))
            except ValueError as error:
                raise tree.error(f"<{item.name}>: {error}", item) from None
    if others:
        fields["metadata"] = tuple(others)
    return tuple(lines)


def _named(element: Element, message: str) -> Element:
    """The element that a message begins with, within another; else that one."""
    name = message[1:].partition(">")[0].partition(" ")[0] if message.startswith("<") else ""
    for child in element.children:
        found = _named(child, message) if child.name != name else child
        if found.name == name:
            return found
    return element


_OWN: dict[str, dict[str, tuple[str | None, ...]]] = {
    "memballoon": {"model": ("xen",)},
    "controller": {"type": ("xenbus", "ide"), "index": ("0",), "model": (None,)},
    "input": {"type": ("mouse", "keyboard"), "bus": ("ps2", "xen", None)},
}


def _is_own(element: Element) -> bool:
    """Whether it is a device that every domain has without being told; libvirt tells nevertheless."""
    own = _OWN.get(element.name)
    return own is not None and all(element.attributes.get(name) in known for name, known in own.items())


def _own_console(console: Element) -> str | None:
    """Of the console that every domain has without being told: where it is ("": as usual). None: it is another."""
    target = console.find("target")
    said = {} if target is None else target.attributes
    where = said.get("type", "")
    own = console.attributes.get("type") == "pty" and where in ("", "xen", "serial")
    return where if own and said.get("port", "0") == "0" else None


def _devices(
    tree: Tree, devices: Element, fields: dict[str, Any], unknown: list[Unknown], running: bool
) -> None:
    found: dict[str, list[Any]] = {}
    keys: set[tuple[str, str]] = set()
    emulator = False
    console: str | None = None
    for child in devices.children:
        if child.name == "emulator" and not emulator:
            emulator = True
            fields["device_model"] = DomainDescription._field_defaults["device_model"]._replace(
                path=child.text
            )
            continue
        if _is_own(child):
            continue
        if child.name == "console" and console is None:
            console = _own_console(child)
            if console is not None:
                continue
        device = matching(child)
        if device is None or (device.field == "video" and "video" in found):
            unknown.append(Unknown("xml", "devices", tree.source(child)))
            continue
        items = found.setdefault(device.field, [])
        inner: list[Unknown] = []
        record = read_device(tree, child, device, f"devices/{child.name}", len(items), inner)
        if record is None:
            unknown.append(Unknown("xml", "devices", tree.source(child)))
            continue
        unknown.extend(inner)
        if running:
            record = live.without(device.field, record, child)
        keyed = device.field in ("disks", "channels", "directories")
        if keyed and (device.field, record.key) in keys:
            raise tree.error(f"a second <{child.name}> with the target {record.key!r}, expected one", child)
        if keyed:
            keys.add((device.field, record.key))
        items.append(record)
    emulated = fields.get("type") is DomainType.HVM
    if emulated and console in ("", "serial") and "serials" not in found:
        found["serials"] = [Serial("pty")]  # an emulated machine's console is its first serial port
    for field, items in found.items():
        fields[field] = items[0] if field == "video" else tuple(items)


def matching(element: Element) -> Device | None:
    """The kind of device that an element is."""
    for device in _BY_ELEMENT.get(element.name, ()):
        if all(element.attributes.get(name) in known for name, known in device.match.items()):
            return device
    return None


def read_device(
    tree: Tree, element: Element, device: Device, place: str, index: int, unknown: list[Unknown]
) -> Any:
    """The record that an element is; None if its table has not all that it takes to be one."""
    values: Values = {}
    inner: list[Unknown] = []
    device.shape.read(tree, element, "", values, inner)
    try:
        record = device.joined(values)
    except ValueError as error:
        raise tree.error(str(error), element) from None
    if inner:
        key = getattr(record, "key", None) if device.field != "pci_devices" else str(index)
        at = f"{place}[{index if key is None else key}]"
        unknown.extend(Unknown("xml", at + one.place, one.text) for one in inner)
    return record


# --- writing


def canonical(description: DomainDescription) -> Made:
    """The element, with what is unknown where it was, and without what is carried."""
    root = DOMAIN.make("domain", to_values(description))
    assert root is not None
    if description.metadata:
        at = next(
            (
                index
                for index, one in enumerate(root.children)
                if isinstance(one, Made) and one.name == "memory"
            ),
            len(root.children),
        )
        root.children.insert(
            at, Made("metadata", children=[text for text in description.metadata if _is_element(text)])
        )
    devices = Made("devices")
    if description.device_model.path is not None and sayable(description.device_model.path):
        devices.children.append(Made("emulator", text=description.device_model.path))
    for device in DEVICES:
        items = getattr(description, device.field)
        if device.field == "video":
            items = () if items is None else (items,)
        for index, record in enumerate(items):
            made = made_device(device, record, index)
            if made is not None:
                devices.children.append(made)
    if devices.children:
        root.children.append(devices)
    places = _Places(root)
    for item in description.unknown:
        if item.format == "xml":
            places.put_back(item)
    return root


def made_device(device: Device, record: Any, index: int) -> Made | None:
    """The element of a record; None for one that XML cannot say."""
    values = device.split(record)
    made = None if values is None else device.shape.make(device.element, values)
    if made is not None:
        key = getattr(record, "key", None) if device.field != "pci_devices" else None
        made.key = f"{device.field}:{index if key is None else key}"
    return made


def _is_element(text: str) -> bool:
    """Whether a text is one element, and nothing beside it."""
    try:
        tree = parse(text)
    except ConfigError:
        return False
    return tree.source(tree.root) == text


_ATTRIBUTE = re.compile(r"([^\s=<>/'\"]+)=('[^'<]*')")


class _Places:
    """Where in an element something unknown goes. Children are looked up by name and key, however many there are."""

    __slots__ = ("_found", "_root")

    def __init__(self, root: Made) -> None:
        self._root = root
        self._found: dict[int, dict[str, list[Made]]] = {}

    def put_back(self, item: Unknown) -> None:
        """Adds what is unknown at its place, if there is such a place (but for containers, which are made)."""
        at = self._at(item.place)
        if at is None:
            return
        if item.text.startswith("<"):
            if at.text is None and _is_element(item.text):
                at.children.append(item.text)
            return
        found = _ATTRIBUTE.fullmatch(item.text)
        if found is not None and found[1] not in at.attributes:
            at.attributes[found[1]] = parse(f"<a b={found[2]}/>").root.attributes["b"]

    def _at(self, place: str) -> Made | None:
        at = self._root
        steps = place.split("/")
        for step in steps[1:] if steps[0] == "domain" else steps:
            match = _STEP.fullmatch(step)
            if match is None:
                return None
            children = self._children(at)
            if match[2] is None:
                named = children.get(match[1])
                if named is None:
                    if at.text is not None:
                        return None
                    child = Made(match[1])
                    at.children.append(child)
                    named = children[match[1]] = [child]
            else:
                named = children.get(f"{match[1]}[{match[2]}]")
                if named is None:
                    return None
            at = named[0]
        return at

    def _children(self, at: Made) -> dict[str, list[Made]]:
        """By name, and by name and key ("disk[xvda]", "disk[disks:xvda]")."""
        children = self._found.get(id(at))
        if children is None:
            children = self._found[id(at)] = {}
            for one in at.children:
                if isinstance(one, Made):
                    children.setdefault(one.name, []).append(one)
                    if one.key:
                        for key in {one.key, one.key.partition(":")[2]}:
                            children.setdefault(f"{one.name}[{key}]", []).append(one)
        return children
