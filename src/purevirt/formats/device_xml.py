"""One device as libvirt's XML <-> its record, for attaching and detaching: by the tables of `domain_xml`."""

from __future__ import annotations

from purevirt._typing import Any
from purevirt.errors import InvalidConfig
from purevirt.formats.domain_xml.binding import made_device, matching, read_device
from purevirt.formats.domain_xml.devices import DEVICES
from purevirt.formats.xml import parse as parse_tree

__all__ = ["format", "parse"]


def parse(text: str | bytes, *, file: str = "<text>") -> tuple[str, Any]:
    """The field of a description that such a device is in ("disks"), and its record. ConfigError if it is none."""
    tree = parse_tree(text, file=file)
    device = matching(tree.root)
    record = None if device is None else read_device(tree, tree.root, device, tree.root.name, 0, [])
    if device is None or record is None:
        known = ", ".join(dict.fromkeys(one.element for one in DEVICES))
        raise tree.error(f"<{tree.root.name}> is no device that is known, expected one of {known}", tree.root)
    return device.field, record


def format(field: str, record: Any) -> str:  # noqa: A001 - the other half of parse
    """A record of a field of descriptions as XML. InvalidConfig if libvirt has no words for it, or for part of it."""
    for device in DEVICES:
        made = made_device(device, record, 0) if device.field == field else None
        if made is not None:
            text = "\n".join([*made.lines(), ""])
            lost = _lost(record, parse(text)[1])
            if lost:
                raise InvalidConfig(
                    f"libvirt's XML has no words for {', '.join(lost)} of this one of {field}"
                )
            return text
    raise InvalidConfig(f"libvirt's XML has no words for this one of {field}: {record!r}")


def _lost(record: Any, said: Any) -> list[str]:
    if record == said:
        return []
    fields = getattr(record, "_fields", None)
    if fields is None or type(record) is not type(said):
        return ["it"]
    return [name for name in fields if getattr(record, name) != getattr(said, name)]
