"""Building a domain by hypercalls, as the simulated hypervisor answers: createdomain, max_vcpus, and what is of
memory_op and event_channel_op.

Checks and errnos are Xen's. A domain has its memory as a number of pages, and as runs of guest frames: there are no
bytes behind them until `bus` shares some.

Source: do_domctl in xen/common/domctl.c, sanitise_domain_config in xen/common/domain.c, arch_sanitise_domain_config
and emulation_flags_ok in xen/arch/x86/domain.c, populate_physmap in xen/common/memory.c, evtchn_alloc_unbound in
xen/common/event_channel.c.
"""

from __future__ import annotations

import errno
import struct
from typing import TYPE_CHECKING

from purevirt.errors import NoMemory
from purevirt.host.domains import EMULATION, SimDomain
from purevirt.host.memory import CallerMemory, XenError
from purevirt.wire.hypercall import structs
from purevirt.wire.hypercall.numbers import DOMID_FIRST_RESERVED
from purevirt.wire.hypercall.subops import CreateFlag, EmulationFlag, EvtchnOp, MemoryOp

if TYPE_CHECKING:
    from purevirt.host.hypervisor import Hypervisor

__all__ = ["create_domain", "do_event_channel_op", "do_memory_op", "max_vcpus"]

_DOMID_SELF = 0x7FF0
_KNOWN = ~CreateFlag(0)
_SINCE_4_15 = CreateFlag.NESTED_VIRT | CreateFlag.VPMU
_MAX_VIRT_CPUS, _HVM_MAX_VCPUS = 8192, 128
_LARGEST_ORDER = 18  # CONFIG_CTLDOM_MAX_ORDER: 1 GiB
_EXTENT_SHIFT = 6  # above it, in the sub-operation, is how many extents are done
_FRAMES = 1 << 40


# --- domctl


def create_domain(hv: Hypervisor, domid: int, union: bytes) -> int:
    """The new domain's id: `domid`, if it is one and is free (EEXIST), else the next."""
    wanted = domid if 0 < domid < DOMID_FIRST_RESERVED else None
    if wanted is not None and hv.find(wanted) is not None:
        raise XenError(errno.EEXIST)
    asked = structs.CREATEDOMAIN.at(hv.interface).unpack(union)
    kind = _kind(hv, asked)
    try:
        return hv.begin_domain(asked["handle"], kind, asked["max_vcpus"], wanted).id
    except NoMemory:
        raise XenError(errno.ENOMEM) from None


def _kind(hv: Hypervisor, asked: dict[str, int]) -> str:
    """What it is, if it may be."""
    flags = asked["flags"]
    known = _KNOWN if hv.interface.domctl >= 0x13 else _KNOWN & ~_SINCE_4_15
    hvm, most = bool(flags & CreateFlag.HVM), _MAX_VIRT_CPUS
    if flags & ~int(known) or (flags & CreateFlag.HAP and not hvm):
        raise XenError(errno.EINVAL)
    if hv.spec.arch == "arm64":
        if not (hvm and flags & CreateFlag.HAP):
            raise XenError(errno.EINVAL)
        kind = "pvh"
    elif not hvm:
        kind = "pv"
        if asked["arch.emulation_flags"] not in (0, EmulationFlag.PIT):
            raise XenError(errno.EINVAL)
    else:
        most = _HVM_MAX_VCPUS
        emulated = asked["arch.emulation_flags"]
        if emulated not in (EMULATION["pvh"], EMULATION["hvm"], EMULATION["hvm"] & ~EmulationFlag.USE_PIRQ):
            raise XenError(errno.EINVAL)
        kind = "pvh" if emulated == EMULATION["pvh"] else "hvm"
    if not 1 <= asked["max_vcpus"] <= most or asked.get("cpupool_id"):
        raise XenError(errno.EINVAL)
    if "grant_opts" in asked and asked["grant_opts"] & 0xF not in (1, 2):
        raise XenError(errno.EINVAL)
    return kind


def max_vcpus(hv: Hypervisor, memory: CallerMemory, domain: SimDomain, union: bytes) -> bytes:
    """A handler of `domctl`."""
    wanted = structs.MAX_VCPUS.at(hv.interface).unpack(union)["max"]
    if domain.id == 0 or wanted != domain.max_vcpus:
        raise XenError(errno.EINVAL)
    hv.make_vcpus(domain.id)
    return b""


# --- memory_op


def do_memory_op(hv: Hypervisor, memory: CallerMemory, args: tuple[int, ...]) -> int:
    """populate_physmap. Xen's answer is how many extents are done, whatever was wrong with the next one."""
    done = args[0] >> _EXTENT_SHIFT
    if args[0] & (1 << _EXTENT_SHIFT) - 1 != MemoryOp.POPULATE_PHYSMAP:
        raise XenError(errno.ENOSYS)
    shape = structs.MEMORY_RESERVATION.at(hv.interface)
    try:
        asked = shape.unpack(memory.read(args[1], shape.size))
        domid = 0 if asked["domid"] == _DOMID_SELF else asked["domid"]
        count, order = asked["nr_extents"], asked["extent_order"]
        if hv.find(domid) is None or not hv.privileged or order > _LARGEST_ORDER or count >> 32:
            return done
        frames = struct.unpack(f"<{count}Q", memory.read(asked["extent_start"], 8 * count))
    except XenError:
        return done
    for frame in frames[done:]:
        if frame >= _FRAMES or not hv.populate(domid, frame, 1 << order):
            break
        done += 1
    return done


# --- event_channel_op


def do_event_channel_op(hv: Hypervisor, memory: CallerMemory, args: tuple[int, ...]) -> int:
    """alloc_unbound: for the caller's own domain (DOMID_SELF), or for another one."""
    if args[0] != EvtchnOp.ALLOC_UNBOUND:
        raise XenError(errno.ENOSYS)
    shape = structs.EVTCHN_ALLOC_UNBOUND.at(hv.interface)
    asked = shape.unpack(memory.read(args[1], shape.size))
    domid, remote = (0 if asked[name] == _DOMID_SELF else asked[name] for name in ("dom", "remote_dom"))
    if hv.find(domid) is None:
        raise XenError(errno.ESRCH)
    if domid and not hv.privileged:
        raise XenError(errno.EPERM)
    if hv.alloc_unbound is None:
        raise XenError(errno.ENOSYS)  # a hypervisor alone has no bus
    port = hv.alloc_unbound(domid, remote)
    memory.write(args[1], shape.pack(**asked | {"port": port}))
    return 0
