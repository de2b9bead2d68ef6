"""A hypercall as a value: number, five arguments, and the memory it names.

A hypercall's arguments may be addresses of the caller's memory. `extents` is that memory: address and bytes.
Who carries the call out puts the bytes where the addresses say (privcmd: into locked memory; a simulated
host: into nothing, it looks addresses up among the extents) and answers with the return value and each
extent's bytes afterwards. Nothing dereferences another process's pointer.

Addresses are laid out by `Layout`, from the base that the transport names.
"""

from __future__ import annotations

from purevirt._typing import NamedTuple
from purevirt.errors import LocalProtocolError

__all__ = ["Answer", "Extent", "Hypercall", "Layout"]

PAGE = 4096


class Extent(NamedTuple):
    """Memory of the caller that a hypercall reads, writes or both."""

    address: int
    data: bytes


class Hypercall(NamedTuple):
    """One call: `op` is __HYPERVISOR_sysctl and the like; `args` at most five 64-bit words."""

    op: int
    args: tuple[int, ...]
    extents: tuple[Extent, ...] = ()


class Answer(NamedTuple):
    """What came of it: the return value (negative: -errno) and each extent's bytes, in the call's order."""

    value: int
    extents: tuple[bytes, ...] = ()


class Layout:
    """Hands out addresses for extents: from `base`, 64-byte aligned, at most `capacity` bytes in all."""

    __slots__ = ("_end", "_next")

    def __init__(self, base: int, capacity: int) -> None:
        self._next = base
        self._end = base + capacity

    def place(self, size: int) -> int:
        """The address of `size` bytes. LocalProtocolError if they do not fit into the transport's memory."""
        address = self._next
        if address + size > self._end:
            raise LocalProtocolError(
                f"a hypercall needs {size} bytes more than its buffer has", channel="hypervisor"
            )
        self._next = (address + size + 63) & ~63
        return address
