"""Which channel serves which operation, for each way of being connected. This table is the only place that decides.

There are four ways: with or without hypercalls and writes (rw, ro), and with or without the Xen daemon. An operation
has exactly one row; a row names, for each way, the channels that serve it. The first is the one whose answer counts;
the others contribute what the note says. None: not on such a connection, with the reason. There is no "try the next":
a channel that fails is an error.

What changes a domain is the daemon's: it alone holds a lock per domain and writes down who did what. What is read
with hypercalls at hand is read with them, daemon or not: nothing is faster, or more exact. Without them the daemon,
where it answers, is asked for whatever it knows better than the store.
"""

from __future__ import annotations

from purevirt._typing import NamedTuple
from purevirt.errors import ChannelUnavailable, ReadOnly, Unsupported, XenError
from purevirt.model import Access, Channel, Route

__all__ = ["Row", "Served", "explain", "how_to_start", "route", "row", "table"]


def how_to_start(root: str) -> str:
    """What a user does about a daemon that does not run, on the host below `root`."""
    if root:
        return f"start it with 'purevirt xend --root {root}'"
    return "start it with 'purevirt xend' (or 'systemctl start purevirt-xend')"


class Served(NamedTuple):
    """By which channels an operation is served, and a note: what each contributes, or why there is none."""

    channels: tuple[Channel, ...]
    note: str


class Row(NamedTuple):
    """One operation: libvirt's name for it, who serves it on each kind of connection, whether it changes anything."""

    libvirt: str | None
    rw: Served
    rw_daemon: Served
    ro: Served
    ro_daemon: Served
    change: bool

    def on(self, access: Access) -> Served:
        """The cell for one way of being connected."""
        if access is Access.RW:
            return self.rw
        if access is Access.RW_DAEMON:
            return self.rw_daemon
        return self.ro if access is Access.RO else self.ro_daemon


# The table itself, as constants: every start of a short program loads it, and asks for two or three of its rows. A
# cell is "channels: note", its channels by their first letters: (h)ypervisor, (s)tore, (f)iles, (d)aemon.
#
# What is read: libvirt's name, then the cells for rw, ro and ro+daemon; rw+daemon is served as rw is.
_NO_HYPERCALLS = ": needs hypercalls (open() as root) or the Xen daemon"
_PARTLY = "s: no state, no CPU time"
_READS = {
    # The host
    "version": ("virConnectGetVersion", "h: xen_version", "f: /sys/hypervisor; no interface versions", "d"),
    "hostname": ("virConnectGetHostname", "f", "f", "f"),
    "node_info": (
        "virNodeGetInfo",
        "hf: physinfo, cputopoinfo; model from cpuinfo",
        "f: only what Domain 0 sees",
        "d",
    ),
    "free_memory": ("virNodeGetFreeMemory", "h: physinfo", _NO_HYPERCALLS, "d"),
    "numa_cells": ("virNodeGetCellsFreeMemory", "h: numainfo, cputopoinfo", _NO_HYPERCALLS, "d"),
    "scheduler": ("virDomainGetSchedulerType", "h: sched_id", _NO_HYPERCALLS, "d"),
    "cpupools": (None, "hs: cpupool_op; names from the store", _NO_HYPERCALLS, "d"),
    "dmesg": (None, "h: readconsole", _NO_HYPERCALLS, "d"),
    "capabilities": (
        "virConnectGetCapabilities",
        "hf: capabilities, physinfo, numainfo, cputopoinfo; paths from files",
        "f: /sys/hypervisor; no CPU features, no topology",
        "d",
    ),
    "domain_capabilities": (
        "virConnectGetDomainCapabilities",
        "hf: capabilities, physinfo; paths from files",
        _NO_HYPERCALLS,
        "d",
    ),
    # Domains
    "list_domains": (
        "virConnectListAllDomains",
        "hs: getdomaininfolist; names from the store",
        _PARTLY,
        "d",
    ),
    "count_domains": ("virConnectNumOfDomains", "h: getdomaininfolist", "s: entries of /local/domain", "d"),
    "lookup_id": ("virDomainLookupByID", "hs: getdomaininfo; name from the store", "s", "d"),
    "lookup_name": ("virDomainLookupByName", "hs: getdomaininfolist; names from the store", "s", "d"),
    "lookup_uuid": ("virDomainLookupByUUID", "hs: getdomaininfolist; name from the store", "s", "d"),
    "domain_stats": (
        "virConnectGetAllDomainStats",
        "hsf: one getdomaininfolist; names and devices from the store; counters from sysfs",
        "sf: no state, no CPU time, no vCPUs",
        "d",
    ),
    # One domain
    "domid": ("virDomainGetID", "h: getdomaininfo", "s", "d"),
    "domain_name": ("virDomainGetName", "hs: identity checked by getdomaininfo", "s", "d"),
    "domain_type": ("virDomainGetOSType", "h: flags of getdomaininfo", "s: libxl's record", "d"),
    "domain_state": ("virDomainGetState", "h: flags of getdomaininfo", "s: NOSTATE", "d"),
    "domain_info": ("virDomainGetInfo", "hs: getdomaininfo; name from the store", _PARTLY, "d"),
    "max_memory": ("virDomainGetMaxMemory", "h: max_pages of getdomaininfo", "s: memory/static-max", "d"),
    "vcpus": ("virDomainGetVcpus", "h: getvcpuinfo, getvcpuaffinity", _NO_HYPERCALLS, "d"),
    "scheduler_parameters": ("virDomainGetSchedulerParameters", "h: scheduler_op", _NO_HYPERCALLS, "d"),
    "description": (
        "virDomainGetXMLDesc",
        "hsf: getdomaininfo; libxl's record; devices, sizes and terminals from the store",
        "s: memory, vCPUs, devices; nothing of how it boots",
        "d",
    ),
    "block_devices": (None, "hs: identity by getdomaininfo; devices from the store", "s", "d"),
    "block_stats": ("virDomainBlockStats", "hsf: backend's sysfs", "sf", "d"),
    "interfaces": (None, "hs: identity by getdomaininfo; devices from the store", "s", "d"),
    "interface_stats": ("virDomainInterfaceStats", "hsf: backend's sysfs", "sf", "d"),
}

# What each way serves differently, or only with the daemon: the cells for rw, rw+daemon, ro and ro+daemon.
_NO_DAEMON = ": needs the Xen daemon"
_READ_ONLY = ": the connection is read-only"
_OTHERS = {
    "whoami": (None, _NO_DAEMON, "d: the role that the daemon gives you", _NO_DAEMON, "d"),
    "events": (
        "virConnectDomainEventRegisterAny",
        "hs: a look every 250 ms while somebody waits; comings, goings, names and devices by watches",
        "hsd: the same; what the daemon changed, from its journal",
        "s: created, stopped, renamed, devices; no states",
        "d: its journal",
    ),
    "console": (
        "virDomainOpenConsole",
        "sf: the terminal's path from the store",
        "sf: the terminal's path from the store",
        _READ_ONLY,
        _READ_ONLY,
    ),
    "list_definitions": ("virConnectListAllDomains", _NO_DAEMON, "d: its database", _NO_DAEMON, "d"),
    "definition": ("virDomainIsPersistent", _NO_DAEMON, "d: its database", _NO_DAEMON, "d"),
    "definition_text": ("virDomainGetXMLDesc", _NO_DAEMON, "d: its database", _NO_DAEMON, "d"),
    "saved_description": ("virDomainSaveImageGetXMLDesc", _NO_DAEMON, "d: the file", _NO_DAEMON, "d"),
    "jobs": (None, _NO_DAEMON, "d", _NO_DAEMON, "d"),
    "job": ("virDomainGetJobStats", _NO_DAEMON, "d", _NO_DAEMON, "d"),
    "job_log": (None, _NO_DAEMON, "d", _NO_DAEMON, "d"),
}

# What changes a domain is the daemon's, on connections that may write: libvirt's name, and the note.
_CHANGES = {
    "suspend": ("virDomainSuspend", "pausedomain"),
    "resume": ("virDomainResume", "unpausedomain"),
    "destroy": ("virDomainDestroy", "destroydomain; devices and store cleaned up"),
    "shutdown": ("virDomainShutdownFlags", "control/shutdown, acknowledged by the guest"),
    "reboot": ("virDomainReboot", "control/shutdown, acknowledged by the guest"),
    "set_memory": ("virDomainSetMemory", "memory/target; the guest balloons"),
    "set_max_memory": ("virDomainSetMaxMemory", "max_mem"),
    "set_vcpus": ("virDomainSetVcpus", "cpu/N/availability; the guest answers in its own time"),
    "pin_vcpu": ("virDomainPinVcpu", "setvcpuaffinity"),
    "set_scheduler_parameters": ("virDomainSetSchedulerParameters", "scheduler_op"),
    "rename": ("virDomainRename", "name in the store"),
    "attach_device": (
        "virDomainAttachDeviceFlags",
        "nodes in the store, hotplug script, both ends connected",
    ),
    "detach_device": ("virDomainDetachDeviceFlags", "both ends closed, hotplug script, nodes removed"),
    "update_device": ("virDomainUpdateDeviceFlags", "nodes in the store, hotplug script"),
    "send_sysrq": ("virDomainSendKey", "control/sysrq"),
    "inject_nmi": ("virDomainInjectNMI", "sendtrigger"),
    "send_trigger": (None, "sendtrigger"),
    "define": ("virDomainDefineXMLFlags", "its database"),
    "undefine": ("virDomainUndefineFlags", "its database"),
    "set_autostart": ("virDomainSetAutostart", "its database"),
    "start": ("virDomainCreateWithFlags", "a job: xl, or createdomain on a simulated host"),
    "create": ("virDomainCreateXML", "a job: the same"),
    "restore": ("virDomainRestoreFlags", "a job: the same, from a file"),
    "save": ("virDomainSaveFlags", "a job: to a file"),
    "managed_save": ("virDomainManagedSave", "a job: to a file that the next start goes on from"),
    "managed_save_remove": ("virDomainManagedSaveRemove", "its database, and the file"),
    "dump": ("virDomainCoreDumpWithFormat", "a job: to a file"),
    "migrate": ("virDomainMigrateToURI3", "a job: xl over ssh"),
    "adopt": (None, "its database; the xl that waits for the domain is ended"),
    "job_cancel": ("virDomainAbortJob", "what the job has begun is undone"),
}

_LETTERS = {"h": Channel.HYPERVISOR, "s": Channel.STORE, "f": Channel.FILES, "d": Channel.DAEMON}


def _served(cell: str) -> Served:
    letters, _, note = cell.partition(": ")
    return Served(tuple(_LETTERS[letter] for letter in letters), note)


def row(operation: str) -> Row:
    """One row of the table. KeyError: there is no such operation."""
    if operation in _READS:
        libvirt, measured, seen, told = _READS[operation]
        cells = (measured, measured, seen, told)
    elif operation in _CHANGES:
        libvirt, note = _CHANGES[operation]
        cells = (_NO_DAEMON, f"d: {note}", _READ_ONLY, _READ_ONLY)
    else:
        libvirt, *others = _OTHERS[operation]
        cells = (others[0] or "", others[1] or "", others[2] or "", others[3] or "")
    rw, rw_daemon, ro, ro_daemon = cells
    return Row(
        libvirt, _served(rw), _served(rw_daemon), _served(ro), _served(ro_daemon), operation in _CHANGES
    )


def table() -> dict[str, Row]:
    """All of it, in the order in which people read it."""
    return {name: row(name) for name in (*_READS, *_OTHERS, *_CHANGES)}


_known: dict[tuple[str, Access], Channel] = {}


def route(operation: str, access: Access, absence: str | None = None, root: str = "") -> Channel:
    """The channel whose answer counts. Where there is none, an error with the reason.

    ReadOnly: it changes something. ChannelUnavailable: it is the daemon's, and none answered when the connection was
    opened (`absence` says why; `root` is where to start one). Unsupported: it takes hypercalls.
    """
    known = _known.get((operation, access))
    if known is not None:
        return known
    found = row(operation)
    served = found.on(access)
    if not served.channels:
        raise _not_served(operation, found, served, access, absence, root)
    _known[operation, access] = served.channels[0]
    return served.channels[0]


def _not_served(
    operation: str, found: Row, served: Served, access: Access, absence: str | None, root: str
) -> XenError:
    if access.read_only and served.note == _READ_ONLY[2:]:
        does = "changes" if found.change else "reaches into"
        return ReadOnly(
            f"{operation} {does} a domain, and this connection is read-only: nothing was sent",
            operation=operation,
        )
    if not found.rw.channels:
        why = f" ({absence})" if absence else ""
        return ChannelUnavailable(
            f"{operation} needs the Xen daemon, and none answered when the connection was opened{why}; "
            f"{how_to_start(root)}, then open the connection again",
            operation=operation,
            channel="daemon",
        )
    return Unsupported(
        f"{operation} is not served on this {access.value} connection: {served.note}", operation=operation
    )


def explain(access: Access) -> tuple[Route, ...]:
    """The table for one way of being connected."""
    cells = [(name, found.libvirt, found.on(access)) for name, found in table().items()]
    return tuple(Route(name, served.channels, libvirt, served.note) for name, libvirt, served in cells)
