"""One device as text, in whatever way people write it -> its record: libvirt's XML, a string of xl's, xend's `(vbd …)`.

`device_xml` reads the XML; the strings are those of `disk = […]` and `vif = […]` in an xl.cfg, and of `xl block-attach`
and `network-attach`; `xend_sxpr.vm` reads `(vbd …)`.
"""

from __future__ import annotations

from purevirt._typing import Any
from purevirt.errors import ConfigError, InvalidConfig
from purevirt.formats import device_xml
from purevirt.formats.xl_config import disk, vif
from purevirt.formats.xl_config.reading import Reader
from purevirt.formats.xl_config.syntax import Atom, Syntax
from purevirt.formats.xml import Made
from purevirt.model.description import Disk, Interface

__all__ = ["FORMATS", "named_disk", "named_interface", "parse", "written"]

FORMATS = ("xml", "xl-disk", "xl-vif", "xen-sxpr")


def parse(text: str, format: str | None = None, *, file: str = "<device>") -> tuple[str, Any]:  # noqa: A002 - its name
    """The field of a description that such a device is in ("disks"), and its record.

    `format` is one of `FORMATS`; None: XML, which is all that can be told from the rest. ConfigError.
    """
    if format not in (None, *FORMATS):
        raise ConfigError(
            f"{format!r} is no format of a device, expected one of {', '.join(FORMATS)}", file=file
        )
    if format in (None, "xml"):
        if text.lstrip()[:1] != "<":
            raise ConfigError(
                f"{file}: no XML, expected <disk …> or <interface …>; xl's strings need their format named: "
                "xl-disk or xl-vif",
                file=file,
                line=1,
                column=1,
            )
        return device_xml.parse(text, file=file)
    if format == "xen-sxpr":
        return _expression(text, file)
    reader = Reader(Syntax(text, file, (), ()))
    item = Atom(text, True, 0, len(text))
    if format == "xl-disk":
        return "disks", disk.read(reader, "disk", 0, item)
    return "interfaces", vif.read(reader, "vif", 0, item)


def _expression(text: str, file: str) -> tuple[str, Any]:
    from purevirt.formats.xend_sxpr import vm

    found = vm.parse_device(text, file=file)
    if len(found.records) != 1:
        raise ConfigError(f"{file}: {len(found.records)} devices in one expression, expected one", file=file)
    return found.field, found.records[0]


def written(device: Disk | Interface) -> tuple[str, str]:
    """A disk or an interface as text, and its format. InvalidConfig: it cannot be said."""
    xen = (4, 20)
    if isinstance(device, Disk):
        text, form = disk.write(device, xen), "xl-disk"
    else:
        text, form = vif.write(device, xen), "xl-vif"
    if text is None:
        raise InvalidConfig(f"there are no words for such a device: {device!r}"[:400])
    return text, form


def named_disk(target: str) -> tuple[str, str]:
    """Enough to find a disk by."""
    made = Made("disk", children=[Made("target", {"dev": target})])
    return "\n".join(made.lines()), "xml"


def named_interface(which: str | int) -> tuple[str, str]:
    """Enough to find an interface by: its address, or its number in the guest."""
    text = str(which)
    if text.isascii() and text.isdigit():
        return written(Interface(number=int(text)))
    return written(Interface(mac=text))
