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

__all__ = ["ROUTES", "START", "Row", "Served", "explain", "route"]

_HV = (Channel.HYPERVISOR,)
_ST = (Channel.STORE,)
_FI = (Channel.FILES,)
_DA = (Channel.DAEMON,)
_HV_ST = (Channel.HYPERVISOR, Channel.STORE)
_HV_FI = (Channel.HYPERVISOR, Channel.FILES)
_HV_ST_FI = (Channel.HYPERVISOR, Channel.STORE, Channel.FILES)
_ST_FI = (Channel.STORE, Channel.FILES)

START = "start it with 'purevirt xend' (or 'systemctl start purevirt-xend')"


class Served(NamedTuple):
    """By which channels an operation is served, and a note: what each contributes, or why there is none."""

    channels: tuple[Channel, ...]
    note: str = ""


_NO_HYPERCALLS = Served((), "needs hypercalls (open() as root) or the Xen daemon")
_READ_ONLY = Served((), "the connection is read-only")
_NO_DAEMON = Served((), "needs the Xen daemon")
_BY_DAEMON = Served(_DA)


class Row(NamedTuple):
    """One operation: libvirt's name for it, who serves it on each kind of connection, whether it changes anything."""

    libvirt: str | None
    rw: Served
    rw_daemon: Served
    ro: Served
    ro_daemon: Served
    change: bool = False

    def on(self, access: Access) -> Served:
        """The cell for one way of being connected."""
        if access is Access.RW:
            return self.rw
        if access is Access.RW_DAEMON:
            return self.rw_daemon
        return self.ro if access is Access.RO else self.ro_daemon


def _read(libvirt: str | None, rw: Served, ro: Served, ro_daemon: Served = _BY_DAEMON) -> Row:
    return Row(libvirt, rw, rw, ro, ro_daemon)


def _change(libvirt: str | None, note: str = "") -> Row:
    return Row(libvirt, _NO_DAEMON, Served(_DA, note), _READ_ONLY, _READ_ONLY, True)


_FILES = Served(_FI)
_STORE = Served(_ST)
_STORE_FILES = Served(_ST_FI)
_PARTLY = Served(_ST, "no state, no CPU time")

ROUTES: dict[str, Row] = {
    # The host
    "version": _read(
        "virConnectGetVersion",
        Served(_HV, "xen_version"),
        Served(_FI, "/sys/hypervisor; no interface versions"),
    ),
    "hostname": _read("virConnectGetHostname", _FILES, _FILES, _FILES),
    "node_info": _read(
        "virNodeGetInfo",
        Served(_HV_FI, "physinfo, cputopoinfo; model from cpuinfo"),
        Served(_FI, "only what Domain 0 sees"),
    ),
    "free_memory": _read("virNodeGetFreeMemory", Served(_HV, "physinfo"), _NO_HYPERCALLS),
    "numa_cells": _read("virNodeGetCellsFreeMemory", Served(_HV, "numainfo, cputopoinfo"), _NO_HYPERCALLS),
    "scheduler": _read("virDomainGetSchedulerType", Served(_HV, "sched_id"), _NO_HYPERCALLS),
    "cpupools": _read(None, Served(_HV_ST, "cpupool_op; names from the store"), _NO_HYPERCALLS),
    "dmesg": _read(None, Served(_HV, "readconsole"), _NO_HYPERCALLS),
    "whoami": Row(
        None, _NO_DAEMON, Served(_DA, "the role that the daemon gives you"), _NO_DAEMON, _BY_DAEMON
    ),
    "events": Row(
        "virConnectDomainEventRegisterAny",
        Served(_HV_ST, "watches, and a look at the hypervisor every 250 ms; both or either, by the event"),
        Served((*_HV_ST, Channel.DAEMON), "the same; what it changed, from the daemon's journal"),
        Served(_ST, "created, stopped, renamed, devices; no states"),
        Served(_DA, "its journal"),
    ),
    # Domains
    "list_domains": _read(
        "virConnectListAllDomains", Served(_HV_ST, "getdomaininfolist; names from the store"), _PARTLY
    ),
    "count_domains": _read(
        "virConnectNumOfDomains", Served(_HV, "getdomaininfolist"), Served(_ST, "entries of /local/domain")
    ),
    "lookup_id": _read("virDomainLookupByID", Served(_HV_ST, "getdomaininfo; name from the store"), _STORE),
    "lookup_name": _read(
        "virDomainLookupByName", Served(_HV_ST, "getdomaininfolist; names from the store"), _STORE
    ),
    "lookup_uuid": _read(
        "virDomainLookupByUUID", Served(_HV_ST, "getdomaininfolist; name from the store"), _STORE
    ),
    "domain_stats": _read(
        "virConnectGetAllDomainStats",
        Served(_HV_ST_FI, "one getdomaininfolist; names and devices from the store; counters from sysfs"),
        Served(_ST_FI, "no state, no CPU time, no vCPUs"),
    ),
    # One domain
    "domid": _read("virDomainGetID", Served(_HV, "getdomaininfo"), _STORE),
    "domain_name": _read("virDomainGetName", Served(_HV_ST, "identity checked by getdomaininfo"), _STORE),
    "domain_type": _read(
        "virDomainGetOSType", Served(_HV, "flags of getdomaininfo"), Served(_ST, "libxl's record")
    ),
    "domain_state": _read("virDomainGetState", Served(_HV, "flags of getdomaininfo"), Served(_ST, "NOSTATE")),
    "domain_info": _read("virDomainGetInfo", Served(_HV_ST, "getdomaininfo; name from the store"), _PARTLY),
    "max_memory": _read(
        "virDomainGetMaxMemory",
        Served(_HV, "max_pages of getdomaininfo"),
        Served(_ST, "memory/static-max"),
    ),
    "vcpus": _read("virDomainGetVcpus", Served(_HV, "getvcpuinfo, getvcpuaffinity"), _NO_HYPERCALLS),
    "scheduler_parameters": _read(
        "virDomainGetSchedulerParameters", Served(_HV, "scheduler_op"), _NO_HYPERCALLS
    ),
    "block_devices": _read(None, Served(_HV_ST, "identity by getdomaininfo; devices from the store"), _STORE),
    "block_stats": _read("virDomainBlockStats", Served(_HV_ST_FI, "backend's sysfs"), _STORE_FILES),
    "interfaces": _read(None, Served(_HV_ST, "identity by getdomaininfo; devices from the store"), _STORE),
    "interface_stats": _read("virDomainInterfaceStats", Served(_HV_ST_FI, "backend's sysfs"), _STORE_FILES),
    # Changes
    "suspend": _change("virDomainSuspend", "pausedomain"),
    "resume": _change("virDomainResume", "unpausedomain"),
    "destroy": _change("virDomainDestroy", "destroydomain; devices and store cleaned up"),
    "shutdown": _change("virDomainShutdownFlags", "control/shutdown, acknowledged by the guest"),
    "reboot": _change("virDomainReboot", "control/shutdown, acknowledged by the guest"),
    "set_memory": _change("virDomainSetMemory", "memory/target; the guest balloons"),
    "set_max_memory": _change("virDomainSetMaxMemory", "max_mem"),
    "set_vcpus": _change("virDomainSetVcpus", "cpu/N/availability; the guest answers in its own time"),
    "pin_vcpu": _change("virDomainPinVcpu", "setvcpuaffinity"),
    "set_scheduler_parameters": _change("virDomainSetSchedulerParameters", "scheduler_op"),
    "rename": _change("virDomainRename", "name in the store"),
    "send_sysrq": _change("virDomainSendKey", "control/sysrq"),
    "inject_nmi": _change("virDomainInjectNMI", "sendtrigger"),
    "send_trigger": _change(None, "sendtrigger"),
}


def route(operation: str, access: Access, absence: str | None = None) -> Channel:
    """The channel whose answer counts. Where there is none, an error with the reason.

    ReadOnly: it changes something. ChannelUnavailable: it is the daemon's, and none answered when the connection was
    opened (`absence` says why). Unsupported: it takes hypercalls.
    """
    row = ROUTES[operation]
    served = row.on(access)
    if served.channels:
        return served.channels[0]
    raise _not_served(operation, row, served, access, absence)


def _not_served(operation: str, row: Row, served: Served, access: Access, absence: str | None) -> XenError:
    if row.change and access.read_only:
        return ReadOnly(
            f"{operation} changes a domain, and this connection is read-only: nothing was sent",
            operation=operation,
        )
    if not row.rw.channels:
        why = f" ({absence})" if absence else ""
        return ChannelUnavailable(
            f"{operation} needs the Xen daemon, and none answered when the connection was opened{why}; {START}, "
            "then open the connection again",
            operation=operation,
            channel="daemon",
        )
    return Unsupported(
        f"{operation} is not served on this {access.value} connection: {served.note}", operation=operation
    )


def explain(access: Access) -> tuple[Route, ...]:
    """The table for one way of being connected."""
    cells = [(name, row, row.on(access)) for name, row in ROUTES.items()]
    return tuple(Route(name, served.channels, row.libvirt, served.note) for name, row, served in cells)
