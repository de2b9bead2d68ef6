"""The nodes of a domain: what a builder says in them."""

from __future__ import annotations

from uuid import UUID

from purevirt.wire.xenstore.domainnodes import Disk, domain_nodes

HANDLE = UUID("6695eb01-f6a4-8304-79aa-97f2502e193f")


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
