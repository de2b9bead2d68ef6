"""The constants of event channels and grant tables, by their C names.

Source: xen/include/public/{event_channel,grant_table,xen}.h; the same in Xen 4.14 to 4.22.
"""

from __future__ import annotations

import enum

__all__ = ["ChannelStatus", "GrantFlag", "GrantStatus", "ReservedGrant", "Virq"]


class Virq(enum.IntEnum):
    """VIRQ_*: interrupts that Xen itself raises. These are global: one domain at a time has them."""

    DOM_EXC = 3  # some domain has stopped or is gone


class ChannelStatus(enum.IntEnum):
    """EVTCHNSTAT_*: what a port is."""

    CLOSED = 0
    UNBOUND = 1  # waits for a remote domain to bind it
    INTERDOMAIN = 2
    PIRQ = 3
    VIRQ = 4
    IPI = 5


class GrantFlag(enum.IntFlag):
    """GTF_*: type (the two lowest bits; 0 is no grant) and state of a grant entry."""

    PERMIT_ACCESS = 1
    READONLY = 1 << 2
    READING = 1 << 3  # set by Xen: mapped by somebody
    WRITING = 1 << 4  # set by Xen: mapped by somebody, writable


class GrantStatus(enum.IntEnum):
    """GNTST_*: how an operation on grants ended."""

    OKAY = 0
    GENERAL_ERROR = -1
    BAD_DOMAIN = -2
    BAD_GNTREF = -3
    BAD_HANDLE = -4
    BAD_VIRT_ADDR = -5
    BAD_DEV_ADDR = -6
    NO_DEVICE_SPACE = -7
    PERMISSION_DENIED = -8
    BAD_PAGE = -9
    BAD_COPY_ARG = -10
    ADDRESS_TOO_BIG = -11
    EAGAIN = -12
    NO_SPACE = -13


class ReservedGrant(enum.IntEnum):
    """GNTTAB_RESERVED_*: entries that a domain's builder fills in for the daemons of Domain 0."""

    CONSOLE = 0
    XENSTORE = 1
