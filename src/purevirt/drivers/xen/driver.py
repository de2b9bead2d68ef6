"""The contract of `drivers.base` for a Xen host, put together from its parts, one per noun: `host`, `domains`,
`devicereads`; `connected` is what they stand on."""

from __future__ import annotations

from purevirt.drivers.xen.devicereads import DeviceReads
from purevirt.drivers.xen.domains import DomainReads
from purevirt.drivers.xen.host import HostReads

__all__ = ["XenDriver"]


class XenDriver(HostReads, DomainReads, DeviceReads):
    """A Xen host, through the channels that `open` found."""
