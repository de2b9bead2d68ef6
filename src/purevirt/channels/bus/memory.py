"""The memory of a simulated host, as a file that its daemons map.

Mapped in segments of many pages, since each mapping costs a file descriptor; a page is a piece of its segment. The
file grows by whole segments and holds only the pages that domains really share.
"""

from __future__ import annotations

import errno
import mmap
import os

__all__ = ["PAGE", "SEGMENT", "SharedMemory"]

PAGE = 4096
SEGMENT = 1024 * PAGE


class SharedMemory:
    """The file at `path`, mapped as it is asked for. OSError if it cannot be."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._segments: dict[int, memoryview] = {}

    def page(self, offset: int) -> memoryview:
        """The page that begins at `offset`, writable. OSError: EINVAL for an offset that is no page's there."""
        number, at = divmod(offset, SEGMENT)
        if offset % PAGE or offset < 0:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), self.path)
        segment = self._segments.get(number)
        if segment is None:
            segment = self._segments[number] = self._map(number)
        return segment[at : at + PAGE]

    def _map(self, number: int) -> memoryview:
        fd = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        try:
            if os.fstat(fd).st_size < (number + 1) * SEGMENT:
                # A page beyond the end could be mapped, but touching it would end the process.
                raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), self.path)
            return memoryview(mmap.mmap(fd, SEGMENT, offset=number * SEGMENT))
        finally:
            os.close(fd)
