"""What a guest calls a disk -> the number of its device. Pure.

xvdN and Xen's own dN are unlimited; hdN and sdN have the numbers of the drives that Linux once called so; a number
stands for itself.

Source: docs/man/xen-vbd-interface.7 of Xen, and libxl__device_disk_dev_number of libxl.
"""

from __future__ import annotations

import re

__all__ = ["disk_number"]

_NAME = re.compile(r"(xvd|hd|sd)([a-z]+)([1-9][0-9]*)?")
_PLAIN = re.compile(r"d([0-9]+)(?:p([1-9][0-9]*))?")
_NUMBER = re.compile(r"0x[0-9a-f]+|[1-9][0-9]*")
_MOST_DISKS, _MOST_PARTITIONS = 1 << 20, 256


def disk_number(target: str) -> int:
    """The number of a target. ValueError for what is no name of a disk."""
    number = None
    if len(target) <= 32 and target.isascii():
        if match := _NAME.fullmatch(target):
            number = _named(match[1], _letters(match[2]), int(match[3] or 0))
        elif match := _PLAIN.fullmatch(target):
            number = _xen(int(match[1]), int(match[2] or 0))
        elif _NUMBER.fullmatch(target):
            number = int(target, 0)
            number = number if number < 1 << 29 else None
    if number is None:
        raise ValueError(f"{target!r} is no disk's name, expected one like xvda, xvdb1, hda or sda")
    return number


def _letters(text: str) -> int:
    """a … z, aa … az, ba …: from 0."""
    value = 0
    for letter in text:
        value = value * 26 + ord(letter) - ord("a") + 1
    return value - 1


def _named(kind: str, disk: int, partition: int) -> int | None:
    if kind == "hd":
        if disk > 3 or partition > 63:
            return None
        return (22 if disk > 1 else 3) << 8 | (disk & 1) << 6 | partition
    if kind == "sd":
        return 8 << 8 | disk << 4 | partition if disk <= 15 and partition <= 15 else None
    return _xen(disk, partition)


def _xen(disk: int, partition: int) -> int | None:
    if disk >= _MOST_DISKS or partition >= _MOST_PARTITIONS:
        return None
    if disk <= 15 and partition <= 15:
        return 202 << 8 | disk << 4 | partition
    return 1 << 28 | disk << 8 | partition
