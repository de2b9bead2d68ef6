"""The memory that a hypercall may touch: its extents. Everything else faults, as on a real Xen."""

from __future__ import annotations

import errno

from purevirt.wire.hypercall.values import Extent

__all__ = ["CallerMemory", "XenError"]


class XenError(Exception):
    """An operation ends with this errno; the hypervisor answers its negative."""

    def __init__(self, number: int) -> None:
        super().__init__(errno.errorcode.get(number, str(number)))
        self.errno = number


class CallerMemory:
    """Extents as memory: reads and writes that leave them are EFAULT."""

    __slots__ = ("_extents",)

    def __init__(self, extents: tuple[Extent, ...]) -> None:
        self._extents = [(extent.address, bytearray(extent.data)) for extent in extents]

    def read(self, address: int, size: int) -> bytes:
        """`size` bytes."""
        data, start = self._find(address, size)
        return bytes(data[start : start + size])

    def write(self, address: int, content: bytes) -> None:
        """All of `content`."""
        data, start = self._find(address, len(content))
        data[start : start + len(content)] = content

    def contents(self) -> tuple[bytes, ...]:
        """Each extent's bytes, in order."""
        return tuple(bytes(data) for _, data in self._extents)

    def _find(self, address: int, size: int) -> tuple[bytearray, int]:
        for start, data in self._extents:
            if start <= address and address + size <= start + len(data):
                return data, address - start
        raise XenError(errno.EFAULT)
