"""The hypercalls with which a domain is built, each as a builder. No I/O.

In their order: `create_domain` makes one that is paused and has nothing; `max_vcpus` gives it its vCPUs, which are
offline; `changes.max_mem` says how much memory it may have, `populate_physmap` gives it some; `alloc_unbound` makes
the ports of its rings, `set_hvm_param` tells a PVH or HVM kernel of them. `changes` has what concerns a domain that
is complete; as there, who sends these sees to it that the interface was verified.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from purevirt._typing import NamedTuple
from purevirt.wire.hypercall import structs
from purevirt.wire.hypercall.numbers import Domctl, Op
from purevirt.wire.hypercall.subops import CreateFlag, EmulationFlag, EvtchnOp, HvmOp, MemoryOp
from purevirt.wire.hypercall.values import Answer, Extent, Hypercall, Layout
from purevirt.wire.hypercall.versions import Interface
from purevirt.wire.hypercall.wrappers import domctl, extent, union_of

__all__ = [
    "HVM_EMULATION",
    "NewDomain",
    "alloc_unbound",
    "alloc_unbound_answer",
    "create_domain",
    "create_domain_answer",
    "max_vcpus",
    "populate_physmap",
    "set_hvm_param",
]

HVM_EMULATION = ~EmulationFlag.VPCI
"""What Xen emulates for an HVM domain on x86_64: everything but VPCI, which it refuses there."""


class NewDomain(NamedTuple):
    """What `create_domain` is told. `handle`: the UUID's 16 bytes; `flags`: `CreateFlag`s.

    `emulation`: `EmulationFlag`s, for x86_64 (LAPIC alone is what makes a PVH domain). Grant frames: -1 is Xen's own
    default. `grant_version`: the highest that the domain may use, where Xen can be told (4.17).
    """

    handle: bytes
    flags: CreateFlag = CreateFlag(0)
    emulation: int = 0
    max_vcpus: int = 1
    max_evtchn_port: int = 1023
    max_grant_frames: int = -1
    max_maptrack_frames: int = -1
    grant_version: int = 2
    cpupool: int = 0


def create_domain(space: Layout, versions: Interface, new: NewDomain) -> Hypercall:
    """Xen chooses the id. EINVAL: what cannot be together; ENOMEM: no memory, or no id left."""
    shape = structs.CREATEDOMAIN.at(versions)
    fields: dict[str, object] = {
        "handle": new.handle,
        "flags": int(new.flags),
        "max_vcpus": new.max_vcpus,
        "max_evtchn_port": new.max_evtchn_port,
        "max_grant_frames": new.max_grant_frames,
        "max_maptrack_frames": new.max_maptrack_frames,
    }
    later = {
        "grant_opts": new.grant_version,
        "cpupool_id": new.cpupool,
        "arch.emulation_flags": int(new.emulation),
    }
    fields |= {name: value for name, value in later.items() if name in shape.offsets}
    return domctl(space, versions, Domctl.CREATEDOMAIN, 0, shape.pack(**fields))


def create_domain_answer(answer: Answer, versions: Interface) -> int:
    """The new domain's id."""
    domid: int = union_of(answer, versions, structs.DOMCTL, 0)["domain"]
    return domid


def max_vcpus(space: Layout, versions: Interface, domid: int, count: int) -> Hypercall:
    """Makes the vCPUs. EINVAL: not as many as `create_domain` was told."""
    return domctl(space, versions, Domctl.MAX_VCPUS, domid, structs.MAX_VCPUS.at(versions).pack(max=count))


def populate_physmap(
    space: Layout, versions: Interface, domid: int, frames: Sequence[int], order: int
) -> Hypercall:
    """Gives it memory: 2 ** order pages at each of these guest frames.

    The answer's value is how many of them were given, also where there was an error: fewer than asked for is one.
    """
    shape = structs.MEMORY_RESERVATION.at(versions)
    array = Extent(space.place(8 * len(frames)), struct.pack(f"<{len(frames)}Q", *frames))
    asked = shape.pack(extent_start=array.address, nr_extents=len(frames), extent_order=order, domid=domid)
    reservation = Extent(space.place(shape.size), asked)
    return Hypercall(Op.MEMORY_OP, (MemoryOp.POPULATE_PHYSMAP, reservation.address), (reservation, array))


def alloc_unbound(space: Layout, versions: Interface, domid: int, remote: int) -> Hypercall:
    """A port of the domain that `remote` may bind."""
    shape = structs.EVTCHN_ALLOC_UNBOUND.at(versions)
    asked = Extent(space.place(shape.size), shape.pack(dom=domid, remote_dom=remote))
    return Hypercall(Op.EVENT_CHANNEL_OP, (EvtchnOp.ALLOC_UNBOUND, asked.address), (asked,))


def alloc_unbound_answer(answer: Answer, versions: Interface) -> int:
    """The port."""
    shape = structs.EVTCHN_ALLOC_UNBOUND.at(versions)
    port: int = shape.unpack(extent(answer, 0, shape.size))["port"]
    return port


def set_hvm_param(space: Layout, versions: Interface, domid: int, index: int, value: int) -> Hypercall:
    """Sets a parameter (`HvmParam`) of a PVH or HVM domain. EINVAL: it is a PV one."""
    shape = structs.HVM_PARAM.at(versions)
    asked = Extent(space.place(shape.size), shape.pack(domid=domid, index=index, value=value))
    return Hypercall(Op.HVM_OP, (HvmOp.SET_PARAM, asked.address), (asked,))
