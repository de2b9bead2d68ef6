"""The pages of a simulated host that more than one domain, or a daemon, looks at: real bytes in one file.

Domains have far more memory than is kept here: only pages that are shared with somebody exist, and are counted by
who uses them (their domain, and each mapping). One that nobody uses any more is cleared and used again.
"""

from __future__ import annotations

import contextlib
import os

from purevirt.channels.bus.memory import PAGE, SEGMENT, SharedMemory

__all__ = ["Frames"]


class Frames:
    """The machine's frames, in the file at `path`, which is made. OSError if it cannot be."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._memory = SharedMemory(path)
        self._users: dict[int, int] = {}
        self._free: list[int] = []
        self._end = 0
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)  # whoever has mapped the one before keeps it: shortening it would end them
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_RDWR, 0o600))

    def __len__(self) -> int:
        """How many are in use."""
        return len(self._users)

    def allocate(self) -> int:
        """A frame of zeros, used once; its number."""
        if not self._free:
            self._grow()
        frame = self._free.pop()
        self._users[frame] = 1
        return frame

    def page(self, frame: int) -> memoryview:
        """Its bytes."""
        return self._memory.page(frame * PAGE)

    def use(self, frame: int) -> None:
        """One more uses it."""
        self._users[frame] += 1

    def release(self, frame: int) -> None:
        """One less uses it."""
        self._users[frame] -= 1
        if not self._users[frame]:
            del self._users[frame]
            self.page(frame)[:] = bytes(PAGE)
            self._free.append(frame)

    def _grow(self) -> None:
        count = SEGMENT // PAGE
        os.truncate(self.path, (self._end + count) * PAGE)
        self._free = list(range(self._end + count - 1, self._end - 1, -1))
        self._end += count
