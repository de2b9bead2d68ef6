"""The initramfs writer, read back field by field, and the two archives that the kernels get."""

from __future__ import annotations

import stat

from lab.cpio import Cpio


def entries(archive: bytes) -> list[tuple[str, int, bytes]]:
    """(name, mode, data) of an archive in the "newc" format."""
    found: list[tuple[str, int, bytes]] = []
    at = 0
    while True:
        assert archive[at : at + 6] == b"070701"
        fields = [int(archive[at + 6 + 8 * i : at + 14 + 8 * i], 16) for i in range(13)]
        size, name_size = fields[6], fields[11]
        name = archive[at + 110 : at + 110 + name_size - 1].decode()
        start = (at + 110 + name_size + 3) & ~3
        if name == "TRAILER!!!":
            return found
        found.append((name, fields[1], archive[start : start + size]))
        at = (start + size + 3) & ~3


def test_directories_come_before_what_is_in_them_and_once() -> None:
    cpio = Cpio()
    cpio.file("a/b/one", b"1", 0o755)
    cpio.file("/a/b/two", b"22")
    cpio.symlink("a/three", "b/one")
    assert entries(cpio.finish()) == [
        ("a", stat.S_IFDIR | 0o755, b""),
        ("a/b", stat.S_IFDIR | 0o755, b""),
        ("a/b/one", stat.S_IFREG | 0o755, b"1"),
        ("a/b/two", stat.S_IFREG | 0o644, b"22"),
        ("a/three", stat.S_IFLNK | 0o777, b"b/one"),
    ]


def test_an_archive_ends_where_another_may_begin() -> None:
    cpio = Cpio()
    cpio.file("odd", b"x" * 333)
    assert len(cpio.finish()) % 512 == 0
