"""One device alone, as clients of xend attach and change them: `(vbd (uname file:/a.img)(dev xvdb)(mode w))`."""

from __future__ import annotations

import purevirt.wire.sxp as sxp
from purevirt._typing import Any, NamedTuple
from purevirt.errors import InvalidConfig
from purevirt.formats.xend_sxpr.vm import pci
from purevirt.formats.xend_sxpr.vm.binding import canonical, device_pairs
from purevirt.formats.xend_sxpr.vm.devices import KINDS
from purevirt.formats.xend_sxpr.vm.source import read
from purevirt.model.description import DomainDescription
from purevirt.model.domain import DomainType

__all__ = ["DeviceConfig", "device_field", "format_device", "parse_device"]


class DeviceConfig(NamedTuple):
    """What a client sent: xend's word for the kind of device, the field of descriptions that such devices are in, and
    their records: one, but for PCI devices, of which any number is in one expression.

    `state` is what is to become of PCI devices ("Initialising": attach, "Closing": detach). `unknown` are the pairs for
    which the model has no words.
    """

    kind: str
    field: str
    records: tuple[Any, ...]
    state: str | None = None
    unknown: tuple[str, ...] = ()


def parse_device(text: str, *, file: str = "<text>") -> DeviceConfig:
    """Read one device. ConfigError, with line and column, if it is none that is known."""
    source = read(text, file=file, expected="a device like (vbd (uname phy:/dev/vg/a) (dev xvdb) (mode w))")
    word, pairs = device_pairs(source)
    if word == "pci":
        found = pci.read_pci(pairs)
        if not found:
            raise source.error("pci: expected at least one (dev …)", source.root)
        state = pairs.text("state")
        left = [*pairs.left(), *(pair for _, inner in found for pair in inner.left())]
        records = tuple(device for device, _ in found)
        return DeviceConfig(word, "pci_devices", records, state, tuple(map(sxp.text, left)))
    field, read_one, _ = KINDS[word]
    record = read_one(pairs, 0)
    return DeviceConfig(word, field, (record,), unknown=tuple(map(sxp.text, pairs.left())))


def device_field(kind: str) -> str | None:
    """The field of descriptions that has xend's devices of a kind ("vbd": disks); None if none has."""
    if kind == "pci":
        return "pci_devices"
    return KINDS[kind].field if kind in KINDS else None


def format_device(field: str, record: Any) -> str:
    """A record of a field of descriptions as a device. InvalidConfig if xend had no words for it, or for part of it."""
    alone: Any = DomainDescription("", DomainType.HVM)
    made = canonical(alone._replace(**{field: (record,)})).devices
    if len(made) != 1:
        raise InvalidConfig(f"xend had no words for this one of {field}: {record!r}")
    text = sxp.text(made[0])
    said = parse_device(text).records[0]
    if said != record:
        names = getattr(record, "_fields", ())
        lost = [name for name in names if getattr(record, name) != getattr(said, name)] or ["it"]
        raise InvalidConfig(f"xend had no words for {', '.join(lost)} of this one of {field}")
    return text
