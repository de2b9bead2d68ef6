"""The nodes of a domain: numbers of disks, and what a builder says in them."""

from __future__ import annotations

from uuid import UUID

import pytest

from purevirt.wire.xenstore.domainnodes import Disk, disk_number, domain_nodes

HANDLE = UUID("6695eb01-f6a4-8304-79aa-97f2502e193f")


# Source: docs/man/xen-vbd-interface.7 of Xen.
@pytest.mark.parametrize(
    ("target", "number"),
    [
        ("xvda", 202 << 8),
        ("xvdb", 202 << 8 | 16),
        ("xvdp15", 202 << 8 | 15 << 4 | 15),
        ("xvdq", 1 << 28 | 16 << 8),
        ("xvda16", 1 << 28 | 16),
        ("xvdaa1", 1 << 28 | 26 << 8 | 1),
        ("hda", 3 << 8),
        ("hdb1", 3 << 8 | 65),
        ("hdc", 22 << 8),
        ("hdd", 22 << 8 | 64),
        ("sda", 8 << 8),
        ("sdp15", 8 << 8 | 255),
    ],
)
def test_a_disk_s_number(target: str, number: int) -> None:
    assert disk_number(target) == number


@pytest.mark.parametrize(
    "target",
    [
        "",
        "xvd",
        "xvda0",
        "xvda01",
        "xvda256",
        "hde",
        "hda64",
        "sdq",
        "sda16",
        "vda",
        "XVDA",
        "xvda\n",
        "xvd\u0251",
        "xvd" + "z" * 9,
    ],
)
def test_what_is_no_disk(target: str) -> None:
    with pytest.raises(ValueError, match="is no disk name"):
        disk_number(target)


def test_vcpus_beyond_the_first_may_wait() -> None:
    nodes = domain_nodes(7, HANDLE, "w", "pv", memory_kib=4096, max_memory_kib=8192, vcpus=3, online_vcpus=2)
    values = {node.path: node.value for node in nodes}
    home = "/local/domain/7"
    assert [values[f"{home}/cpu/{number}/availability"] for number in range(3)] == [
        "online",
        "online",
        "offline",
    ]
    assert (values[f"{home}/memory/target"], values[f"{home}/memory/static-max"]) == ("4096", "8192")


def test_a_drive_is_removable_and_says_what_it_is() -> None:
    disks = (Disk("xvda", "/a"), Disk("hdc", "", read_only=True, device="cdrom"))
    nodes = domain_nodes(7, HANDLE, "w", "pv", memory_kib=4096, max_memory_kib=4096, vcpus=1, disks=disks)
    values = {node.path: node.value for node in nodes}
    said = [
        [
            values[f"/local/domain/0/backend/vbd/7/{number}/{key}"]
            for key in ("device-type", "removable", "mode")
        ]
        for number in (202 << 8, 22 << 8)
    ]
    assert said == [["disk", "0", "w"], ["cdrom", "1", "r"]]
    assert values[f"/local/domain/7/device/vbd/{22 << 8}/device-type"] == "cdrom"
