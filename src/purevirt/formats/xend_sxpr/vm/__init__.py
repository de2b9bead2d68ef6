"""Descriptions of domains as xend took them, `(vm (name pv1) (memory 64) …)` <-> `DomainDescription`: "xen-sxpr".

`document` has whole ones, `device` one device alone, `halted` what xend shows of a definition. Between them and the
text: `source` knows places, `pairs` reads by key, `table` has what is one value each, `machine`, `image`, `screens`,
`disks`, `devices` and `pci` the rest, and `binding` puts them together.

Source: xend of Xen 4.0 and 4.1, and recordings of what its clients sent.
"""

from purevirt.formats.xend_sxpr.vm.device import DeviceConfig, device_field, format_device, parse_device
from purevirt.formats.xend_sxpr.vm.document import Note, SxprDocument, format, parse  # noqa: A004 - see parse
from purevirt.formats.xend_sxpr.vm.halted import halted

__all__ = [
    "DeviceConfig",
    "Note",
    "SxprDocument",
    "device_field",
    "format",
    "format_device",
    "halted",
    "parse",
    "parse_device",
]
