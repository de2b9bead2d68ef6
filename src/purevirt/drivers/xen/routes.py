"""Which channel serves which operation, for each way of being connected. This table is the only place that decides.

An operation has exactly one row; a row names, per access, the channels that serve it. The first is the one whose
answer counts; the others contribute what their note says. None: not on such a connection, with the reason. There
is no "try the next": a channel that fails is an error.
"""

from __future__ import annotations

from purevirt._typing import NamedTuple
from purevirt.errors import Unsupported
from purevirt.model import Access, Channel, Route

__all__ = ["ROUTES", "Row", "explain", "route"]

_HV = (Channel.HYPERVISOR,)
_ST = (Channel.STORE,)
_FI = (Channel.FILES,)
_HV_ST = (Channel.HYPERVISOR, Channel.STORE)
_HV_FI = (Channel.HYPERVISOR, Channel.FILES)
_ST_FI = (Channel.STORE, Channel.FILES)

_NO_HYPERCALLS = "needs hypercalls: open() as root"


class Row(NamedTuple):
    """One operation: its channels per access, libvirt's name for it, and a note per access."""

    rw: tuple[Channel, ...]
    ro: tuple[Channel, ...]
    libvirt: str | None
    rw_note: str = ""
    ro_note: str = ""


ROUTES: dict[str, Row] = {
    "version": Row(_HV, _FI, "virConnectGetVersion", "xen_version", "/sys/hypervisor; no interface versions"),
    "hostname": Row(_FI, _FI, "virConnectGetHostname"),
    "node_info": Row(
        _HV_FI, _FI, "virNodeGetInfo", "physinfo, cputopoinfo; model from cpuinfo", "only what Domain 0 sees"
    ),
    "free_memory": Row(_HV, (), "virNodeGetFreeMemory", "physinfo", _NO_HYPERCALLS),
    "numa_cells": Row(_HV, (), "virNodeGetCellsFreeMemory", "numainfo, cputopoinfo", _NO_HYPERCALLS),
    "scheduler": Row(_HV, (), "virDomainGetSchedulerType", "sched_id", _NO_HYPERCALLS),
    "list_domains": Row(
        _HV_ST,
        _ST,
        "virConnectListAllDomains",
        "getdomaininfolist; names from the store",
        "no state, no CPU time",
    ),
    "count_domains": Row(_HV, _ST, "virConnectNumOfDomains", "getdomaininfolist", "entries of /local/domain"),
    "lookup_id": Row(_HV_ST, _ST, "virDomainLookupByID", "getdomaininfo; name from the store"),
    "lookup_name": Row(_HV_ST, _ST, "virDomainLookupByName", "getdomaininfolist; names from the store"),
    "lookup_uuid": Row(_HV_ST, _ST, "virDomainLookupByUUID", "getdomaininfolist; name from the store"),
    "domain_stats": Row(
        (Channel.HYPERVISOR, Channel.STORE, Channel.FILES),
        _ST_FI,
        "virConnectGetAllDomainStats",
        "one getdomaininfolist; names and devices from the store; counters from sysfs",
        "no state, no CPU time, no vCPUs",
    ),
    "domid": Row(_HV, _ST, "virDomainGetID", "getdomaininfo"),
    "domain_name": Row(_HV_ST, _ST, "virDomainGetName", "identity checked by getdomaininfo"),
    "domain_type": Row(_HV, _ST, "virDomainGetOSType", "flags of getdomaininfo", "libxl's record"),
    "domain_state": Row(_HV, _ST, "virDomainGetState", "flags of getdomaininfo", "NOSTATE"),
    "domain_info": Row(
        _HV_ST, _ST, "virDomainGetInfo", "getdomaininfo; name from the store", "no state, no CPU time"
    ),
    "max_memory": Row(_HV, _ST, "virDomainGetMaxMemory", "max_pages of getdomaininfo", "memory/static-max"),
    "vcpus": Row(_HV, (), "virDomainGetVcpus", "getvcpuinfo, getvcpuaffinity", _NO_HYPERCALLS),
    "block_devices": Row(_HV_ST, _ST, None, "identity by getdomaininfo; devices from the store"),
    "block_stats": Row(
        (Channel.HYPERVISOR, Channel.STORE, Channel.FILES), _ST_FI, "virDomainBlockStats", "backend's sysfs"
    ),
    "interfaces": Row(_HV_ST, _ST, None, "identity by getdomaininfo; devices from the store"),
    "interface_stats": Row(
        (Channel.HYPERVISOR, Channel.STORE, Channel.FILES),
        _ST_FI,
        "virDomainInterfaceStats",
        "backend's sysfs",
    ),
}


def route(operation: str, access: Access) -> Channel:
    """The channel whose answer counts. Unsupported, with the reason, where there is none."""
    row = ROUTES[operation]
    channels = row.rw if access is Access.RW else row.ro
    if channels:
        return channels[0]
    note = row.rw_note if access is Access.RW else row.ro_note
    raise Unsupported(
        f"{operation} is not served on this {access.value} connection: {note}", operation=operation
    )


def explain(access: Access) -> tuple[Route, ...]:
    """The table for one way of being connected."""
    if access is Access.RW:
        return tuple(Route(name, row.rw, row.libvirt, row.rw_note) for name, row in ROUTES.items())
    return tuple(Route(name, row.ro, row.libvirt, row.ro_note) for name, row in ROUTES.items())
