"""What sysctls and domctls have in common: the wrapper around their arguments, and how answers are taken apart.

Every sysctl and domctl has its wrapper struct as extent 0 and, if it has one, its buffer as extent 1. Used by
`calls` and `changes`.
"""

from __future__ import annotations

from functools import lru_cache

from purevirt._typing import Any
from purevirt.errors import RemoteProtocolError
from purevirt.wire.hypercall import structs
from purevirt.wire.hypercall.abi import CStruct
from purevirt.wire.hypercall.numbers import (
    INVALID_ID,
    Domctl,
    Op,
    Sysctl,
)
from purevirt.wire.hypercall.values import Answer, Extent, Hypercall, Layout
from purevirt.wire.hypercall.versions import Interface

__all__ = [
    "CPUMAP_BYTES",
    "blank",
    "cpus_of",
    "domctl",
    "extent",
    "known",
    "sysctl",
    "text_of",
    "union_of",
]

CPUMAP_BYTES = 512
"""Of a bitmap of CPUs, 4096 of them: Xen fills or reads as many as it has, and clears the rest."""


def sysctl(
    space: Layout, versions: Interface, cmd: Sysctl, union: bytes, buffer: Extent | None = None
) -> Hypercall:
    """A sysctl with this union and, as extent 1, the buffer that the union names."""
    shape = structs.SYSCTL.at(versions)
    head = shape.pack(cmd=cmd, interface_version=versions.sysctl)[: structs.SYSCTL_U]
    address = space.place(shape.size)
    wrapper = Extent(address, (head + union).ljust(shape.size, b"\0"))
    return Hypercall(Op.SYSCTL, (address,), (wrapper,) if buffer is None else (wrapper, buffer))


def domctl(
    space: Layout,
    versions: Interface,
    cmd: Domctl,
    domid: int,
    union: bytes = b"",
    buffers: tuple[Extent, ...] = (),
) -> Hypercall:
    """A domctl with this union and, from extent 1 on, the buffers that the union names."""
    address = space.place(structs.DOMCTL.at(versions).size)
    if not union and not buffers:
        return _bare_domctl(address, versions, int(cmd), domid)
    return _domctl(address, versions, cmd, domid, union, buffers)


def _domctl(
    address: int, versions: Interface, cmd: int, domid: int, union: bytes, buffers: tuple[Extent, ...]
) -> Hypercall:
    shape = structs.DOMCTL.at(versions)
    head = shape.pack(cmd=cmd, interface_version=versions.domctl, domain=domid)[: structs.DOMCTL_U]
    wrapper = Extent(address, (head + union).ljust(shape.size, b"\0"))
    return Hypercall(Op.DOMCTL, (address,), (wrapper, *buffers))


# A hypercall is a value: the same question about the same domain is the same one again.
@lru_cache(maxsize=512)
def _bare_domctl(address: int, versions: Interface, cmd: int, domid: int) -> Hypercall:
    return _domctl(address, versions, cmd, domid, b"", ())


def blank(space: Layout, size: int) -> Extent:
    """So many zeros, for Xen to fill."""
    return Extent(space.place(size), bytes(size))


def extent(answer: Answer, index: int, least: int) -> bytes:
    """An extent of the answer. RemoteProtocolError if it has not `least` bytes."""
    if index >= len(answer.extents) or len(answer.extents[index]) < least:
        raise RemoteProtocolError("a hypercall's answer is shorter than its struct", channel="hypervisor")
    return answer.extents[index]


def union_of(answer: Answer, versions: Interface, which: CStruct, offset: int) -> dict[str, Any]:
    """The struct that lies at `offset` of extent 0. RemoteProtocolError if it is not all there."""
    shape = which.at(versions)
    return shape.unpack(extent(answer, 0, offset + shape.size), offset)


def known(value: int) -> int | None:
    """A number, or None for the one that means none."""
    return None if value == INVALID_ID else value


def text_of(data: bytes) -> str:
    """C text, up to its NUL."""
    return data.partition(b"\0")[0].decode("utf-8", "replace")


def cpus_of(bitmap: bytes) -> frozenset[int]:
    """The numbers of the bits that are set, from bit 0 of the first byte on."""
    bits = int.from_bytes(bitmap, "little")
    return frozenset(cpu for cpu in range(bits.bit_length()) if bits >> cpu & 1)
