"""Memory whose pages stay where they are, for the hypervisor to read and write while a hypercall runs.

Xen reaches a caller's memory by its virtual address and takes no page faults: a page that the kernel has just
moved, swapped out or write-protected makes the call fail with EFAULT. So:

- /dev/xen/hypercall (Linux 4.18) is mapped: kernel pages, made for this. 64 of them are what one open file
may have.
- Without it, anonymous memory is locked (MAP_LOCKED), and each page touched once. It is *shared* memory
although
  nobody shares it: a private page would be write-protected when the process forks, and its next use would
  fault.

The address comes from /proc/self/maps where it is unambiguous, else from ctypes, whose import alone takes longer
than a hundred hypercalls.

After a fork, the child has a hole where the kernel's pages were (they are not inherited). If the child's
garbage collector unmapped "the arena", it would unmap whatever has been put into the hole since. So the
child's mapping objects are made immortal: they are neither used nor unmapped there.
"""

from __future__ import annotations

import mmap
import os
from _weakref import ref  # weakref.ref, without the import of weakref

from purevirt.channels.hypercall.transport import CAPACITY
from purevirt.errors import LocalProtocolError

__all__ = ["Arena"]

MAP_LOCKED = 0x2000  # on x86 and arm64; the mmap module does not name it

_arenas: list[ref[Arena]] = []


class Arena:
    """Bytes at `base`, as many as `capacity`. OSError if there is no such memory."""

    __slots__ = ("__weakref__", "_memory", "base", "capacity")

    def __init__(self, device: str | None) -> None:
        self.capacity = CAPACITY
        self._memory = _map(device)
        self.base: int = _address(self._memory, device)
        _arenas[:] = [known for known in _arenas if known() is not None]
        _arenas.append(ref(self))

    def put(self, address: int, data: bytes) -> None:
        """Write. LocalProtocolError outside of the arena."""
        start = self._offset(address, len(data))
        self._memory[start : start + len(data)] = data

    def get(self, address: int, size: int) -> bytes:
        """Read."""
        start = self._offset(address, size)
        return self._memory[start : start + size]

    def _offset(self, address: int, size: int) -> int:
        start = address - self.base
        if start < 0 or start + size > self.capacity:
            raise LocalProtocolError("an extent lies outside of the transport's memory", channel="hypervisor")
        return start

    def close(self) -> None:
        """Unmap. Not after a fork."""
        _arenas[:] = [known for known in _arenas if known() not in (None, self)]
        self._memory.close()


def _address(memory: mmap.mmap, device: str | None) -> int:
    """Where the memory is. The kernel's own list says, unless others map the device here too; else ctypes."""
    if device is not None:
        with open("/proc/self/maps", "rb") as file:
            maps = [line.split() for line in file]
        starts = {int(line[0].split(b"-")[0], 16) for line in maps if line[5:] == [os.fsencode(device)]}
        starts -= {arena.base for known in _arenas if (arena := known()) is not None}
        if len(starts) == 1:
            return starts.pop()
    import ctypes

    first = ctypes.c_char.from_buffer(memory)
    return ctypes.addressof(first)


def _map(device: str | None) -> mmap.mmap:
    if device is not None:
        try:
            fd = os.open(device, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            pass  # an old kernel, or none that runs on Xen: then other memory has to do
        else:
            try:
                return mmap.mmap(fd, CAPACITY, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
            except OSError:
                pass  # the limit per user of the device is smaller here
            finally:
                os.close(fd)
    memory = mmap.mmap(
        -1,
        CAPACITY,
        mmap.MAP_SHARED | mmap.MAP_ANONYMOUS | MAP_LOCKED,
        mmap.PROT_READ | mmap.PROT_WRITE,
    )
    for page in range(0, CAPACITY, mmap.PAGESIZE):
        memory[page] = 0
    return memory


def _forked() -> None:
    if not _arenas:
        return
    import ctypes

    for known in _arenas:
        arena = known()
        if arena is not None:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(arena._memory))


os.register_at_fork(after_in_child=_forked)
