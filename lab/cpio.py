"""A writer of cpio archives ("newc"), the format in which Linux takes an initramfs.

Archives may be concatenated: the kernel unpacks one after the other, so a small one written at each boot can
follow a large one from the cache. Format: Documentation/driver-api/early-userspace/buffer-format.rst of
Linux.
"""

from __future__ import annotations

import stat


class Cpio:
    """Collect files, then take them as bytes with `finish`."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._ino = 0
        self._made: set[str] = set()

    def directory(self, path: str) -> None:
        """Add a directory and, first, those above it."""
        path = path.strip("/")
        if not path or path in self._made:
            return
        self.directory(path.rpartition("/")[0])
        self._made.add(path)
        self._entry(path, stat.S_IFDIR | 0o755, b"")

    def file(self, path: str, data: bytes, mode: int = 0o644) -> None:
        """Add a regular file and the directories above it."""
        path = path.strip("/")
        self.directory(path.rpartition("/")[0])
        self._entry(path, stat.S_IFREG | mode, data)

    def symlink(self, path: str, target: str) -> None:
        """Add a symbolic link."""
        path = path.strip("/")
        self.directory(path.rpartition("/")[0])
        self._entry(path, stat.S_IFLNK | 0o777, target.encode())

    def device(self, path: str, major: int, minor: int) -> None:
        """Add a character device: an initramfs needs /dev/console before it can mount devtmpfs."""
        path = path.strip("/")
        self.directory(path.rpartition("/")[0])
        self._entry(path, stat.S_IFCHR | 0o600, b"", (major, minor))

    def finish(self) -> bytes:
        """The whole archive, padded so that another may follow."""
        self._entry("TRAILER!!!", 0, b"")
        archive = b"".join(self._parts)
        self._parts.clear()
        return archive + bytes(-len(archive) % 512)

    def _entry(self, name: str, mode: int, data: bytes, device: tuple[int, int] = (0, 0)) -> None:
        self._ino += 1
        encoded = name.encode() + b"\0"
        # ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize check
        fields = (self._ino, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(encoded), 0)
        header = b"070701" + b"".join(b"%08X" % field for field in fields) + encoded
        self._parts += [header, bytes(-len(header) % 4), data, bytes(-len(data) % 4)]
