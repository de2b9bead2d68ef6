"""What a guest calls its disks, and their numbers. Source: docs/man/xen-vbd-interface.7 of Xen."""

from __future__ import annotations

import pytest

from purevirt.wire.xenstore.disknames import disk_number


@pytest.mark.parametrize(
    ("target", "number"),
    [
        ("xvda", 51712),
        ("xvda1", 51713),
        ("xvdb", 51728),
        ("xvdp15", 51967),
        ("xvdq", 1 << 28 | 16 << 8),
        ("xvdaa", 1 << 28 | 26 << 8),
        ("xvda16", 1 << 28 | 16),
        ("d0", 51712),
        ("d1p2", 51730),
        ("hda", 768),
        ("hdb1", 833),
        ("hdc", 5632),
        ("hdd", 5696),
        ("sda", 2048),
        ("sdb2", 2066),
        ("sdp15", 2303),
        ("xvdaa1", 1 << 28 | 26 << 8 | 1),
        ("51728", 51728),
        ("0xca10", 51728),
    ],
)
def test_the_number_of_a_target(target: str, number: int) -> None:
    assert disk_number(target) == number


@pytest.mark.parametrize(
    "target",
    [
        "",
        "xvd",
        "xvda0",
        "xvda01",
        "xvdA",
        "XVDA",
        "xvda-1",
        "xvda256",
        "xvda\n",
        "xvd\u0251",
        "xvd" + "z" * 9,
        "hde",
        "hda64",
        "sdq",
        "sda16",
        "vda",
        "d",
        "d0p0",
        "-1",
        "0",
        "x" * 99,
    ],
)
def test_what_is_no_target(target: str) -> None:
    with pytest.raises(ValueError, match="is no disk's name"):
        disk_number(target)
